package pdu

import "encoding/binary"

// AHSType is the kind of an additional header segment (RFC 3720 §10.2.2.1).
type AHSType uint8

// Additional header segment types; 0 and 3 to 63 are reserved.
const (
	AHSExtendedCDB AHSType = 1
	AHSBidiRead    AHSType = 2

	ahsTypeMask    = 0x3f
	ahsPrefixBytes = 3 // AHSLength and AHSType
	bidiAHSBytes   = 5 // §10.2.2.4: a reserved byte and the length
)

// AHS is one additional header segment: its type and the bytes behind it,
// without padding. Specific starts with the reserved byte of types 1 and 2.
type AHS struct {
	Type     AHSType
	Specific []byte
}

// NextAHS splits the first segment off b, the additional header segments of one
// PDU. It is false when b does not hold a whole segment: the lengths inside
// contradict TotalAHSLength, which is a format error (RFC 3720 §6.6).
func NextAHS(b []byte) (a AHS, rest []byte, ok bool) {
	if len(b) < ahsPrefixBytes {
		return AHS{}, nil, false
	}
	n := ahsPrefixBytes + int(binary.BigEndian.Uint16(b))
	end := n + PadBytes(n)
	// AHSLength comes from the peer; it is bounded by what was received before
	// any of it is used [R-10.2.2.2-1].
	if end > len(b) {
		return AHS{}, nil, false
	}
	return AHS{AHSType(b[2] & ahsTypeMask), b[ahsPrefixBytes:n]}, b[end:], true
}

// AppendAHS writes one segment with its padding behind dst.
func AppendAHS(dst []byte, a AHS) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(a.Specific)))
	dst = append(dst, byte(a.Type))
	dst = append(dst, a.Specific...)
	var pad [3]byte
	return append(dst, pad[:PadBytes(ahsPrefixBytes+len(a.Specific))]...)
}

// ExtendedCDB is the CDB from byte 16 on. It is false unless the segment has
// type 1 and holds at least one byte (RFC 3720 §10.2.2.3 [R-10.2.2.3-1]).
func (a AHS) ExtendedCDB() ([]byte, bool) {
	if a.Type != AHSExtendedCDB || len(a.Specific) < 2 {
		return nil, false
	}
	return a.Specific[1:], true
}

// BidiReadBytes is the expected read length of a bidirectional command. It is
// false unless the segment has type 2 and its one legal length (§10.2.2.4
// [R-10.2.2.4-1]).
func (a AHS) BidiReadBytes() (uint32, bool) {
	if a.Type != AHSBidiRead || len(a.Specific) != bidiAHSBytes {
		return 0, false
	}
	return binary.BigEndian.Uint32(a.Specific[1:]), true
}
