package scsi

import (
	"encoding/binary"

	"lunar/lun/blk"
	"lunar/scsi/sam"
)

// ProgramKind says what a Program does to the medium.
type ProgramKind uint8

// Kinds. The zero value is no program: the command is finished.
const (
	// Sync makes finished writes durable: one step.
	Sync ProgramKind = iota + 1
	// DiscardList deallocates the block descriptors of an UNMAP parameter list.
	DiscardList
	// Discard deallocates one range.
	Discard
	// Zero writes zeros over one range.
	Zero
	// Fill writes one block of the initiator over one range; Supply lays it out.
	Fill
	// Verify reads one range and drops it.
	Verify
	// VerifySame reads one range and compares each block with the one the
	// initiator sent; Check does it.
	VerifySame
	// CompareWrite reads one range, compares it with the first half of what the
	// initiator sent and writes the second half; Check and Supply do it.
	CompareWrite
	// Place writes what the initiator sent in one step.
	Place
	// Protected moves data with its protection information: SupplyTuples lays it out and
	// CheckTuples checks it.
	Protected
	// Extents asks which blocks of one range are deallocated, one step after the
	// other; Extent takes each answer.
	Extents
	// Keep makes the state of the device server durable (Draft) and then has it take
	// effect; Kept ends it. It is no step of the medium.
	Keep
	// Preempt ends the commands of other nexuses (Victims); Preempted goes on when they
	// are gone. It is no step of the medium either.
	Preempt
	// Count asks the unit for its Statistics; Counted ends it.
	Count
	// Erase deallocates, or zeroes, the whole medium and Overwrite writes a pattern over it,
	// however long that takes. Both are Detached, and end with Concluded.
	Erase
	Overwrite
	// Copy moves data between units that the initiator sees, one Segment after the other
	// (NextSegment). It has no steps of this medium; EndCopy ends it.
	Copy
	// AbortCopy ends a Copy (Aborts), and then itself.
	AbortCopy
)

// maxRangeBytes is the longest Discard or Zero step, so that one request cannot
// occupy a medium for long while others wait.
const maxRangeBytes = 64 << 20

// Program is the medium work of one command, as plain data. It has no pointers
// and may be copied; whoever runs it calls Next until that is false.
type Program struct {
	Kind ProgramKind
	// Offset and Bytes are the rest of the range, in bytes.
	Offset, Bytes int64
	// index counts the descriptors of a DiscardList already taken, or the look-ups
	// of an Extents, or the passes of a CompareWrite or Overwrite.
	index int
	// Keeps says that a Keep follows when the steps have succeeded.
	Keeps bool
	// Surely says that the steps are not stopped half way, and that the Keep follows when they
	// have failed too.
	Surely bool
	// anchors: what a DiscardList names keeps its store (SBC-3 §4.7.3.4).
	anchors bool
	// fua is what a CompareWrite writes with.
	fua bool
	// bare is for a Zero, as of a Step.
	bare bool
	// protected is what a Protected does.
	protected protected
	// runs counts the descriptors an Extents has written; run is the last of them,
	// which the next look-up may make longer; of a CompareWrite it is the whole range.
	runs int
	run  run
	// record is the number of what RECEIVE COPY RESULTS tells of a Copy, 0 without one, and
	// for an AbortCopy of the one it ends.
	record uint32
	// transfer is which WRITE USING TOKEN a Copy is, counted from 1; immediate says that it
	// goes on without its command.
	transfer  uint8
	immediate bool
}

// run is a part of the medium in one provisioning state, in bytes.
type run struct {
	offset, bytes int64
	state         byte
}

// InOrder says that each step depends on the result of the one before, which
// must have ended when Next is called.
func (p *Program) InOrder() bool {
	return p.Kind == Extents || p.Kind == CompareWrite || p.Kind == Protected && p.twice() || p.Detached()
}

// Detached says that the program goes on without its command, which ends at once when it is
// Immediate, else with it, unless it is aborted before. One step at a time leaves most of
// the store behind the medium to others.
func (p *Program) Detached() bool { return p.Kind == Erase || p.Kind == Overwrite }

// Step is one operation for the medium.
type Step struct {
	Op blk.Op
	// Tuples says that a Read or Write has protection information, as of a blk.Request.
	Tuples bool
	// FUA is for a Write; Bare is for a Zero, as of a blk.Request.
	FUA, Bare bool
	// Offset and Length are in bytes. A Read or Write is no longer than
	// blk.MaxRequestBytes.
	Offset, Length int64
}

// Next takes the next step from p. The steps of a program do not depend on each
// other and may run at the same time, unless it is InOrder; c.Buffer must stay as Execute found it
// until the last one is done.
func (d *Device) Next(c *sam.Command, p *Program) (Step, bool) {
	switch p.Kind {
	case Sync:
		return p.flush()
	case DiscardList:
		return d.nextDescriptor(c, p)
	case Discard:
		return p.cut(blk.Discard, maxRangeBytes)
	case Zero:
		s, ok := p.cut(blk.Zero, maxRangeBytes)
		s.Bare = p.bare
		return s, ok
	case Protected:
		return p.nextProtected()
	case Fill:
		return p.cut(blk.Write, blk.MaxRequestBytes)
	case Verify, VerifySame:
		return p.cut(blk.Read, blk.MaxRequestBytes)
	case CompareWrite:
		return p.nextCompareWrite()
	case Place:
		s, ok := p.cut(blk.Write, blk.MaxRequestBytes)
		s.FUA = p.fua
		return s, ok
	case Extents:
		return p.nextLookup(c)
	case Erase:
		return d.nextErase(p)
	case Overwrite:
		return d.nextOverwrite(p)
	case Keep, Preempt, Count, Copy, AbortCopy: // no steps of the medium
	}
	return Step{}, false
}

// flush is the last step of a program.
func (p *Program) flush() (Step, bool) {
	p.Kind = 0
	return Step{Op: blk.Sync}, true
}

// cut takes at most limit bytes from the front of the range.
func (p *Program) cut(op blk.Op, limit int64) (Step, bool) {
	if p.Bytes == 0 {
		return Step{}, false
	}
	n := min(p.Bytes, limit)
	s := Step{Op: op, Offset: p.Offset, Length: n}
	p.Offset += n
	p.Bytes -= n
	return s, true
}

// nextDescriptor cuts the current descriptor, taking the next one from the list
// when it is used up.
func (d *Device) nextDescriptor(c *sam.Command, p *Program) (Step, bool) {
	list := descriptorsOf(c)
	for p.Bytes == 0 {
		at := p.index * unmapDescriptorBytes
		if at+unmapDescriptorBytes > len(list) {
			return Step{}, false
		}
		p.index++
		p.Offset = int64(binary.BigEndian.Uint64(list[at:]) << d.blockShift)
		p.Bytes = int64(binary.BigEndian.Uint32(list[at+8:])) << d.blockShift
	}
	if p.anchors {
		s, ok := p.cut(blk.Zero, maxRangeBytes)
		s.Bare = true
		return s, ok
	}
	return p.cut(blk.Discard, maxRangeBytes)
}

// Supply lays out the data of a Write step at offset in data. In a Fill program that is the one
// block of the initiator, again and again; in a CompareWrite the second half of what
// it sent.
func (d *Device) Supply(c *sam.Command, p *Program, offset int64, data []byte) {
	switch p.Kind {
	case CompareWrite:
		copy(data, c.Buffer[p.run.bytes+offset-p.run.offset:])
		return
	case Place:
		copy(data, c.Buffer[offset-p.run.offset:])
		return
	case Protected:
		p.protected.supply(c, offset, data)
		return
	case Overwrite:
		d.operation.layOut(p.index, data)
		return
	default:
	}
	// Doubling copies what is already laid out, so the cost is that of the copy.
	n := copy(data, c.Buffer[:d.info.BlockBytes])
	for n < len(data) {
		n += copy(data[n:], data[:n])
	}
}

// Check compares data, read by the step at offset, with what the initiator sent when the
// program asks for it: with its one block again and again, or with the
// first half of it. On a difference it ends c and is false.
func (d *Device) Check(c *sam.Command, p *Program, offset int64, data []byte) bool {
	var block []byte
	at := int64(0)
	switch p.Kind {
	case VerifySame:
		block = c.Buffer[:d.info.BlockBytes]
	case CompareWrite:
		at = offset - p.run.offset
		block = c.Buffer[at:][:len(data)]
	case Protected: // of a COMPARE AND WRITE
		return p.protected.compareFirst(c, offset, data)
	default:
		return true
	}
	for len(data) >= len(block) {
		if i := firstDifference(block, data[:len(block)]); i >= 0 {
			// SBC-3 §5.29, §5.2: the offset is into the data of the initiator, where what
			// is compared with stands at the start.
			FailCompare(c, uint64(at)+uint64(i))
			return false
		}
		data = data[len(block):]
	}
	return true
}

// firstDifference returns the first index where a and b differ, or -1.
func firstDifference(a, b []byte) int {
	for i := range a {
		if a[i] != b[i] {
			return i
		}
	}
	return -1
}
