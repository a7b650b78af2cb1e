package transport

import (
	"lunar/iscsi/session"
	"lunar/lun"
	"lunar/scsi"
	"lunar/scsi/sam"
)

// abort ends a task without a response. It is over when nothing touches its
// memory or the medium for it any more.
func (c *Conn) abort(t *task) {
	if t.s.Kind != session.KindSCSI {
		return
	}
	if t.s.Phase == session.Aborting {
		t.tells = false // its own initiator ends it too
		return
	}
	if t.s.Phase == session.Waiting {
		leaving := c.phase == closing || c.logout != nil
		if !c.sess.StopWaiting(t.s, leaving) && leaving {
			c.cleared(t)
		}
	}
	t.s.Phase = session.Aborting
	if c.current.Task == t.s {
		c.place = nil
	}
	switch {
	case t.executing:
		c.stack.local.Stop(t.unit, &t.s.Command)
	case t.asking:
		c.stack.local.Withdraw(t.unit, c.handle(t))
	}
	if (t.s.Out.Owed() || c.receivesInto(t)) && t.ending != fastHere && c.phase == fullFeature && !c.sess.LoggingOut() {
		c.await(t)
	}
	c.quiet(t)
}

// await gives the initiator a bounded time to end the bursts it owes, and the PDU it
// is sending. DEVIATION [D-3]: RFC 3720 §10.5.1 [R-10.5.1-5] knows no bound.
func (c *Conn) await(t *task) {
	t.deadline, t.waits = c.stack.loop.Now()+c.stack.limits.AbortNanos, true
	c.aborts++
}

// quiet ends an aborted task if it is quiet now.
func (c *Conn) quiet(t *task) {
	if t.s.Phase != session.Aborting || t.moving > 0 || t.asking {
		return
	}
	if t.told && !c.sess.Reserves(t.s.LUN) {
		c.stopWaiting(t) // RFC 7143 §4.2.3.4 g: no data for it comes any more
	}
	mine := c.receivesInto(t)
	// The kernel has its memory until the receive ends.
	if mine && c.direct != nil || t.waits && (mine || t.s.Out.Owed()) && c.phase == fullFeature && !c.sess.LoggingOut() {
		if t.ending != standard && !t.lingers {
			c.linger(t)
		}
		return
	}
	if mine {
		// The rest of the PDU belongs to nobody any more.
		c.current = session.Disposition{Verdict: session.Skip}
		c.sess.Forget()
	}
	if c.tell(t) {
		return
	}
	// No status was sent; the unit counts it as what it is.
	t.s.Status = sam.TaskAborted
	c.sess.Release(t.s)
	c.over(t)
	c.stack.touch(c) // the window may have moved without an answer
	if c.phase == closing {
		c.gone()
	}
}

// tell ends a task with TASK ABORTED, if its initiator is to hear of it (SAM-5 §5.3.1, TAS).
// Its unit and the function that ended it do not wait for the way of the status. Whoever
// still owes data after the time for that, or leaves, hears of it as if there was no TAS.
func (c *Conn) tell(t *task) bool {
	if !t.tells {
		return false
	}
	if t.s.Out.Owed() || c.phase != fullFeature && (c.phase != parked || t.s.Immediate) || c.sess.LoggingOut() {
		c.untold(t)
		return false
	}
	t.tells = false
	c.dropData(t)
	c.sess.Aborted(t.s)
	c.ready(c.concede(t))
	c.respond(t)
	if c.phase == parked {
		c.sess.Stand(t.s) // as what had an outcome of its own before: its place in the window is free
	}
	return true
}

// untold has the unit tell by a unit attention what no status tells.
func (c *Conn) untold(t *task) {
	if e, present := c.unit(t.s.LUN); present && t.tells {
		c.stack.local.Attend(e.Unit, c.nexus, scsi.CommandsCleared)
	}
	t.tells = false
}

// abandonOwed ends aborted tasks, and starts functions, that waited for their
// initiator long enough.
func (c *Conn) abandonOwed(now int64) {
	for i := range c.tasks {
		t := &c.tasks[i]
		if t.waits && now >= t.deadline {
			t.waits = false
			c.aborts--
			if t.s.Phase == session.Aborting {
				c.quiet(t)
			}
		}
	}
	c.retryDelayed()
}

// abortAll ends every task but one: the connection closes or logs out. Only SCSI
// tasks have anything to wait for.
func (c *Conn) abortAll(except *task) {
	if c.sess == nil {
		return
	}
	c.delayed = nil // functions among them end below like all others
	for i := range c.tasks {
		t := &c.tasks[i]
		switch {
		case t == except || t.s.Kind == session.KindFree:
		case t.s.Phase == session.Aborting:
			c.quiet(t)
		case t.s.Kind == session.KindSCSI:
			c.abort(t)
		default:
			// Another connection may bring its number, if it was not due yet.
			c.sess.StopWaiting(t.s, true)
			c.sess.Release(t.s)
			c.over(t)
		}
		if c.sess == nil {
			return
		}
	}
}

// interrupted has each unit tell this nexus, with its next command, that commands
// were ended without an answer: the connection failed or was closed over them
// (RFC 3720 §6.5 [R-6.5-1], §10.14.5 [R-10.14.5-1]). A logout that closes the session
// needs no such word.
func (c *Conn) interrupted() {
	if c.units == nil {
		return
	}
	var told *lun.Unit
	for i := range c.tasks {
		s := c.tasks[i].s
		if s.Kind != session.KindSCSI || s.Phase == session.Aborting {
			continue
		}
		if c.sess.Shared() != nil && s.Phase < session.Running {
			// Its number is expected again; nothing of it was done.
			continue
		}
		if e, present := c.unit(s.LUN); present && e.Unit != told {
			told = e.Unit
			c.stack.local.Attend(told, c.nexus, scsi.ProtocolCleared)
		}
	}
}

// cleared is interrupted for one command that ends as it was about to start.
func (c *Conn) cleared(t *task) {
	if e, present := c.unit(t.s.LUN); present && !c.silent {
		c.stack.local.Attend(e.Unit, c.nexus, scsi.ProtocolCleared)
	}
}

// logoutReady lets the Logout Response go when every other task is gone.
func (c *Conn) logoutReady() {
	t := c.logout
	switch {
	case t == nil || c.phase != fullFeature:
	case c.removing:
		if !c.answering && !c.ending() {
			c.answering = true
			c.respond(t)
		}
	case c.alone && c.sess.Live() == 1:
		c.logout = nil
		c.respond(t)
	}
}

// ending says whether a command that was ended is still with its medium.
func (c *Conn) ending() bool {
	for i := range c.tasks {
		if s := c.tasks[i].s; s.Kind == session.KindSCSI && s.Phase == session.Aborting {
			return true
		}
	}
	return false
}
