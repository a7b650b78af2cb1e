package digest

import "math/bits"

// polynomial is the generator of RFC 3720 §12.1 [R-12.1-4], 0x11EDC6F41, without
// its leading x³². Bit i is the coefficient of xⁱ.
const polynomial = 0x1EDC6F41

// power is xⁿ mod P, reflected: bit 31-i is the coefficient of xⁱ, the order that
// the digest's registers use.
func power(n int) uint32 {
	r := uint32(1)
	for range n {
		carry := r >> 31
		r = r<<1 ^ carry*polynomial
	}
	return bits.Reverse32(r)
}
