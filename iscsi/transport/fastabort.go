package transport

import (
	"lunar/iscsi/session"
	"lunar/lun"
	"lunar/scsi/sam"
)

// ending says what an aborted task waits for before its unit, and with it the function
// that ends it, hears that it is over.
type ending uint8

const (
	// standard: its initiator has ended the bursts it owes, within a bound (RFC 7143
	// §4.2.3.3 a).
	standard ending = iota
	// fastHere: nothing; its initiator sent nothing more on this connection since the
	// function (§4.2.3.4, initiator a).
	fastHere
	// fastElsewhere: nothing; but its tags, and memory the kernel writes to, stay until
	// the initiator has heard of it (§4.2.3.4 c, g).
	fastElsewhere
)

// abortFor ends a task for a function that its unit carries out. FastAbort of either
// session spares the wait: of the one that asks, since it waits for nobody (RFC 7143
// §4.2.3.4); of this one, whose initiator is told (§4.2.3.5 a). Nobody else is told
// [N-6].
func (c *Conn) abortFor(t *task, m *lun.Management) {
	mine := c.sess.FastAborts()
	fast := m.Function.EndsMany() && (mine || m.FastAbort)
	switch tells := m.Tells(c.nexus); {
	case tells && t.s.Phase == session.Aborting && !fast:
		return
	case tells && t.s.Kind == session.KindSCSI && t.s.Phase != session.Aborting:
		// Its initiator hears of it by its status, unless it owes data that nobody waits for.
		t.tells = true
		fast = fast && t.s.Out.Owed()
	}
	if !fast || t.s.Kind != session.KindSCSI {
		c.abort(t)
		return
	}
	t.ending = fastElsewhere
	switch {
	case c.phase != fullFeature:
	case mine && c.asked(m):
		t.ending = fastHere
		c.stopWaiting(t)
	case mine:
		t.told = true
		c.sess.Terminate(t.s.LUN)
		c.stack.touch(c)
	}
	if t.s.Phase == session.Aborting {
		c.quiet(t) // a function over it alone waits for its data
		return
	}
	c.abort(t)
}

// asked says whether a function came over this connection.
func (c *Conn) asked(m *lun.Management) bool {
	return lun.OwnerReactor(m.Owner) == c.stack.reactor && int(m.Owner>>connShift&connMask) == c.index
}

// stopWaiting ends the wait for what a task is owed.
func (c *Conn) stopWaiting(t *task) {
	if t.waits {
		t.waits = false
		c.aborts--
	}
}

// linger ends an aborted task for its unit and for the functions that wait for it. What
// is left is its place: its Target Transfer Tags are drawn by nobody else, what comes
// for them is thrown away, and memory that is being received into stays.
func (c *Conn) linger(t *task) {
	t.lingers = true
	c.lingering++
	c.sess.Outlive(t.s)
	t.s.Status = sam.TaskAborted
	c.untold(t)
	if c.direct == nil || !c.receivesInto(t) {
		c.dropData(t)
	}
	c.ready(c.concede(t))
}

// reclaim ends what lingers no longer: because the initiator has acknowledged that it
// heard of it, see quiet. Without that it has the bound of all aborted tasks.
func (c *Conn) reclaim() {
	for i := range c.tasks {
		if t := &c.tasks[i]; t.lingers {
			c.quiet(t)
		}
	}
}
