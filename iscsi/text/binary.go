package text

import (
	"encoding/base64"
	"encoding/hex"
)

// MaxBinaryBytes is the longest binary value of the keys that carry one, decoded
// (RFC 3720 §11.1.4 [R-11.1.4-5]).
const MaxBinaryBytes = 1024

// Binary reads a binary value: hex behind 0x or 0X, or base64 behind 0b or 0B (RFC
// 3720 §5.1 [R-5.1-5]). It is false for anything else, for no digits, and for more
// than limit bytes. Decimal is for keys of a fixed length only, of which we have
// none.
func Binary(v []byte, limit int) ([]byte, bool) {
	if len(v) < 3 || v[0] != '0' {
		return nil, false
	}
	digits := v[2:]
	switch v[1] {
	case 'x', 'X':
		return binaryHex(digits, limit)
	case 'b', 'B':
		return binaryBase64(digits, limit)
	}
	return nil, false
}

// binaryHex takes n digits as (n+1)/2 bytes: the first of an odd number stands for
// a byte of its own.
func binaryHex(v []byte, limit int) ([]byte, bool) {
	n := (len(v) + 1) / 2
	if n > limit {
		return nil, false
	}
	b := make([]byte, 0, n)
	if len(v)%2 == 1 {
		d := digit(v[0])
		if d > 15 {
			return nil, false
		}
		b, v = append(b, byte(d)), v[1:]
	}
	b, err := hex.AppendDecode(b, v)
	return b, err == nil
}

// binaryBase64 takes n digits as 3n/4 bytes. Padding may be left out, and where it
// stands it must be right.
func binaryBase64(v []byte, limit int) ([]byte, bool) {
	digits := v
	for len(digits) > 0 && digits[len(digits)-1] == '=' && len(v)-len(digits) < 2 {
		digits = digits[:len(digits)-1]
	}
	if len(digits) < len(v) && len(v)%4 != 0 || len(digits) == 0 || len(digits)*3/4 > limit {
		return nil, false
	}
	for _, c := range digits {
		// The decoder would pass over line breaks, which are no digits here.
		if c == '\r' || c == '\n' {
			return nil, false
		}
	}
	b, err := base64.RawStdEncoding.AppendDecode(nil, digits)
	return b, err == nil
}

// Hex writes a binary value, the form every peer reads.
func Hex(b []byte) string { return "0x" + hex.EncodeToString(b) }
