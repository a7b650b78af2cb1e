package transport

import (
	"slices"

	"lunar/iscsi/order"
	"lunar/iscsi/pdu"
	"lunar/iscsi/session"
	"lunar/lun"
	"lunar/scsi"
	"lunar/scsi/sam"
)

// Orphan is a command on its way to another connection, with what its unit knows of it.
type Orphan struct {
	session.Orphan
	unit *lun.Unit
	// ticketed: ticket, drawn on reactor, is in the task set of the unit.
	ticketed bool
	ticket   uint32
	reactor  int
	// ended, told and heard are what its side of the unit knew of functions.
	ended, told bool
	heard       uint64
	// order is that of its session, nexus where it came from.
	order *order.Sequencer
	nexus sam.Nexus
}

// orphan takes a command away from this connection, once nothing here is busy with it.
func (c *Conn) orphan(t *task, q Seek) Finding {
	if t.asking || t.moving > 0 || c.receiving || c.flying != nil {
		return Finding{}
	}
	o := &Orphan{
		unit: t.unit, ticketed: t.began, ticket: t.s.Ticket, reactor: c.stack.reactor, nexus: c.nexus, order: c.sess.Shared(),
	}
	o.heard = sam.Concluded
	if o.ticketed {
		o.ended, o.told, o.heard = c.stack.local.Part(o.unit, o.ticket)
	}
	o.Orphan = c.sess.Orphan(t.s, q.ExpDataSN, t.written())
	o.Align(t.unit.Info().BlockBytes)
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
	asker := s.asker(owner)
	c, t := s.owner(owner)
	if c == nil || c.phase != fullFeature || t.s.Kind != session.KindManage {
		if asker == nil {
			s.bury(f.Orphan)
			return
		}
		asker.inherit(f.Orphan)
		asker.spent()
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

// asker is the connection whose function asked for a command; nil when it has ended.
func (s *Stack) asker(owner uint64) *Conn {
	i := int(owner >> connShift & connMask)
	if i >= len(s.conns) {
		return nil
	}
	c := s.conns[i]
	// The place may be another connection's by now, which has not asked this.
	k := slices.Index(c.seeking, owner)
	if k < 0 {
		return nil
	}
	c.seeking = slices.Delete(c.seeking, k, k+1)
	return c
}

// inherit keeps a command with the connection that asked for it, if that was lost meanwhile:
// it waits there to be reassigned once more, as it did before (RFC 3720 §6.2.2
// [R-6.2.2-2]). Where nothing waits it ends.
func (c *Conn) inherit(o *Orphan) {
	if o == nil {
		return
	}
	if c.phase == parked {
		if t := c.sess.Adopt(&o.Orphan); t != nil {
			c.stack.active = c
			c.proceed(&c.tasks[t.Index()], o)
			return
		}
	}
	c.stack.bury(o)
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
		// All places for commands that have none in the window are taken, until some of
		// them are answered.
		f.found = o
		c.crowded++
		return
	}
	f.s.Result = pdu.FunctionComplete
	if f.s.Function == sam.QueryTask {
		// RFC 7144 §6.3, §6.4.2: it is there, and from now on it is bound to this
		// connection.
		f.s.Result = pdu.FunctionSucceeded
	}
	c.respond(f)
	c.proceed(&c.tasks[s.Index()], o)
}

// settle adopts what found no place before.
func (c *Conn) settle() {
	for i := range c.tasks {
		f := &c.tasks[i]
		if o := f.found; o != nil && c.sess.MayAdopt(&o.Orphan) {
			f.found = nil
			c.crowded--
			c.adopt(f, o)
			return
		}
	}
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
	cmd.Ended, cmd.Told, cmd.Heard = o.ended, o.told, o.heard
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
		t.tells = t.s.Told
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
