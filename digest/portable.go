package digest

import "encoding/binary"

// slices has in slices[k][b] what the byte b adds to the remainder when k further
// bytes follow it: b·x³²·x⁸ᵏ mod P, reflected.
var slices = makeSlices()

// makeSlices needs only the powers of x: bit 7-i of a reflected byte is the
// coefficient of xⁱ, and the remainder of a sum is the sum of the remainders.
func makeSlices() (t [8][256]uint32) {
	for k := range t {
		for i := range 8 {
			p := power(32 + 8*k + i)
			for b := range t[k] {
				if b>>(7-i)&1 != 0 {
					t[k][b] ^= p
				}
			}
		}
	}
	return t
}

// updatePortable takes eight bytes a step: their eight entries do not depend on
// each other, where a step of one byte waits for the one before it.
func updatePortable(crc uint32, p []byte) uint32 {
	crc = ^crc
	for ; len(p) >= 8; p = p[8:] {
		w := binary.LittleEndian.Uint64(p) ^ uint64(crc)
		crc = slices[7][byte(w)] ^ slices[6][byte(w>>8)] ^
			slices[5][byte(w>>16)] ^ slices[4][byte(w>>24)] ^
			slices[3][byte(w>>32)] ^ slices[2][byte(w>>40)] ^
			slices[1][byte(w>>48)] ^ slices[0][byte(w>>56)]
	}
	for _, b := range p {
		crc = crc>>8 ^ slices[0][byte(crc)^b]
	}
	return ^crc
}
