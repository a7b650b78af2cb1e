package scsi

import "lunar/scsi/sam"

// BYTCHK values (SBC-3 §5.29).
const (
	bytchkNone  = 0
	bytchkAll   = 1
	bytchkBlock = 3
)

func bytchk(c *sam.Command) byte { return c.CDB[1] >> 1 & 3 }

// beginVerify serves VERIFY(10), (12) and (16) (SBC-3 §5.29 to §5.31).
func (d *Device) beginVerify(c *sam.Command) {
	mode := bytchk(c)
	if mode != bytchkNone && mode != bytchkAll && mode != bytchkBlock {
		failField(c, 1, 2) // 10b is reserved
		return
	}
	e, ok := d.extent(c)
	switch {
	case !ok:
	case e.Bytes == 0:
		c.Succeed()
	case mode == bytchkAll:
		c.Action, c.Status, c.Extent = sam.CompareMedium, sam.Good, e
		c.DataInBytes, c.DataOutBytes = 0, e.Bytes
	case mode == bytchkBlock:
		ask(c, int64(d.info.BlockBytes), 0)
	default:
		ask(c, 0, 0)
	}
}

// beginWriteVerify serves WRITE AND VERIFY(10), (12) and (16) (SBC-3 §5.43 to §5.45).
// What was written is made durable, read back and compared whatever BYTCHK says: 0
// asks only that it can be read.
func (d *Device) beginWriteVerify(c *sam.Command) {
	if mode := bytchk(c); mode != bytchkNone && mode != bytchkAll {
		failField(c, 1, 2) // 10b is reserved, 11b is for VERIFY alone
		return
	}
	d.beginWrite(c)
	if c.Action == sam.WriteMedium {
		c.Extent.FUA, c.Extent.Verify = true, true
	}
}

// verify reads the range: without data from the initiator this proves that it
// can be read, with one block that each block equals it.
func (d *Device) verify(c *sam.Command) Program {
	e, ok := d.extent(c)
	if !ok {
		return Program{}
	}
	p := Program{Kind: Verify, Offset: e.Offset, Bytes: e.Bytes}
	if bytchk(c) == bytchkBlock {
		if c.Received < int(d.info.BlockBytes) {
			FailExpected(c)
			return Program{}
		}
		p.Kind = VerifySame
	}
	return p
}
