package scsi

import "encoding/hex"

// Identity is what a unit says of itself, the same on every path and after every
// restart. Of the port it is asked through a command's path tells.
type Identity struct {
	// Vendor (8), Product (16) and Revision (4 characters) are cut and padded
	// with spaces; what is not printable ASCII becomes a space.
	Vendor, Product, Revision string
	// Serial is the unit serial number, at most MaxSerialBytes.
	Serial string
	// Status is a URL under which the target can be asked how it is, empty for none.
	Status string
	// NAA is the designator of the unit, NAA 6h as 16 bytes.
	NAA [16]byte
}

const (
	// MaxSerialBytes is the longest serial number reported.
	MaxSerialBytes = 64
	// MaxNameBytes is the longest iSCSI name (RFC 3720 §3.2.6.1).
	MaxNameBytes = 223

	vendorBytes, productBytes, revisionBytes = 8, 16, 4
)

// naaPrefix opens every NAA designator: NAA 6h, then a 24-bit company identifier
// with the bit for local assignment set, as no identifier of a company is ours
// (SPC-4 §7.8.6.6.5; IEEE 802: second bit of the first byte).
var naaPrefix = [4]byte{0x60, 0x24, 0xc5, 0x50}

// IdentityOf derives an Identity from the UUID that a unit was given when it was
// made and keeps for ever.
//
// DEVIATION [D-8]: the company id is a locally administered one.
//
// Two units never share a designator: a multipath host would take them for one
// disk. The designator holds the last 100 bits of the UUID, 94 of them random.
func IdentityOf(uuid [16]byte) Identity {
	id := Identity{
		Vendor: "LUNAR", Product: "LUNAR DISK", Revision: "0001",
		Serial: hex.EncodeToString(uuid[:]),
	}
	copy(id.NAA[4:], uuid[4:])
	copy(id.NAA[:], naaPrefix[:3])
	id.NAA[3] = naaPrefix[3]&0xf0 | uuid[3]&0x0f
	return id
}

// appendText appends s cut or padded with spaces to n bytes.
//
// SPC-4 §4.4.1: ASCII data fields hold 20h to 7Eh, left-aligned.
func appendText(dst []byte, s string, n int) []byte {
	for i := range n {
		b := byte(' ')
		if i < len(s) && s[i] >= 0x20 && s[i] <= 0x7e {
			b = s[i]
		}
		dst = append(dst, b)
	}
	return dst
}
