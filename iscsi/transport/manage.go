package transport

import (
	"lunar/iscsi/pdu"
	"lunar/iscsi/session"
	"lunar/lun"
	"lunar/scsi/sam"
)

// runManage starts a task management function.
func (c *Conn) runManage(t *task) {
	if c.sess.MustWait(t.s) && !t.late {
		// RFC 3720 §10.6.2 [R-10.6.2-1]: an immediate function waits for the commands
		// numbered before it, within a bound.
		c.await(t)
		c.delayed = append(c.delayed, t)
		c.retryLater()
		return
	}
	if t.late {
		c.abortQueued(t)
	}
	step, ref := c.sess.RunManage(t.s)
	switch step {
	case session.ManageSeek:
		q := Seek{ITT: t.s.RefTag, LUN: t.s.LUN, Abort: t.s.Function == sam.AbortTask, Ask: t.s.Function == sam.QueryTask}
		if !q.Ask {
			// A question says nothing of data: all of it comes again.
			q.ExpDataSN = t.s.RefDataSN
		}
		c.seeking = append(c.seeking, t.s.Owner)
		c.stack.keeper.Seek(c.name(), t.s.Owner, q)
	case session.ManageNexus:
		c.resetNexus(t)
	case session.ManageDone:
		c.respond(t)
		c.start()
	case session.ManageTask:
		r := &c.tasks[ref.Index()]
		t.next, r.waiter = r.waiter, t
		c.abort(r)
	case session.ManageUnit:
		e, present := c.unit(t.s.LUN)
		if !present {
			// §10.6.1 [R-10.6.1-3].
			t.s.Result = pdu.LUNDoesNotExist
			c.respond(t)
			return
		}
		c.manageUnit(t, e.Unit)
	case session.ManageTarget:
		t.functions++ // holds the function open until every unit was asked
		c.units.Units(func(u *lun.Unit) { c.manageUnit(t, u) })
		c.managed(t)
	}
}

// abortQueued ends the commands that a function covers and that no unit knows yet.
func (c *Conn) abortQueued(f *task) {
	for i := range c.tasks {
		if t := &c.tasks[i]; f.s.Covers(t.s) {
			if c.sess.FastAborts() {
				t.ending = fastHere
			}
			c.abort(t)
		}
	}
}

// resetNexus carries out I_T NEXUS RESET (RFC 7144 §6.3): all tasks of the nexus end, all
// connections of its session close, and the units hear of the loss. The response goes
// when the others are gone; that it arrives is not promised (§6.4.2).
func (c *Conn) resetNexus(t *task) {
	c.silent, c.logout, c.delayed = true, t, nil
	c.alone = c.sess.Shared() == nil
	c.abortAll(t)
	if !c.alone {
		c.stack.keeper.Logout(c.name(), t.s.Owner, 0, pdu.CloseSession)
	}
	c.logoutReady()
}

func (c *Conn) manageUnit(t *task, u *lun.Unit) {
	t.functions++
	m := &lun.Management{
		Function: t.s.Function, Nexus: c.nexus, Place: t.s.CmdSN.Uint32(), Numbered: !t.s.Immediate, Joint: c.sess.Shared() != nil,
		Owner: c.handle(t), FastAbort: c.sess.FastAborts(),
	}
	if t.s.Function.Asks() {
		t.answer = m
	}
	c.stack.local.Manage(u, m)
}

// managed takes the end of a function on one unit. DEVIATION [D-1]: on its own connection
// the response stands behind every status sent before it and does not wait for their
// acknowledgement (RFC 3720 §10.6.1 [R-10.6.1-1]), unless a fence is around it (fence.go).
func (c *Conn) managed(t *task) {
	t.functions--
	if t.functions > 0 || t.s.Kind != session.KindManage {
		return
	}
	t.s.Result = pdu.FunctionComplete
	if t.s.Function.Asks() {
		if t.answer.Found {
			t.s.Result, t.s.Information = pdu.FunctionSucceeded, t.answer.Information
		}
		t.answer = nil
		c.respond(t)
		return
	}
	c.coldReset = c.coldReset || t.s.Function == sam.TargetColdReset
	if c.sess.Shared() != nil && !c.sess.Fences() {
		// Status that went over other connections is acknowledged first.
		c.stack.keeper.Fence(c.name(), t.s.Owner, Hold{})
		return
	}
	c.respond(t)
}

// retryNanos is how soon functions that wait for commands of other connections are
// looked at again: those say nothing when they come.
const retryNanos = 1e6

func (c *Conn) retryLater() {
	if c.sess.Shared() != nil && !c.retrying {
		c.retrying = true
		c.stack.loop.Arm(c.token(KindRetry), c.stack.loop.Now()+retryNanos)
	}
}

// retryDelayed starts functions that need not wait any more.
func (c *Conn) retryDelayed() {
	waiting := c.delayed
	c.delayed = nil
	for _, t := range waiting {
		if t.waits && c.sess.MustWait(t.s) {
			c.delayed = append(c.delayed, t)
			c.retryLater()
			continue
		}
		if t.waits {
			c.aborts--
			t.waits = false
		}
		t.late = true
		c.runManage(t)
	}
}
