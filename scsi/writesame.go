package scsi

import (
	"bytes"

	"lunar/scsi/sam"
)

const (
	opWriteSame16 = 0x93

	// ndobMask is NO DATA-OUT BUFFER, in WRITE SAME(16) byte 1.
	ndobMask = 0x01
)

func ndob(c *sam.Command) bool { return c.CDB[0] == opWriteSame16 && c.CDB[1]&ndobMask != 0 }

// sameExtent decodes the range of a WRITE SAME. It ends c and is false when the
// range is refused.
func (d *Device) sameExtent(c *sam.Command) (e sam.Extent, ok bool) {
	lba, n := decode(c)
	at := fieldsOf(c.CDB[0])
	blocks := uint64(n)
	if !d.inRange(lba, blocks) || blocks == 0 && lba == d.blocks {
		c.Fail(illegal(codeRange).At(at.lbaAt, -1))
		return e, false
	}
	if blocks == 0 {
		// SBC-3 §5.43 with WSNZ zero: no number means to the end of the medium.
		blocks = d.blocks - lba
	}
	if blocks > uint64(d.maxBlocks) {
		// SBC-3 §6.6.3: over MAXIMUM WRITE SAME LENGTH, also when it is implied.
		failField(c, at.lengthAt, -1)
		return e, false
	}
	return sam.Extent{Offset: int64(lba << d.blockShift), Bytes: int64(blocks) << d.blockShift}, true
}

// beginWriteSame serves WRITE SAME(10) and (16) (SBC-3 §5.43, §5.44).
func (d *Device) beginWriteSame(c *sam.Command) {
	if _, ok := d.sameExtent(c); !ok {
		return
	}
	if c.CDB[1]&(anchorSameMask|unmapMask) == anchorSameMask {
		failField(c, 1, 4) // SBC-3 §5.43: ANCHOR is for what UNMAP unmaps
		return
	}
	if ndob(c) {
		ask(c, 0, 0)
		return
	}
	ask(c, int64(d.info.BlockBytes), 0)
	if c.ExpectedOutBytes > 0 && c.ExpectedOutBytes != c.DataOutBytes {
		// SBC-3 §5.43: the data is a single block. More or less of it shows an
		// initiator that thinks of another block length, so nothing is written.
		FailExpected(c)
	}
}

// writeSame turns the block into the cheapest work that reads back the same.
func (d *Device) writeSame(c *sam.Command) Program {
	e, ok := d.sameExtent(c)
	if !ok {
		return Program{}
	}
	p := Program{Kind: Fill, Offset: e.Offset, Bytes: e.Bytes}
	unmap := c.CDB[1]&unmapMask != 0
	switch {
	case ndob(c), c.Received == 0 && unmap:
		// SBC-3 §5.44: NDOB means a block of zeros. An initiator that unmaps and
		// announces no data at all means the same.
		p.Kind = Zero
	case c.Received < int(d.info.BlockBytes):
		FailExpected(c)
		return Program{}
	case zeros(c.Buffer[:d.info.BlockBytes]):
		p.Kind = Zero
	}
	if unmap {
		// DEVIATION [D-2]: with UNMAP set the range is deallocated and reads as zeros,
		// whatever the data says. SBC-3 §5.43 would write data that is not zero; every
		// host that sets UNMAP means to deallocate, and the public suite demands it.
		p.Kind = Discard
		if c.CDB[1]&anchorSameMask != 0 {
			p.Kind, p.bare = Zero, true
		}
	}
	return p
}

// zeros says whether b is all zeros: its first byte is, and each byte equals the
// one before.
func zeros(b []byte) bool { return b[0] == 0 && bytes.Equal(b[1:], b[:len(b)-1]) }
