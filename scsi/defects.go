package scsi

import (
	"encoding/binary"

	"lunar/scsi/sam"
)

const (
	opReadDefects12 = 0xb7

	// defectFormatMask is DEFECT LIST FORMAT, the low three bits behind REQ_PLIST and
	// REQ_GLIST, which come back as PLISTV and GLISTV.
	defectFormatMask = 0x07
	requestedMask    = 0x18

	defectHeader10, defectHeader12 = 4, 8
)

// defectRequest is the byte of the CDB with both lists and the format.
func defectRequest(c *sam.Command) (at int, request byte) {
	if c.CDB[0] == opReadDefects12 {
		return 1, c.CDB[1]
	}
	return 2, c.CDB[2]
}

// beginReadDefects serves READ DEFECT DATA(10) and (12) (SBC-3, READ DEFECT DATA).
func (d *Device) beginReadDefects(c *sam.Command) {
	const vendor, reserved = 6, 7
	at, request := defectRequest(c)
	if f := request & defectFormatMask; f == vendor || f == reserved {
		failField(c, at, 2)
		return
	}
	if c.CDB[0] == opReadDefects12 {
		ask(c, 0, min(int64(binary.BigEndian.Uint32(c.CDB[6:])), defectHeader12))
		return
	}
	ask(c, 0, min(int64(binary.BigEndian.Uint16(c.CDB[7:])), defectHeader10))
}

// readDefects answers with lists that are valid and empty, in the format asked for: what
// is below sees to its defects itself, and a block that cannot be read is a medium error
// of its own. The generation of the grown list, zero, does not change.
func (d *Device) readDefects(c *sam.Command) Program {
	_, request := defectRequest(c)
	b := append(d.scratch[:0], 0, request&(requestedMask|defectFormatMask), 0, 0)
	if c.CDB[0] == opReadDefects12 {
		b = append(b, 0, 0, 0, 0)
	}
	d.scratch = b
	answer(c, b)
	return Program{}
}
