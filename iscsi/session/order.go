package session

import (
	"lunar/iscsi/order"
	"lunar/iscsi/serial"
)

// A session that may have several connections has its order in common, Conn.shared;
// one that may not has a window of its only connection, and no command pays more than
// the comparison that tells.

// Shared is the order of a session that may have several connections, nil for another.
func (c *Conn) Shared() *order.Sequencer { return c.shared }

// accepts says whether a numbered command is new and inside the window. Anything else
// is silently ignored (RFC 3720 §3.2.2.1 [R-3.2.2.1-7]).
func (c *Conn) accepts(n serial.CmdSN) bool {
	if c.shared != nil {
		return c.shared.Accepts(n)
	}
	return c.window.accepts(n)
}

// expected is ExpCmdSN.
func (c *Conn) expected() serial.CmdSN {
	if c.shared != nil {
		return c.shared.Expected()
	}
	return c.window.exp
}

// Release ends a task: its tag may be used again, and if it held a place in the
// command window, the window moves on.
func (c *Conn) Release(t *Task) {
	switch {
	case !t.counted:
	case c.shared != nil:
		c.shared.Credit()
	default:
		c.window.credit()
	}
	c.give(t)
}

// arrive puts a completely received task in order: immediate ones start at once,
// others when every earlier CmdSN has come (RFC 3720 §3.2.2.1 [R-3.2.2.1-5]).
func (c *Conn) arrive(t *Task) {
	switch {
	case t.Immediate:
		c.deliver(t)
		return
	case c.shared != nil:
		if c.shared.Next(t.CmdSN) {
			t.counted = true
			c.offered = c.offered || c.shared.Due()
			c.deliver(t)
			return
		}
		c.offer(t)
		return
	}
	t.counted = true
	if !c.window.offer(t.CmdSN, t.index) {
		t.Phase = Waiting
		return
	}
	c.deliver(t)
	c.drain()
}

// offer puts a task in the order of all connections, which delivers it after a
// Knock. If another connection brought its number meanwhile, this one is the
// duplicate.
func (c *Conn) offer(t *Task) {
	// Before the offer: from then on another core may deliver it.
	t.counted, t.Phase = true, Waiting
	if c.shared.Offer(t.CmdSN, t.Owner, t.passes()) {
		c.offered = true
		return
	}
	t.counted = false
	c.give(t)
}

// passes says whether a task may start beside those around it. Functions and logouts
// speak of the tasks before them; of commands the device server knows.
func (t *Task) passes() bool {
	switch t.Kind {
	case KindManage, KindLogout:
		return false
	case KindSCSI:
		return !t.Alone
	case KindFree, KindPing, KindText:
	}
	return true
}

// Offered says, once, that something was put in the common order: a Knock is due.
func (c *Conn) Offered() bool {
	was := c.offered
	c.offered = false
	return was
}

// Deliver has a task start that the common order says is due. It is false when the
// task has ended meanwhile.
func (c *Conn) Deliver(t *Task) bool {
	if t.Kind == KindFree || t.Phase != Waiting {
		return false
	}
	c.deliver(t)
	return true
}

// drain delivers what waited behind a gap that is now closed.
func (c *Conn) drain() {
	for c.shared == nil {
		i, ok := c.window.pop()
		if !ok {
			return
		}
		c.deliver(&c.tasks[i])
	}
}

// StopWaiting takes a task out of the queue of commands that wait for an earlier
// CmdSN. Its number is given up, so the queue moves on without it; with again it is as
// if the number had not come, and the initiator may bring it over another connection
// (RFC 3720 §10.14.5 [R-10.14-5]). It is false when the task was due just now, and its
// number is gone.
func (c *Conn) StopWaiting(t *Task, again bool) bool {
	switch {
	case t.Phase != Waiting:
		return false
	case c.shared != nil:
		if !c.shared.Withdraw(t.CmdSN, again) {
			return false
		}
		t.counted, c.offered = false, true
	default:
		cell := c.window.cell(t.CmdSN)
		if *cell != t.index+1 {
			return false
		}
		*cell = plugged
		t.counted = false
	}
	return true
}

// giveUp counts a number as received without a command, for ABORT TASK of one that
// never came (§6.9 [R-6.9-1]). It is false when the number is no gap.
func (c *Conn) giveUp(n serial.CmdSN) bool {
	if c.shared != nil {
		gap := c.shared.GiveUp(n)
		c.offered = c.offered || gap
		return gap
	}
	return c.window.plug(n)
}
