package lun

import (
	"lunar/internal/buf"
	"lunar/lun/blk"
	"lunar/scsi/sam"
)

// Local is one reactor's side of all units.
type Local struct {
	reactor int
	post    Post
	pool    *buf.Pool
	clock   Clock
	sharer  Sharer
	// sides are those of units with a queue here, by queue index; freeSides are the
	// indexes of units that went.
	sides     []*side
	freeSides []int
	dirty     []*side
	// passed counts the commands that came in through a gate, running the requests
	// that media have from here.
	passed  uint64
	running int
	// events go to the transport of this reactor, once per turn.
	events, spare []Event
	done          []*blk.Request

	steps     [maxLocalSteps]step
	freeSteps []uint32
	working   []*Unit          // with a background operation
	programs  []*program       // waiting for a step or a buffer
	compares  []waitingAgainst // likewise

	// copies are the third-party copies of units at home here, by slot, with nil in a free
	// one; pieces of all of them are under way.
	copies        []*copying
	freeCopies    []int
	waitingCopies []*copying
	pieces        int
	// guarded are units at home here whose ROD tokens age.
	guarded []*Unit
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

// Attach gives a unit its queue on this reactor; open is told the index that its
// ring operations carry. A unit has one at its home, and where it has another, plain
// reads and writes need not go home. All are attached before the unit's first command, one
// reactor after the other.
func (l *Local) Attach(u *Unit, open func(index uint32) blk.Queue) {
	s := u.join(l.reactor)
	if l.reactor == u.home {
		u.started = l.millis()
	}
	i := len(l.sides)
	if n := len(l.freeSides); n > 0 {
		i, l.freeSides = l.freeSides[n-1], l.freeSides[:n-1]
	} else {
		l.sides = append(l.sides, nil)
	}
	s.queue = open(uint32(i))
	l.sides[i] = s
}

// Passed is how many commands ran on this reactor without their unit's home.
func (l *Local) Passed() uint64 { return l.passed }

// Begin hands a command to its unit. It is true when the device server has
// decided already; else a Begun event comes.
func (l *Local) Begin(u *Unit, c *sam.Command) bool {
	if s := u.side(l.reactor); s != nil && u.plain(l, s, c) {
		return true
	}
	quiet := needsQuiet(c)
	if l.first(u) && (!quiet || !c.Joint) {
		return u.begin(c)
	}
	// At home too: what was announced was delivered before, and lies in the mailbox, as
	// does what other connections of a session brought before a command that passes
	// nothing.
	if quiet {
		u.gate.announce()
	}
	if u.home == l.reactor {
		u.mailed++
	}
	l.post.Post(u.home, Message{kind: askBegin, unit: u, Event: Event{Command: c}})
	return false
}

// first says whether this is a unit's home and nothing lies in the mailbox that what is
// done here now would pass.
func (l *Local) first(u *Unit) bool {
	return u.home == l.reactor && u.mailed == 0 && !u.gate.announced()
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
	if s := u.side(l.reactor); s != nil {
		l.batch(s, r)
		return
	}
	l.post.Post(u.home, Message{kind: askMove, unit: u, Event: Event{Request: r}})
}

// Compare compares the data of r with the medium; a Moved event comes with OK,
// Differs or what the medium said.
func (l *Local) Compare(u *Unit, r *blk.Request) {
	if u.home == l.reactor {
		l.against(waitingAgainst{u, r, false})
		return
	}
	l.post.Post(u.home, Message{kind: askCompare, unit: u, Event: Event{Request: r}})
}

// Merge reads where r is to write and ORs that into its data; a Moved event comes, and
// nothing was written.
func (l *Local) Merge(u *Unit, r *blk.Request) {
	if u.home == l.reactor {
		l.against(waitingAgainst{u, r, true})
		return
	}
	l.post.Post(u.home, Message{kind: askMerge, unit: u, Event: Event{Request: r}})
}

// Finish takes a command out of its unit's task set: its response is on its way,
// or it was aborted and nothing touches the medium for it any more.
func (l *Local) Finish(u *Unit, c *sam.Command) {
	if u.home == l.reactor || c.Ticket&plainTicket != 0 {
		u.finish(l, c.Ticket, outcomeOf(c))
		return
	}
	l.post.Post(u.home, Message{kind: askFinish, unit: u, ticket: c.Ticket, outcome: outcomeOf(c)})
}

// Stop keeps an Execute under way from starting further steps; its Executed event
// still comes.
func (l *Local) Stop(u *Unit, c *sam.Command) {
	if u.home == l.reactor {
		u.stop(l, c.Ticket)
		return
	}
	// By ticket: when this arrives the command may have ended, and its memory be
	// another's. The ticket stays its own until the Finish behind this.
	l.post.Post(u.home, Message{kind: askStop, unit: u, ticket: c.Ticket})
}

// Withdraw says that the owner of a command whose Begun has not come yet ends it:
// it is not kept waiting behind others. Its Begun still comes.
func (l *Local) Withdraw(u *Unit, owner uint64) {
	if u.home == l.reactor && u.withdraw(l, owner) {
		return
	}
	// Also from the home: a command that is alone comes there by message.
	l.post.Post(u.home, Message{kind: askWithdraw, unit: u, Event: Event{Owner: owner}})
}

// Manage starts a task management function; a Managed event comes when every
// command it ends is gone. From the home it goes by message too when other connections
// may have sent commands before it: those lie in the mailbox.
func (l *Local) Manage(u *Unit, m *Management) {
	m.origin = l.reactor
	if s := u.side(l.reactor); s != nil {
		m.mark, m.behind = s.tasks.arrivals, u.home == l.reactor && u.mailed > 0
	}
	if l.first(u) && !m.Joint {
		u.manage(l, m)
		return
	}
	l.post.Post(u.home, Message{kind: askManage, unit: u, Event: Event{Management: m}})
}

// Open makes a nexus known to a unit before its first command, by a name that does not
// change, or nil.
func (l *Local) Open(u *Unit, n sam.Nexus, name *sam.NexusName) {
	if u.home == l.reactor {
		u.openNexus(n, name)
		return
	}
	l.post.Post(u.home, Message{kind: askOpen, unit: u, nexus: n, name: name})
}

// Lose tells a unit that a nexus was lost (RFC 3720 §5.3.5.1 [R-5.3.5.1-1]).
func (l *Local) Lose(u *Unit, n sam.Nexus) {
	if u.home == l.reactor {
		u.loseNexus(l, n)
		return
	}
	l.post.Post(u.home, Message{kind: askLoss, unit: u, nexus: n})
}

// Receive takes a message from another reactor.
func (l *Local) Receive(m Message) {
	switch m.kind {
	case askBegin:
		quiet := needsQuiet(m.Command)
		if OwnerReactor(m.Command.Owner) == l.reactor {
			m.unit.mailed--
		}
		begun := m.unit.begin(m.Command)
		if quiet {
			m.unit.gate.arrived()
		}
		if begun {
			l.tell(m.Command.Owner, Event{Kind: Begun, Command: m.Command})
		}
	case askExecute:
		if m.unit.execute(l, m.Command) {
			l.tell(m.Command.Owner, Event{Kind: Executed, Command: m.Command})
		}
	case askMove:
		l.batch(m.unit.side(l.reactor), m.Request)
	case askCompare:
		l.against(waitingAgainst{m.unit, m.Request, false})
	case askMerge:
		l.against(waitingAgainst{m.unit, m.Request, true})
	case askStop:
		m.unit.stop(l, m.ticket)
	case askFinish:
		m.unit.finish(l, m.ticket, m.outcome)
	case askForget:
		m.unit.forget(l, m.ticket, sam.Good)
	case askManage:
		if s := m.unit.side(l.reactor); s != nil && m.Management.origin == l.reactor && m.Management.behind {
			// What this reactor sent itself before it has arrived now.
			m.Management.mark = s.tasks.arrivals
		}
		m.unit.manage(l, m.Management)
	case askOpen:
		m.unit.openNexus(m.nexus, m.name)
	case askLoss:
		m.unit.loseNexus(l, m.nexus)
	case askWithdraw:
		m.unit.withdraw(l, m.Owner)
	case askAdvance:
		m.unit.advance(l)
	case askAbort:
		m.unit.abort(l, m.unit.sides[l.reactor], m.Management)
	case askConclude:
		m.Management.Found = m.Management.Found || m.found
		m.unit.concludeSide(l, m.Management)
	case askAttend:
		m.unit.attend(m.nexus, m.attention)
	case askCleared:
		m.unit.cleared(l, m.nexus)
	case askCount:
		m.unit.count(l, m.gathering)
	case tell:
		l.events = append(l.events, m.Event)
	case tellCopy:
		l.copied(m.Event)
	case askClaim:
		m.claim.answer = m.unit.device.Claim(m.claim.token)
		l.post.Post(m.claim.copy.local.reactor, Message{kind: tellClaim, claim: m.claim})
	case tellClaim:
		m.claim.copy.answered(m.claim.answer)
	case askVouch:
		l.tell(m.Owner, Event{Kind: vouchOf(m.unit, m.token)})
	case askRelease:
		m.unit.forgo(m.token, m.found)
	}
}

// tell brings an event to the reactor that owns what it is about. One for a copy goes by
// message even at home: nobody is called back from where it came about, and a copy between
// media that answer at once takes a turn for each piece.
func (l *Local) tell(owner uint64, e Event) {
	if owner&ownCopy != 0 {
		e.Owner = owner
		l.post.Post(OwnerReactor(owner), Message{kind: tellCopy, Event: e})
		return
	}
	if r := OwnerReactor(owner); r != l.reactor {
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

// Pending says whether events wait to be taken, or requests to be flushed: a
// reactor that slept now would leave them.
func (l *Local) Pending() bool { return len(l.events) > 0 || len(l.dirty) > 0 }

func (l *Local) batch(s *side, r *blk.Request) {
	if len(s.batch) == 0 {
		l.dirty = append(l.dirty, s)
	}
	r.Result, r.Progress = blk.Running, 0
	s.batch = append(s.batch, r)
}

// Flush hands the turn's requests to the media, one crossing for each unit.
// Requests that end at once may start others, which go out too, and what waited
// for a slot or a buffer tries again: the pool is shared, so a buffer may have
// come back without an end of anything of ours. It is true when anything was
// handed over.
func (l *Local) Flush() (worked bool) {
	for l.retry(); len(l.dirty) > 0; l.retry() {
		s := l.dirty[len(l.dirty)-1]
		l.dirty = l.dirty[:len(l.dirty)-1]
		batch := s.batch
		s.batch = nil
		l.running += len(batch)
		l.finished(s.queue.Submit(batch, l.done[:0]))
		if s.batch == nil {
			s.batch = batch[:0]
		}
		worked = true
	}
	return worked
}

// Complete takes the end of a ring operation whose token carried this index.
func (l *Local) Complete(index uint32, result int32) {
	l.finished(l.sides[index>>16].queue.Complete(index&0xffff, result, l.done[:0]))
}

// finished brings every finished request to whoever submitted it.
func (l *Local) finished(done []*blk.Request) {
	l.running -= len(done)
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

// Running is how many requests of this reactor the media have, or will have when the
// turn ends.
func (l *Local) Running() int {
	n := l.running
	for _, s := range l.dirty {
		n += len(s.batch)
	}
	return n
}
