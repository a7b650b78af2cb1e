package sam

import "strconv"

// LUN is a logical unit number as its eight bytes stand in a PDU, read as one
// big-endian number (RFC 3720 §10.2.1.7 [R-10.2.1.7-1], SAM-5 §4.7).
type LUN uint64

// Addressing methods: the top two bits of the first byte (SAM-5 §4.7.6).
const (
	methodPeripheral = 0
	methodFlat       = 1

	// maxPeripheral is the largest number the peripheral method can carry, so
	// larger ones use flat addressing.
	maxPeripheral = 255
	// MaxLUN is the largest number flat addressing can carry.
	MaxLUN = 16383
)

// LUNOf returns the address of unit number n (0..MaxLUN): peripheral addressing
// to 255, flat addressing above.
func LUNOf(n uint16) LUN {
	if n <= maxPeripheral {
		return LUN(n) << 48
	}
	return LUN(methodFlat<<14|n&MaxLUN) << 48
}

// Number returns the unit number that l addresses. It is false for a method
// other than peripheral and flat, for a bus identifier, and for a second level,
// none of which name a unit of ours (SAM-5 §4.7.5: incorrect logical unit).
func (l LUN) Number() (n uint16, ok bool) {
	first := uint16(l >> 48)
	if l<<16 != 0 {
		return 0, false
	}
	switch first >> 14 {
	case methodPeripheral:
		return first & 0xff, first&0x3f00 == 0
	case methodFlat:
		return first & MaxLUN, true
	}
	return 0, false
}

// String shows the unit number, or the eight bytes in hex when there is none.
func (l LUN) String() string {
	if n, ok := l.Number(); ok {
		return strconv.Itoa(int(n))
	}
	return "0x" + strconv.FormatUint(uint64(l), 16)
}
