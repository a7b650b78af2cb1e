package scsi

import (
	"encoding/binary"

	"lunar/scsi/sam"
)

// WRITE ATOMIC(16), CDB fields (SBC-4 §5.52).
const (
	atomicBoundaryAt = 10
	atomicLengthAt   = 12
)

// maxAtomicBlocks is MAXIMUM ATOMIC TRANSFER LENGTH of page B0h.
func (d *Device) maxAtomicBlocks() uint32 {
	return min(d.info.AtomicBytes>>d.blockShift, d.maxBlocks, 1<<16-1)
}

// atomicExtent decodes the range. It ends c and is false when it is refused.
func (d *Device) atomicExtent(c *sam.Command) (e sam.Extent, ok bool) {
	lba, blocks := binary.BigEndian.Uint64(c.CDB[2:]), binary.BigEndian.Uint16(c.CDB[atomicLengthAt:])
	boundary := binary.BigEndian.Uint16(c.CDB[atomicBoundaryAt:])
	switch {
	case !d.inRange(lba, uint64(blocks)):
		c.Fail(illegal(codeRange).At(2, -1))
	case uint32(boundary) > d.maxAtomicBlocks():
		failField(c, atomicBoundaryAt, -1)
	case uint32(blocks) > d.maxAtomicBlocks():
		// SBC-4 §4.29.1: more than can be written so is an invalid field.
		failField(c, atomicLengthAt, -1)
	default:
		return sam.Extent{Offset: int64(lba << d.blockShift), Bytes: int64(blocks) << d.blockShift, FUA: fua(c)}, true
	}
	return e, false
}

// beginWriteAtomic serves WRITE ATOMIC(16): all of it or nothing, towards readers because
// nothing runs beside it, towards a loss of power because the medium says so or an Intent is
// kept. With an ATOMIC BOUNDARY only each part between two of them has to be; here all of it is.
func (d *Device) beginWriteAtomic(c *sam.Command) {
	e, ok := d.atomicExtent(c)
	switch {
	case !ok:
	case e.Bytes == 0:
		c.Succeed()
	default:
		ask(c, e.Bytes, 0)
		if c.ExpectedOutBytes > 0 && c.ExpectedOutBytes != c.DataOutBytes {
			FailExpected(c) // a part of it would be written
		}
	}
}

func (d *Device) writeAtomic(c *sam.Command) Program {
	e, ok := d.atomicExtent(c)
	if !ok {
		return Program{}
	}
	if int64(c.Received) < e.Bytes {
		FailExpected(c)
		return Program{}
	}
	p := Program{Kind: Place, Offset: e.Offset, Bytes: e.Bytes, fua: e.FUA || d.mode.Through, run: run{offset: e.Offset}}
	if d.intends {
		return d.intend(c, p)
	}
	return p
}
