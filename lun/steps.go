package lun

import (
	"bytes"
	"encoding/binary"

	"lunar/internal/buf"
	"lunar/lun/blk"
	"lunar/scsi"
	"lunar/scsi/pi"
)

// maxLocalSteps is how many requests of its own a reactor's Local has in flight:
// steps of programs and reads of comparisons. Others wait their turn.
const maxLocalSteps = 64

// step is one request of this package: a step of a program, or the read half of
// a comparison.
type step struct {
	blk.Request
	program *program
	// against is the request whose data the medium is compared with, or merged into.
	against *blk.Request
	merge   bool
	unit    *Unit
	buf     *buf.Buf
}

// waitingAgainst is a request whose data the medium is compared with, or merged into.
type waitingAgainst struct {
	unit  *Unit
	r     *blk.Request
	merge bool
}

// startStep draws a slot and, for a read or write, a buffer.
func (l *Local) startStep(u *Unit, s scsi.Step) *step {
	if len(l.freeSteps) == 0 {
		return nil
	}
	var b *buf.Buf
	tuples := int64(0)
	if s.Tuples {
		tuples = s.Length / int64(u.info.BlockBytes) * pi.Bytes
	}
	if s.Op == blk.Read || s.Op == blk.Write {
		if b = l.pool.Get(int(s.Length + tuples)); b == nil {
			return nil
		}
	}
	i := l.freeSteps[len(l.freeSteps)-1]
	l.freeSteps = l.freeSteps[:len(l.freeSteps)-1]
	x := &l.steps[i]
	*x = step{unit: u, buf: b, Request: blk.Request{
		Op: s.Op, FUA: s.FUA, Bare: s.Bare, Offset: s.Offset, Length: s.Length, Tag: Owner(l.reactor, ownStep|uint64(i)),
	}}
	if b != nil {
		x.Data = b.Bytes()[:s.Length]
	}
	if s.Tuples {
		x.Tuples = b.Bytes()[s.Length:][:tuples]
	}
	return x
}

// run starts steps of a program until enough are in flight.
func (l *Local) run(p *program) {
	for p.running < p.most() {
		s, ok := p.take()
		if !ok {
			return
		}
		x := l.startStep(p.unit, s)
		if x == nil {
			p.next, p.waiting = s, true
			l.programs = append(l.programs, p)
			return
		}
		if s.Op == blk.Write {
			p.unit.device.Supply(p.command, &p.plan, s.Offset, x.Data)
			if s.Tuples {
				p.unit.device.SupplyTuples(p.command, &p.plan, s.Offset, x.Tuples)
			}
		}
		x.program = p
		p.running++
		l.batch(p.unit.sides[l.reactor], &x.Request)
	}
}

// against reads what a request is to be compared with, or to have merged in.
func (l *Local) against(w waitingAgainst) {
	x := l.startStep(w.unit, scsi.Step{Op: blk.Read, Offset: w.r.Offset, Length: w.r.Length})
	if x == nil {
		l.compares = append(l.compares, w)
		return
	}
	x.against, x.merge = w.r, w.merge
	l.batch(w.unit.sides[l.reactor], &x.Request)
}

// endStep takes the result of a request of this package. Those that wait for its
// slot or buffer go on at the next Flush.
func (l *Local) endStep(x *step) {
	if x.program != nil {
		l.endProgramStep(x)
	} else {
		l.endCompare(x)
	}
	if x.buf != nil {
		x.buf.Release()
	}
	l.freeSteps = append(l.freeSteps, uint32(OwnerBits(x.Tag)&^ownStep))
	p := x.program
	*x = step{}
	if p != nil {
		l.goOn(p)
	}
}

func (l *Local) endProgramStep(x *step) {
	p := x.program
	p.running--
	switch {
	case p.failed:
	case x.Result != blk.OK:
		reads := x.Op == blk.Read || x.Op == blk.Map
		first := uint64(x.Offset+x.Progress) / uint64(p.unit.info.BlockBytes)
		scsi.FailMedium(p.command, x.Result, !reads, first)
		p.fail()
	case x.Op == blk.Map:
		p.unit.device.Extent(p.command, &p.plan, x.Progress, x.Hole, x.Anchored)
	case x.Op == blk.Read && x.Tuples != nil:
		if !p.unit.device.CheckTuples(p.command, &p.plan, x.Offset, x.Data, x.Tuples) {
			p.fail()
		}
	case x.Op == blk.Read && !p.unit.device.Check(p.command, &p.plan, x.Offset, x.Data):
		p.fail()
	}
}

func (l *Local) goOn(p *program) {
	if !p.waiting && !p.plan.Detached() {
		l.run(p)
	}
	if p.over() && p.conclude(l) {
		l.tell(p.command.Owner, Event{Kind: Executed, Command: p.command})
	}
}

func (l *Local) endCompare(x *step) {
	r := x.against
	r.Result, r.Progress = x.Result, x.Progress
	switch {
	case x.Result != blk.OK:
	case x.merge:
		or(r.Data, x.Data)
	case !bytes.Equal(x.Data, r.Data):
		r.Result, r.Progress = blk.Differs, firstDifference(x.Data, r.Data)
	}
	l.tell(r.Tag, Event{Kind: Moved, Request: r})
}

// or ORs b into a, of whole words.
func or(a, b []byte) {
	for i := 0; i+8 <= len(a); i += 8 {
		binary.NativeEndian.PutUint64(a[i:], binary.NativeEndian.Uint64(a[i:])|binary.NativeEndian.Uint64(b[i:]))
	}
}

func firstDifference(a, b []byte) int64 {
	for i := range a {
		if a[i] != b[i] {
			return int64(i)
		}
	}
	return int64(len(a))
}

// retry starts what waited, as far as slots and buffers reach.
func (l *Local) retry() {
	if l.waitingCopies != nil {
		l.retryCopies()
	}
	if len(l.programs)+len(l.compares) == 0 {
		return
	}
	programs, compares := l.programs, l.compares
	l.programs, l.compares = nil, nil
	for _, p := range programs {
		if !p.waiting {
			continue
		}
		l.run(p)
		if p.over() && p.conclude(l) {
			l.tell(p.command.Owner, Event{Kind: Executed, Command: p.command})
		}
	}
	for _, w := range compares {
		l.against(w)
	}
}
