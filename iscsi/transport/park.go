package transport

import (
	"lunar/iscsi/pdu"
	"lunar/iscsi/session"
	"lunar/reactor"
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
	c.place, c.delayed, c.logout, c.fences, c.barriers = nil, nil, nil, nil, nil
	c.dropBuild()
	for _, t := range c.queue {
		t.queued = false
	}
	c.queue = c.queue[:0]
	c.dropKept()
	for i := range c.tasks {
		c.suspend(&c.tasks[i])
	}
	// What became due while the last word was on its way out has not been started.
	c.start()
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

// spent ends a lost connection of which nothing can be asked any more. While it asks for
// a command itself that may come to it yet.
func (c *Conn) spent() {
	if c.phase == parked && c.recovered && c.fd < 0 && c.sess.Live() == 0 && len(c.seeking) == 0 && !c.sess.Remembers() {
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
	case t.bound(), t.s.Phase == session.Receiving:
		if t.s.Phase != session.Receiving {
			c.cleared(t)
		}
		c.abort(t)
	default:
		t.s.Out.Interrupt()
		c.progress(t)
		c.stand(t)
	}
}

// stand has the unit of a command forget it that only waits to tell its outcome, to
// whichever connection asks: others wait for it no longer. An ACA begins when it is told.
func (c *Conn) stand(t *task) {
	if t.began && t.s.Kind == session.KindSCSI && t.s.Stands() && !t.s.NACA() {
		c.sess.Stand(t.s)
		c.ready(c.concede(t))
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
			c.unload(t)
			c.progress(t)
		}
	}
	c.recoverReady()
	c.handOut()
}

// unload gives back the memory of data-out that is not complete: the rest of it does not
// come here any more, and those that are reassigned first may need that memory to end.
func (c *Conn) unload(t *task) {
	if t.s.Phase != session.Running || t.asking || t.s.Out.Complete() {
		return
	}
	for t.count > 0 {
		k := t.chunkAt(t.count - 1)
		if k.moving || k.done {
			return
		}
		t.s.Out.Discard(k.offset)
		release(k.buf)
		k.buf = nil
		t.count--
	}
	if t.buffer != nil {
		t.s.Out.Discard(0)
		release(t.buffer)
		t.buffer = nil
	}
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
	for i := range c.tasks {
		// One that is due just now has its number, and will run here like those before it.
		if t := &c.tasks[i]; t.s.Kind == session.KindSCSI && c.sess.StopWaiting(t.s, true) {
			c.unreceive(t)
		}
	}
	c.knock()
	c.recovering = true
	c.recoverReady()
}

// recoverReady ends a logout for recovery when what ends with the connection can touch no
// medium any more: behind the answer its initiator takes it for gone (RFC 3720 §10.14
// [R-10.14-2], §6.12 [R-6.12-3]).
func (c *Conn) recoverReady() {
	if c.phase != parked || !c.recovering || c.recovered {
		return
	}
	if !c.answering && c.ending() {
		return // where the answer is out, that was waited for before
	}
	c.recovered = true
	c.stack.keeper.Recovered(c.name())
	c.spent()
}

// remove answers a logout for recovery of this connection itself: everything else is
// suspended, what was immediate or waits ends, and once the answer is out the connection is lost
// (RFC 3720 §10.14 [R-10.14-2]).
func (c *Conn) remove(t *task) {
	c.logout, c.delayed = t, nil
	for _, q := range c.queue {
		q.queued = false
	}
	c.queue, c.removing, c.answering = c.queue[:0], true, false
	for i := range c.tasks {
		switch q := &c.tasks[i]; {
		case q == t || q.s.Kind == session.KindFree:
		case c.sess.StopWaiting(q.s, true):
			// The answer tells that its number is expected again.
			c.unreceive(q)
		case q.s.Kind == session.KindSCSI && q.bound():
			c.cleared(q)
			c.abort(q)
		}
	}
	c.knock()
	c.logoutReady()
}

// unreceive ends a request whose number may come once more.
func (c *Conn) unreceive(t *task) {
	if t.s.Kind == session.KindSCSI {
		t.s.Phase = session.Aborting
		c.quiet(t)
		return
	}
	c.sess.Release(t.s)
	c.over(t)
}

// bound says whether a command ends with its connection always (RFC 3720 §6.12
// [R-6.12-3]).
func (t *task) bound() bool { return t.s.Immediate && !t.s.Adopted && t.s.Phase != session.Aborting }

// Announce says on this connection that another one of its session is gone.
func (s *Stack) Announce(h Handle, cid pdu.CID) {
	if c := s.find(h.Generation, h.Index); c != nil && c.phase == fullFeature && !c.sess.LoggingOut() {
		c.dropped = append(c.dropped, cid)
		s.touch(c)
	}
}
