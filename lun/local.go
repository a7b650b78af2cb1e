package lun

import (
	"bytes"

	"lunar/internal/buf"
	"lunar/lun/blk"
	"lunar/scsi"
	"lunar/scsi/sam"
)

// maxLocalSteps is how many requests of its own a reactor's Local has in flight:
// steps of programs and reads of comparisons. Others wait their turn.
const maxLocalSteps = 64

// Local is one reactor's side of all units.
type Local struct {
	reactor int
	post    Post
	pool    *buf.Pool
	// units are those with a queue here, by queue index.
	units []*Unit
	dirty []*Unit
	// events go to the transport of this reactor, once per turn.
	events, spare []Event
	done          []*blk.Request

	steps     [maxLocalSteps]step
	freeSteps []uint32
	programs  []*program       // waiting for a step or a buffer
	compares  []waitingAgainst // likewise
}

type waitingAgainst struct {
	unit *Unit
	r    *blk.Request
}

// NewLocal returns the side of one reactor. Pool lends buffers to programs and
// comparisons; it holds at least one of blk.MaxRequestBytes.
func NewLocal(reactor int, pool *buf.Pool, post Post) *Local {
	l := &Local{reactor: reactor, pool: pool, post: post}
	for i := range l.steps {
		l.freeSteps = append(l.freeSteps, uint32(maxLocalSteps-1-i))
	}
	return l
}

// Attach gives a unit that is at home here its queue, and returns the index its
// ring operations carry.
func (l *Local) Attach(u *Unit, open func(index uint32) blk.Queue) {
	u.queue = open(uint32(len(l.units)))
	l.units = append(l.units, u)
}

// Begin hands a command to its unit. It is true when the device server has
// decided already; else a Begun event comes.
func (l *Local) Begin(u *Unit, c *sam.Command) bool {
	if u.home == l.reactor {
		u.begin(c)
		return true
	}
	l.post.Post(u.home, Message{kind: askBegin, unit: u, Event: Event{Command: c}})
	return false
}

// Execute runs a command whose Begin asked for it. It is true when done already;
// else an Executed event comes.
func (l *Local) Execute(u *Unit, c *sam.Command) bool {
	if u.home == l.reactor {
		return u.execute(l, c)
	}
	l.post.Post(u.home, Message{kind: askExecute, unit: u, Event: Event{Command: c}})
	return false
}

// Move starts a read or write of the medium; a Moved event comes.
func (l *Local) Move(u *Unit, r *blk.Request) {
	if u.home == l.reactor {
		l.batch(u, r)
		return
	}
	l.post.Post(u.home, Message{kind: askMove, unit: u, Event: Event{Request: r}})
}

// Compare compares the data of r with the medium; a Moved event comes with OK,
// Differs or what the medium said.
func (l *Local) Compare(u *Unit, r *blk.Request) {
	if u.home == l.reactor {
		l.compare(u, r)
		return
	}
	l.post.Post(u.home, Message{kind: askCompare, unit: u, Event: Event{Request: r}})
}

// Finish takes a command out of its unit's task set: its response is on its way,
// or it was aborted and nothing touches the medium for it any more.
func (l *Local) Finish(u *Unit, c *sam.Command) {
	if u.home == l.reactor {
		u.finish(l, c.Ticket)
		return
	}
	l.post.Post(u.home, Message{kind: askFinish, unit: u, ticket: c.Ticket})
}

// Stop keeps an Execute under way from starting further steps; its Executed event
// still comes.
func (l *Local) Stop(u *Unit, c *sam.Command) {
	if u.home == l.reactor {
		u.tasks.stop(c.Ticket)
		return
	}
	// By ticket: when this arrives the command may have ended, and its memory be
	// another's. The ticket stays its own until the Finish behind this.
	l.post.Post(u.home, Message{kind: askStop, unit: u, ticket: c.Ticket})
}

// Manage starts a task management function; a Managed event comes when every
// command it ends is gone.
func (l *Local) Manage(u *Unit, m *Management) {
	if u.home == l.reactor {
		u.manage(l, m)
		return
	}
	l.post.Post(u.home, Message{kind: askManage, unit: u, Event: Event{Management: m}})
}

// Open makes a nexus known to a unit before its first command.
func (l *Local) Open(u *Unit, n sam.Nexus) {
	if u.home == l.reactor {
		u.device.OpenNexus(n)
		return
	}
	l.post.Post(u.home, Message{kind: askOpen, unit: u, nexus: n})
}

// Lose tells a unit that a nexus was lost (RFC 3720 §5.3.5.1 [R-5.3.5.1-1]).
func (l *Local) Lose(u *Unit, n sam.Nexus) {
	if u.home == l.reactor {
		u.device.NexusLoss(n)
		return
	}
	l.post.Post(u.home, Message{kind: askLoss, unit: u, nexus: n})
}

// Receive takes a message from another reactor.
func (l *Local) Receive(m Message) {
	switch m.kind {
	case askBegin:
		m.unit.begin(m.Command)
		l.tell(m.Command.Owner, Event{Kind: Begun, Command: m.Command})
	case askExecute:
		if m.unit.execute(l, m.Command) {
			l.tell(m.Command.Owner, Event{Kind: Executed, Command: m.Command})
		}
	case askMove:
		l.batch(m.unit, m.Request)
	case askCompare:
		l.compare(m.unit, m.Request)
	case askStop:
		m.unit.tasks.stop(m.ticket)
	case askFinish:
		m.unit.finish(l, m.ticket)
	case askManage:
		m.unit.manage(l, m.Management)
	case askOpen:
		m.unit.device.OpenNexus(m.nexus)
	case askLoss:
		m.unit.device.NexusLoss(m.nexus)
	case tell:
		l.events = append(l.events, m.Event)
	}
}

// tell brings an event to the reactor that owns what it is about.
func (l *Local) tell(owner uint64, e Event) {
	if r := ownerReactor(owner); r != l.reactor {
		l.post.Post(r, Message{kind: tell, Event: e})
		return
	}
	l.events = append(l.events, e)
}

// Events returns what happened since the last call; valid until the next one.
func (l *Local) Events() []Event {
	l.events, l.spare = l.spare[:0], l.events
	return l.spare
}

// Pending says whether events wait.
func (l *Local) Pending() bool { return len(l.events) > 0 }

func (l *Local) batch(u *Unit, r *blk.Request) {
	if len(u.batch) == 0 {
		l.dirty = append(l.dirty, u)
	}
	r.Result, r.Progress = blk.Running, 0
	u.batch = append(u.batch, r)
}

// Flush hands the turn's requests to the media, one crossing for each unit.
// Requests that end at once may start others, which go out too, and what waited
// for a slot or a buffer tries again: the pool is shared, so a buffer may have
// come back without an end of anything of ours. It is true when anything was
// handed over.
func (l *Local) Flush() (worked bool) {
	for l.retry(); len(l.dirty) > 0; l.retry() {
		u := l.dirty[len(l.dirty)-1]
		l.dirty = l.dirty[:len(l.dirty)-1]
		batch := u.batch
		u.batch = nil
		l.finished(u.queue.Submit(batch, l.done[:0]))
		if u.batch == nil {
			u.batch = batch[:0]
		}
		worked = true
	}
	return worked
}

// Complete takes the end of a ring operation whose token carried this index.
func (l *Local) Complete(index uint32, result int32) {
	u := l.units[index>>16]
	l.finished(u.queue.Complete(index&0xffff, result, l.done[:0]))
}

// finished brings every finished request to whoever submitted it.
func (l *Local) finished(done []*blk.Request) {
	for _, r := range done {
		if r.Tag&ownStep == 0 {
			l.tell(r.Tag, Event{Kind: Moved, Request: r})
			continue
		}
		l.endStep(&l.steps[OwnerBits(r.Tag)&^ownStep])
	}
	clear(done)
	l.done = done[:0]
}

// ownStep marks the tag of a request of this package; owners leave that bit 0.
const ownStep = 1 << (ownerShift - 1)

// Running is how many requests the media have that are at home here.
func (l *Local) Running() (n int) {
	for _, u := range l.units {
		n += u.queue.Running() + len(u.batch)
	}
	return n
}

// startStep draws a slot and, for a read or write, a buffer.
func (l *Local) startStep(u *Unit, s scsi.Step) *step {
	if len(l.freeSteps) == 0 {
		return nil
	}
	var b *buf.Buf
	if s.Op == blk.Read || s.Op == blk.Write {
		if b = l.pool.Get(int(s.Length)); b == nil {
			return nil
		}
	}
	i := l.freeSteps[len(l.freeSteps)-1]
	l.freeSteps = l.freeSteps[:len(l.freeSteps)-1]
	x := &l.steps[i]
	*x = step{unit: u, buf: b, Request: blk.Request{
		Op: s.Op, FUA: s.FUA, Offset: s.Offset, Length: s.Length, Tag: Owner(l.reactor, ownStep|uint64(i)),
	}}
	if b != nil {
		x.Data = b.Bytes()[:s.Length]
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
			p.unit.device.Supply(p.command, x.Data)
		}
		x.program = p
		p.running++
		l.batch(p.unit, &x.Request)
	}
}

func (l *Local) compare(u *Unit, r *blk.Request) {
	x := l.startStep(u, scsi.Step{Op: blk.Read, Offset: r.Offset, Length: r.Length})
	if x == nil {
		l.compares = append(l.compares, waitingAgainst{u, r})
		return
	}
	x.against = r
	l.batch(u, &x.Request)
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
		p.unit.device.Extent(p.command, &p.plan, x.Progress, x.Hole)
	case x.Op == blk.Read && !p.unit.device.Check(p.command, p.plan.Kind, x.Data):
		p.fail()
	}
}

func (l *Local) goOn(p *program) {
	if !p.waiting {
		l.run(p)
	}
	if p.over() {
		l.tell(p.command.Owner, Event{Kind: Executed, Command: p.command})
	}
}

func (l *Local) endCompare(x *step) {
	r := x.against
	r.Result, r.Progress = x.Result, x.Progress
	if x.Result == blk.OK && !bytes.Equal(x.Data, r.Data) {
		r.Result, r.Progress = blk.Differs, firstDifference(x.Data, r.Data)
	}
	l.tell(r.Tag, Event{Kind: Moved, Request: r})
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
		if p.over() {
			l.tell(p.command.Owner, Event{Kind: Executed, Command: p.command})
		}
	}
	for _, c := range compares {
		l.compare(c.unit, c.r)
	}
}

// NexusLossAll tells every unit of a map that a nexus was lost.
func (l *Local) NexusLossAll(m *Map, n sam.Nexus) {
	for _, u := range m.units {
		if u != nil {
			l.Lose(u, n)
		}
	}
}
