package scsi

import (
	"encoding/binary"

	"lunar/scsi/sam"
)

// REPORT and SET IDENTIFYING INFORMATION (SPC-4 §6.34, §6.43).
const (
	// maxIdentifying is the longest information there can be (type 0000000b; hosts use
	// no more than 64 bytes of the 512).
	maxIdentifying   = 512
	identifyingTypes = 0x7f // type 1111111b asks which types there are
	typeAt           = 10
)

// beginReportIdentifying serves REPORT IDENTIFYING INFORMATION.
func (d *Device) beginReportIdentifying(c *sam.Command) {
	if t := c.CDB[typeAt] >> 1; t != 0 && t != identifyingTypes {
		failField(c, typeAt, 7)
		return
	}
	ask(c, 0, min(int64(binary.BigEndian.Uint32(c.CDB[6:])), 4+maxIdentifying))
}

func (d *Device) reportIdentifying(c *sam.Command) Program {
	if c.CDB[typeAt]>>1 == identifyingTypes {
		answer(c, []byte{0, 0, 0, 4, 0, 0, maxIdentifying >> 8, maxIdentifying & 0xff})
		return Program{}
	}
	n := len(d.identifying)
	d.scratch = append(append(d.scratch[:0], 0, 0, byte(n>>8), byte(n)), d.identifying...)
	answer(c, d.scratch)
	return Program{}
}

// beginSetIdentifying serves SET IDENTIFYING INFORMATION. It is kept before it is GOOD.
func (d *Device) beginSetIdentifying(c *sam.Command) {
	length := int64(binary.BigEndian.Uint32(c.CDB[6:]))
	switch {
	case c.CDB[typeAt]>>1 != 0:
		failField(c, typeAt, 7)
	case length > maxIdentifying:
		failField(c, 6, -1)
	default:
		ask(c, length, 0)
	}
}

func (d *Device) setIdentifying(c *sam.Command) Program {
	if int64(c.Received) < c.DataOutBytes {
		c.Fail(illegal(codeParameterLength).At(6, -1))
		return Program{}
	}
	n := d.draftOf(c)
	n.identifying = string(c.Buffer[:c.DataOutBytes])
	n.durable, n.told.identified = true, n.identifying != d.identifying
	return d.adopt(n)
}
