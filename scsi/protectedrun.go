package scsi

import (
	"lunar/lun/blk"
	"lunar/scsi/pi"
	"lunar/scsi/sam"
)

// executeProtected checks what came with the data and returns what the medium is to do.
// Nothing is written when anything of it is wrong.
func (d *Device) executeProtected(c *sam.Command, row *Opcode) Program {
	p, ok := d.decodeProtected(c, row)
	if !ok {
		return Program{}
	}
	c.Extent = sam.Extent{Offset: p.offset, Bytes: p.bytes}
	out, _ := p.lengths()
	if p.act == actSame && p.unmap && c.Received == 0 {
		out = 0 // as without protection information
	}
	if int64(c.Received) < out {
		FailExpected(c)
		return Program{}
	}
	if p.code != 0 && out > 0 && !p.checkOut(c) {
		return Program{}
	}
	n := Program{Kind: Protected, Offset: p.offset, Bytes: p.bytes, run: run{offset: p.offset, bytes: p.bytes}, protected: p}
	if p.act == actSame {
		n = p.same(n, c.Buffer[:out])
	}
	return n
}

// Moved is how a command that has ended is counted: as what its owner moved for it or, where
// the protection information had it executed instead, as what that would have been.
func Moved(c *sam.Command) sam.Action {
	if c.Action != sam.Complete || c.Extent.Bytes == 0 || !asksProtection(c) {
		return c.Action
	}
	n, _ := byOpcode.find(opcodes, c.CDB[0], actionOf(c))
	if n < 0 {
		return c.Action
	}
	switch opcodes[n].act {
	case actRead:
		return sam.ReadMedium
	case actWrite, actWriteVerify, actOr:
		return sam.WriteMedium
	default:
		return c.Action
	}
}

// checkOut checks the protection information from the initiator, of a COMPARE AND WRITE that
// of what is to be written (SBC-4 §5.3, tables 68, 127 and 133).
func (p *protected) checkOut(c *sam.Command) bool {
	first, n := int64(0), p.blocks()
	switch {
	case p.act == actSame, p.act == actVerify && p.bytchk == bytchkBlock:
		n = 1
	case p.act == actCompare:
		first = n
	}
	e := p.expect
	for i := range n {
		b := c.Buffer[(first+i)*p.wire:][:p.wire]
		e.Reference = p.expect.Reference + uint32(i)
		if _, wrong := e.Verify(b[p.block:], b[:p.block], int(p.block)); wrong != 0 {
			failProtection(c, wrong, p.lba+uint64(i))
			return false
		}
	}
	return true
}

// same is the work of a WRITE SAME, with what it sent.
func (p *protected) same(n Program, sent []byte) Program {
	switch {
	case p.anchor:
		n.Kind, n.bare = Zero, true
	case p.unmap:
		n.Kind = Discard
	case p.ndob || len(sent) == 0:
		// SBC-4 §5.53: zeros, whose protection information, where it was asked for, is
		// FFFF_FFFF_FFFF_FFFFh.
		n.Kind, n.bare = Zero, p.code != 0
	case p.code == 0 && zeros(sent[:p.block]):
		n.Kind = Zero
	}
	return n
}

// nextProtected cuts the range; what writes and reads does one behind the other.
func (p *Program) nextProtected() (Step, bool) {
	op := blk.Read
	switch p.protected.act {
	case actWrite, actSame, actAtomic:
		op = blk.Write
	case actWriteVerify:
		if p.index == 0 {
			op = blk.Write
		}
	case actCompare, actOr:
		if p.index == 1 {
			op = blk.Write
		}
	case actRead, actVerify:
	}
	if s, ok := p.cut(op, blk.MaxProtectedBytes); ok {
		s.FUA = op == blk.Write && (p.protected.fua || p.protected.act == actWriteVerify)
		s.Tuples = p.tuples(op)
		return s, true
	}
	if p.index++; p.index > 1 || !p.twice() {
		return Step{}, false
	}
	p.Offset, p.Bytes = p.run.offset, p.run.bytes
	return p.nextProtected()
}

// tuples says whether a step has protection information: it is written where it came with the
// data, and read but where the medium checks it by itself.
func (p *Program) tuples(op blk.Op) bool {
	if op == blk.Write {
		return p.protected.code != 0
	}
	return p.protected.act != actCompare
}

// twice says that the program reads and writes its range.
func (p *Program) twice() bool {
	a := p.protected.act
	return a == actWriteVerify || a == actCompare || a == actOr
}

// place is where in the buffer the block at offset stands, with what is behind it.
func (p *protected) place(c *sam.Command, offset int64) []byte {
	n := (offset - p.offset) / p.block
	if p.act == actCompare {
		n += p.blocks()
	}
	return c.Buffer[n*p.wire:]
}

// supply lays out the user data of a step.
func (p *protected) supply(c *sam.Command, offset int64, data []byte) {
	from, next := c.Buffer, int64(0)
	if p.act != actSame {
		from, next = p.place(c, offset), p.wire
	}
	for n := int64(0); n < int64(len(data)); n += p.block {
		copy(data[n:n+p.block], from)
		from = from[min(next, int64(len(from))):]
	}
}

// SupplyTuples lays out the protection information of a Write step at offset that has some.
func (d *Device) SupplyTuples(c *sam.Command, p *Program, offset int64, tuples []byte) {
	q := &p.protected
	if q.act == actSame {
		q.repeat(c, offset, tuples)
		return
	}
	from := q.place(c, offset)
	for ; len(tuples) > 0; tuples = tuples[pi.Bytes:] {
		copy(tuples[:pi.Bytes], from[q.block:])
		from = from[min(q.wire, int64(len(from))):]
	}
}

// repeat lays out what WRITE SAME writes: with types 1 and 2 each reference tag is one more
// than that before, but FFFF_FFFF_FFFF_FFFFh stays (SBC-4 §5.52).
func (p *protected) repeat(c *sam.Command, offset int64, tuples []byte) {
	t := pi.Get(c.Buffer[p.block:])
	none := t == pi.Tuple{Guard: 0xffff, Application: 0xffff, Reference: 0xffffffff}
	counts := !none && p.expect.Type != pi.Type3
	if counts {
		t.Reference += uint32((offset - p.offset) / p.block)
	}
	for ; len(tuples) > 0; tuples = tuples[pi.Bytes:] {
		t.Put(tuples)
		if counts {
			t.Reference++
		}
	}
}

// CheckTuples takes the data and the protection information that a step read. When they are
// not as the program needs them it ends c and is false.
func (d *Device) CheckTuples(c *sam.Command, p *Program, offset int64, data, tuples []byte) bool {
	q := &p.protected
	first := uint64(offset-q.offset) / uint64(q.block)
	e := q.expect
	e.Reference += uint32(first)
	compares := q.act == actVerify && q.bytchk != bytchkNone || q.act == actWriteVerify
	if !compares || q.code == 0 {
		// SBC-4 tables 67, 79, 125 and 126.
		if n, wrong := e.Verify(tuples, data, int(q.block)); wrong != 0 {
			failProtection(c, wrong, q.lba+first+uint64(n))
			return false
		}
	}
	switch {
	case compares:
		return q.compare(c, offset, data, tuples)
	case q.act == actRead:
		q.hand(c, offset, data, tuples)
	case q.act == actOr:
		q.merge(c, offset, data)
	}
	return true
}

// hand puts what was read where the initiator gets it from.
func (p *protected) hand(c *sam.Command, offset int64, data, tuples []byte) {
	to := p.place(c, offset)
	for ; len(data) > 0; data, tuples = data[p.block:], tuples[pi.Bytes:] {
		copy(to[:p.wire], data[:p.block])
		if p.code != 0 {
			copy(to[p.block:p.wire], tuples[:pi.Bytes])
		}
		to = to[p.wire:]
	}
}

// merge ORs what was read into what is to be written, of which the guard is generated anew
// (SBC-4 §4.27.1).
func (p *protected) merge(c *sam.Command, offset int64, data []byte) {
	to := p.place(c, offset)
	for ; len(data) > 0; data = data[p.block:] {
		for i, b := range data[:p.block] {
			to[i] |= b
		}
		t := pi.Get(to[p.block:])
		t.Guard = pi.CRC(to[:p.block])
		t.Put(to[p.block:])
		to = to[p.wire:]
	}
}
