package scsi

import (
	"lunar/scsi/pi"
	"lunar/scsi/sam"
)

// compare compares what was read with what the initiator sent: user data, and protection
// information as far as code asks for it. On a difference it ends c and is false.
func (p *protected) compare(c *sam.Command, offset int64, data, tuples []byte) bool {
	n := (offset - p.offset) / p.block
	for ; len(data) > 0; n, data, tuples = n+1, data[p.block:], tuples[pi.Bytes:] {
		at := n * p.wire
		if p.bytchk == bytchkBlock {
			at = 0
		}
		sent := c.Buffer[at:][:p.wire]
		if i := firstDifference(sent[:p.block], data[:p.block]); i >= 0 {
			FailCompare(c, uint64(at)+uint64(i))
			return false
		}
		if p.code == 0 {
			continue
		}
		if wrong := p.differs(pi.Get(sent[p.block:]), pi.Get(tuples), uint32(n)); wrong != 0 {
			// SBC-4 table 128, note c.
			c.Fail(sam.NewSense(sam.Miscompare, codeOf(wrong)).WithInfo(p.lba + uint64(n)))
			return false
		}
	}
	return true
}

// differs is the first field that is to be compared and is another one (SBC-4 table 128).
// With ATO zero application tags, and with type 3 reference tags, are not the application
// client's, and may have been changed.
func (p *protected) differs(sent, stored pi.Tuple, n uint32) pi.Checks {
	if p.bytchk == bytchkBlock && p.expect.Type != pi.Type3 {
		sent.Reference += n
	}
	if sent.Escaped(p.expect.Type) || stored.Escaped(p.expect.Type) {
		return 0
	}
	switch compares := p.compares(); {
	case compares&pi.Guard != 0 && sent.Guard != stored.Guard:
		return pi.Guard
	case compares&pi.Application != 0 && sent.Application != stored.Application:
		return pi.Application
	case compares&pi.Reference != 0 && sent.Reference != stored.Reference:
		return pi.Reference
	}
	return 0
}

// compares are the fields that are to be compared.
func (p *protected) compares() pi.Checks {
	fields := pi.Guard
	if p.code == 2 {
		fields = 0
	}
	if p.owned {
		fields |= pi.Application
	}
	if p.code != 5 && (p.expect.Type != pi.Type3 || p.owned) {
		fields |= pi.Reference
	}
	return fields
}

// compareFirst compares what was read with the first half of what a COMPARE AND WRITE sent,
// user data alone (SBC-4 §5.3).
func (p *protected) compareFirst(c *sam.Command, offset int64, data []byte) bool {
	for at := (offset - p.offset) / p.block * p.wire; len(data) > 0; at, data = at+p.wire, data[p.block:] {
		if i := firstDifference(c.Buffer[at:][:p.block], data[:p.block]); i >= 0 {
			FailCompare(c, uint64(at)+uint64(i))
			return false
		}
	}
	return true
}
