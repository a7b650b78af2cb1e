package transport

import (
	"lunar/iscsi/order"
	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
	"lunar/iscsi/session"
	"lunar/lun"
	"lunar/reactor"
	"lunar/scsi"
	"lunar/scsi/sam"
)

// What is here is the time between the loss of a connection and the reassignment of its
// commands, at recovery level 2 (RFC 3720 §6.1.4.3, §7.2: CLEANUP_WAIT and IN_CLEANUP).
// The socket goes; the place stays, with the commands, which do what they can without an
// initiator.

// lost ends a connection whose transport has failed: its commands wait where that was
// negotiated, else they end with it.
func (c *Conn) lost(why string) {
	if c.phase == fullFeature && c.mayPark() || c.phase == leaving && c.removing {
		c.park(why)
		return
	}
	c.close(why)
	c.gone()
}

func (c *Conn) mayPark() bool {
	return !c.stack.draining && c.sess.Parks() && c.sess.Params.DefaultTime2Retain > 0 && (c.removing || !c.sess.LoggingOut()) && !c.goodbye
}

// park takes the socket away and keeps the commands for Time2Wait and Time2Retain (RFC
// 3720 §6.4.1 [R-6.4.1-1]).
func (c *Conn) park(why string) {
	c.logClose(why)
	p := &c.sess.Params
	c.phase = parked
	c.deadline = c.stack.loop.Now() + int64(p.DefaultTime2Wait+p.DefaultTime2Retain)*1e9
	c.stack.stats.Dropped++
	c.hangUp()
	c.dropHeld()
	c.place, c.delayed, c.logout, c.fences = nil, nil, nil, nil
	c.dropBuild()
	for _, t := range c.queue {
		t.queued = false
	}
	c.queue = c.queue[:0]
	c.dropKept()
	for i := range c.tasks {
		c.suspend(&c.tasks[i])
	}
	c.knock()
	c.shrink()
	c.stack.keeper.Parked(c.name(), c.removing)
	if c.removing {
		c.recover()
	}
	c.vacate()
}

// shrink gives back what was promised for data that comes unasked: none comes any more,
// and each command has at most one such buffer.
func (c *Conn) shrink() {
	if n := c.sess.Live(); n < c.promised {
		c.stack.promised[c.promisedOf] -= c.promised - n
		c.promised = n
	}
}

// spent ends a lost connection of which nothing can be asked any more.
func (c *Conn) spent() {
	if c.phase == parked && c.recovered && c.fd < 0 && c.sess.Live() == 0 && !c.sess.Remembers() {
		c.close("all its commands were reassigned")
	}
}

// hangUp ends both directions of the socket, and a receive that waits.
func (c *Conn) hangUp() {
	if c.fd < 0 {
		return
	}
	c.stack.loop.Submit(reactor.Op{Code: reactor.Shutdown, Token: c.token(KindEnd), FD: c.fd})
	if c.receiving {
		// Shutdown ends a receive that waits; one into a place may wait for more.
		c.stack.loop.Submit(reactor.Op{Code: reactor.Cancel, Token: c.token(KindEnd), Target: c.token(KindRecv)})
	}
}

// suspend leaves a task to itself. What was immediate, and what is no command, ends with
// its connection always (RFC 3720 §6.12 [R-6.12-3]).
func (c *Conn) suspend(t *task) {
	if t.kept != 0 {
		c.dropList(&t.kept)
	}
	t.rewound = false
	switch {
	case t.s.Kind == session.KindFree:
	case t.s.Kind != session.KindSCSI:
		// Another connection may bring its number, if it was not due yet.
		c.sess.StopWaiting(t.s, true)
		c.sess.Release(t.s)
		c.over(t)
	case t.s.Phase == session.Aborting:
		c.quiet(t)
	case t.s.Immediate && !t.s.Adopted, t.s.Phase == session.Receiving:
		if t.s.Phase != session.Receiving {
			c.cleared(t)
		}
		c.abort(t)
	default:
		t.s.Out.Interrupt()
		c.progress(t)
	}
}

// vacate gives the socket back when nothing uses it any more.
func (c *Conn) vacate() {
	if c.phase != parked || c.receiving || c.flying != nil {
		return
	}
	c.current = session.Disposition{}
	c.sess.Forget()
	if c.fd >= 0 {
		c.stack.loop.Submit(reactor.Op{Code: reactor.Close, Token: c.token(KindEnd), FD: c.fd})
		c.fd = -1
	}
	for i := range c.tasks {
		if t := &c.tasks[i]; t.s.Kind == session.KindSCSI {
			c.progress(t)
		}
	}
	c.handOut()
}

// Recover carries out a logout for recovery of a connection, alive or lost: numbers of
// commands that were not due may come again, and the others may be reassigned (RFC 3720
// §10.14 [R-10.14-2], [R-10.14-5]). The answer is Keeper.Recovered, or Ended.
func (s *Stack) Recover(h Handle) {
	c := s.find(h.Generation, h.Index)
	if c == nil {
		return
	}
	if c.phase == fullFeature && c.mayPark() {
		c.park("removed for recovery")
	}
	if c.phase == parked {
		c.recover()
	} else {
		c.close("removed for recovery")
	}
}

func (c *Conn) recover() {
	c.recovered = true
	for i := range c.tasks {
		// One that is due just now has its number, and will run here like those before it.
		if t := &c.tasks[i]; t.s.Kind == session.KindSCSI && c.sess.StopWaiting(t.s, true) {
			t.s.Phase = session.Aborting
			c.quiet(t)
		}
	}
	c.knock()
	c.stack.keeper.Recovered(c.name())
	c.spent()
}

// Seek asks what became of a command of the session. The answer is Keeper.Found.
type Seek struct {
	Token uint32
	ITT   pdu.ITT
	// ExpDataSN is what the initiator has of its data.
	ExpDataSN serial.DataSN
	// Abort: it is to end, not to be reassigned; Ask: only whether it is there.
	Abort, Ask bool
}

// Finding is the answer to Seek.
type Finding struct {
	Kind FindingKind
	// Orphan is the command, where Kind is FoundOrphan.
	Orphan *Orphan
}

// FindingKind is what was found.
type FindingKind uint8

// Findings.
const (
	// FoundNothing: this connection does not know the tag.
	FoundNothing FindingKind = iota + 1
	// FoundAllegiant: a command is bound to this connection, which lives or was not
	// logged out for recovery.
	FoundAllegiant
	// FoundOther: the tag is of something that is no command.
	FoundOther
	// FoundEnded: the command has ended, as Seek asked.
	FoundEnded
	// FoundHere: the command is there.
	FoundHere
	// FoundOrphan: the command may go on elsewhere.
	FoundOrphan
)

// Orphan is a command on its way to another connection, with what its unit knows of it.
type Orphan struct {
	session.Orphan
	unit *lun.Unit
	// ticketed: ticket, drawn on reactor, is in the task set of the unit.
	ticketed bool
	ticket   uint32
	reactor  int
	// order is that of its session, nexus where it came from.
	order *order.Sequencer
	nexus sam.Nexus
}

// Seek looks for a command among those of a connection.
func (s *Stack) Seek(h Handle, q Seek) {
	c := s.find(h.Generation, h.Index)
	if c == nil || c.phase != fullFeature && c.phase != parked {
		s.keeper.Found(h, q.Token, Finding{Kind: FoundNothing})
		return
	}
	c.seeks = append(c.seeks, q)
	c.handOut()
}

// handOut answers the questions that can be answered.
func (c *Conn) handOut() {
	n := 0
	for _, q := range c.seeks {
		f := c.find(q)
		if f.Kind == 0 {
			c.seeks[n] = q
			n++
			continue
		}
		c.stack.keeper.Found(c.name(), q.Token, f)
	}
	c.seeks = c.seeks[:n]
	c.spent()
}

// find answers a question; without a kind it cannot be answered yet.
func (c *Conn) find(q Seek) Finding {
	ref, live := c.sess.Find(q.ITT)
	switch {
	case live && ref.Kind != session.KindSCSI:
		return Finding{Kind: FoundOther}
	case live && q.Ask && ref.Phase != session.Aborting:
		return Finding{Kind: FoundHere}
	case live && (c.phase != parked || !c.recovered):
		return Finding{Kind: FoundAllegiant}
	case live && ref.Phase == session.Aborting:
		return Finding{}
	case live && q.Abort:
		c.abort(&c.tasks[ref.Index()])
		if _, still := c.sess.Find(q.ITT); still {
			return Finding{}
		}
		return Finding{Kind: FoundEnded}
	case live:
		return c.orphan(&c.tasks[ref.Index()], q)
	case q.Abort || q.Ask || c.phase != parked:
		return Finding{Kind: FoundNothing}
	case !c.recovered:
		if c.sess.Answered(q.ITT) {
			return Finding{Kind: FoundAllegiant}
		}
		return Finding{Kind: FoundNothing}
	}
	o, ok := c.sess.OrphanOf(q.ITT, q.ExpDataSN)
	if !ok {
		return Finding{Kind: FoundNothing}
	}
	e, present := c.unit(o.Command.LUN)
	if !present && !o.Concluded {
		return Finding{Kind: FoundNothing}
	}
	return Finding{FoundOrphan, &Orphan{Orphan: o, unit: e.Unit, nexus: c.nexus}}
}

// orphan takes a command away from this connection, once nothing here is busy with it.
func (c *Conn) orphan(t *task, q Seek) Finding {
	if t.asking || t.moving > 0 || c.receiving || c.flying != nil {
		return Finding{}
	}
	o := &Orphan{
		unit: t.unit, ticketed: t.began, ticket: t.s.Ticket, reactor: c.stack.reactor, nexus: c.nexus, order: c.sess.Shared(),
	}
	o.Orphan = c.sess.Orphan(t.s, q.ExpDataSN, t.written())
	t.began = false // it is not finished, it goes on
	c.over(t)
	return Finding{FoundOrphan, o}
}

// written is how far the data-out of a task is on the medium, from its start, in whole
// blocks; data that a command works on as a whole is not.
func (t *task) written() uint32 {
	if t.s.Action != sam.WriteMedium && t.s.Action != sam.CompareMedium {
		return 0
	}
	n := min(t.s.Out.Received, t.s.Out.Total)
	if t.count > 0 {
		n = t.chunkAt(0).offset
	}
	for i := range t.count {
		k := t.chunkAt(i)
		if !k.done || k.offset != n {
			break
		}
		n = k.end()
	}
	return n &^ (t.unit.Info().BlockBytes - 1)
}

// Sought brings the answer to Keeper.Seek to the function that asked.
func (s *Stack) Sought(owner uint64, f Finding) {
	c, t := s.owner(owner)
	if c == nil || c.phase != fullFeature || t.s.Kind != session.KindManage {
		if !s.inherit(owner, f.Orphan) {
			s.bury(f.Orphan)
		}
		return
	}
	switch f.Kind {
	case FoundAllegiant:
		t.s.Result = pdu.TaskStillAllegiant
	case FoundOther:
		t.s.Result = pdu.FunctionRejected
	case FoundEnded:
		t.s.Result = pdu.FunctionComplete
	case FoundHere:
		t.s.Result = pdu.FunctionSucceeded
	case FoundOrphan:
		c.adopt(t, f.Orphan)
		return
	case FoundNothing:
		c.sess.NotFound(t.s)
	}
	c.respond(t)
}

// inherit keeps a command with the connection that asked for it and was lost meanwhile:
// it waits there to be reassigned once more, as it did before. It is false when that
// connection does not wait.
func (s *Stack) inherit(owner uint64, o *Orphan) bool {
	i := int(owner >> connShift & connMask)
	if o == nil || i >= len(s.conns) {
		return false
	}
	c := s.conns[i]
	// The place may be another session's by now.
	if c == nil || c.phase != parked || c.nexus != o.nexus {
		return false
	}
	t := c.sess.Adopt(&o.Orphan)
	if t == nil {
		return false
	}
	s.active = c
	c.proceed(&c.tasks[t.Index()], o)
	return true
}

// bury ends a command that nobody takes (RFC 3720 §10.14.5 [R-10.14.5-1]).
func (s *Stack) bury(o *Orphan) {
	if o == nil {
		return
	}
	if o.ticketed {
		s.local.Forget(o.unit, o.reactor, o.ticket)
	}
	if o.Counted() {
		o.order.Credit()
	}
	if o.unit != nil {
		s.local.Attend(o.unit, o.nexus, scsi.ProtocolCleared)
	}
}

// adopt makes a command one of this connection's. The response of the function goes
// first (RFC 3720 §10.6 [R-10.6-1], §6.2.2 [R-6.2.2-5]).
func (c *Conn) adopt(f *task, o *Orphan) {
	s := c.sess.Adopt(&o.Orphan)
	if s == nil {
		// All places for commands that have none in the window are taken.
		f.s.Result = pdu.FunctionRejected
		c.respond(f)
		c.stack.bury(o)
		return
	}
	f.s.Result = pdu.FunctionComplete
	c.respond(f)
	c.proceed(&c.tasks[s.Index()], o)
}

// proceed goes on with an adopted command: its outcome is told again, or its unit is
// asked anew.
func (c *Conn) proceed(t *task, o *Orphan) {
	t.unit = o.unit
	if o.Concluded {
		c.release(o)
		c.respond(t)
		return
	}
	cmd := &t.s.Command
	cmd.Resumed, cmd.Replaces = true, sam.NoTicket
	if o.ticketed {
		cmd.Replaces = lun.AtHome(o.ticket)
	}
	t.began, t.orphan = true, o
	if !c.stack.local.Begin(t.unit, cmd) {
		t.asking = true
		return
	}
	c.begun(t)
}

// release has a unit forget the entry that a command had before.
func (c *Conn) release(o *Orphan) {
	if o.ticketed {
		c.stack.local.Forget(o.unit, o.reactor, o.ticket)
	}
}

// continued goes on with a command that has begun anew, from where it was. It is false
// when a function has ended it meanwhile.
func (c *Conn) continued(t *task) bool {
	o := t.orphan
	t.orphan = nil
	c.release(o)
	t.s.Resumed = false
	if t.s.Phase == session.Aborting {
		return true
	}
	if t.s.Action == sam.Complete && t.s.Status == sam.TaskAborted {
		c.abort(t)
		return false
	}
	c.sess.Begun(t.s)
	c.sess.Resume(t.s, &o.Orphan)
	// Reads go on at the block that holds the next byte.
	t.ready = t.s.In.Sent
	t.issued = t.ready
	if t.s.Action == sam.ReadMedium {
		t.issued &^= t.unit.Info().BlockBytes - 1
	}
	return true
}

// remove answers a logout for recovery of this connection itself: everything else is
// suspended, and once the answer is out the connection is lost (RFC 3720 §10.14
// [R-10.14-2]).
func (c *Conn) remove(t *task) {
	c.logout, c.delayed = t, nil
	for _, q := range c.queue {
		q.queued = false
	}
	c.queue, c.removing = c.queue[:0], true
	c.respond(t)
}

// Announce says on this connection that another one of its session is gone.
func (s *Stack) Announce(h Handle, cid pdu.CID) {
	if c := s.find(h.Generation, h.Index); c != nil && c.phase == fullFeature && !c.sess.LoggingOut() {
		c.dropped = append(c.dropped, cid)
		s.touch(c)
	}
}
