package scsi

import (
	"encoding/binary"

	"lunar/lun/blk"
	"lunar/scsi/sam"
)

const (
	// mostCompareBlocks is what its NUMBER OF LOGICAL BLOCKS can say. The initiator sends
	// twice as much data, which the transport holds at once (MaxListBytes).
	mostCompareBlocks = 255
	// compareBlocksAt is where the CDB has its NUMBER OF LOGICAL BLOCKS: one byte.
	compareBlocksAt = 13
)

// maxCompareBlocks is the MAXIMUM COMPARE AND WRITE LENGTH of page B0h.
func (d *Device) maxCompareBlocks() uint8 { return uint8(min(mostCompareBlocks, d.maxBlocks)) }

// compareExtent decodes the range of a COMPARE AND WRITE. It ends c and is false
// when the range is refused.
func (d *Device) compareExtent(c *sam.Command) (e sam.Extent, ok bool) {
	lba, blocks := binary.BigEndian.Uint64(c.CDB[2:]), c.CDB[compareBlocksAt]
	if !d.inRange(lba, uint64(blocks)) {
		c.Fail(illegal(codeRange).At(fieldsOf(c.CDB[0]).lbaAt, -1))
		return e, false
	}
	if blocks > d.maxCompareBlocks() {
		// SBC-3 §5.2: over MAXIMUM COMPARE AND WRITE LENGTH is an invalid field.
		failField(c, compareBlocksAt, -1)
		return e, false
	}
	return sam.Extent{Offset: int64(lba << d.blockShift), Bytes: int64(blocks) << d.blockShift, FUA: fua(c) || d.mode.Through}, true
}

// beginCompareWrite serves COMPARE AND WRITE (SBC-3 §5.2). The data is what the
// blocks must hold, and behind it what is written if they do.
func (d *Device) beginCompareWrite(c *sam.Command) {
	e, ok := d.compareExtent(c)
	switch {
	case !ok:
	case e.Bytes == 0 && c.ExpectedOutBytes > 0:
		// Who sends 256 blocks counts none in one byte. GOOD would tell it that they were
		// compared, and such commands are locks.
		failField(c, compareBlocksAt, -1)
	case e.Bytes == 0:
		// SBC-3 §5.2: no blocks is no error.
		c.Succeed()
	default:
		ask(c, 2*e.Bytes, 0)
		if c.ExpectedOutBytes > 0 && c.ExpectedOutBytes != c.DataOutBytes {
			// Which half is which depends on the length, so nothing is compared when
			// the initiator thinks of another one.
			FailExpected(c)
		}
	}
}

// compareWrite reads the blocks and, when they are equal, writes. That nothing
// comes in between is up to the unit (MediumAtomic).
func (d *Device) compareWrite(c *sam.Command) Program {
	e, ok := d.compareExtent(c)
	if !ok {
		return Program{}
	}
	if int64(c.Received) < 2*e.Bytes {
		FailExpected(c)
		return Program{}
	}
	return Program{
		Kind: CompareWrite, Offset: e.Offset, Bytes: e.Bytes, fua: e.FUA, run: run{offset: e.Offset, bytes: e.Bytes},
	}
}

// nextCompareWrite reads the range and then, since Check found no difference, writes it.
func (p *Program) nextCompareWrite() (Step, bool) {
	if s, ok := p.cut(blk.Read, blk.MaxRequestBytes); ok && p.index == 0 {
		return s, true
	} else if ok {
		s.Op, s.FUA = blk.Write, p.fua
		return s, true
	}
	if p.index++; p.index > 1 {
		return Step{}, false
	}
	p.Offset, p.Bytes = p.run.offset, p.run.bytes
	return p.nextCompareWrite()
}
