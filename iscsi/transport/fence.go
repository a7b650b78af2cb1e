package transport

import (
	"lunar/iscsi/serial"
	"lunar/iscsi/session"
)

// What is here separates what the connections of a session are told. At first a function
// over many tasks waits until all status that was sent over the others is acknowledged
// (RFC 3720 §10.6.1 [R-10.6.1-1]). Where TaskReporting says so, that is a fence around
// certain responses (RFC 7143 §4.2.2.3.3): before one goes, everything sent is
// acknowledged, on every connection, and until it is acknowledged itself, no other
// status for its unit goes out. One fence of a session stands at a time; the directory
// sees to that. Every wait for an acknowledgement has a bound.

// Hold is what waits while a fence stands, nothing unless Wanted.
type Hold struct {
	Wanted bool
	session.Scope
}

// fence is what a connection waits for: that all status sent before a number is
// acknowledged.
type fence struct {
	kind     fenceKind
	statSN   serial.StatSN
	deadline int64
	// armed: statSN is known. It is not while responses that were due before are yet to
	// be sent.
	armed bool
	// token is the fence, as the directory knows it, owner the task it is around; of a
	// question there is none.
	token uint32
	owner uint64
}

type fenceKind uint8

const (
	// question: another connection of the session asks.
	question fenceKind = iota
	// before: a response of this connection waits for it.
	before
	// after: it is that of the response itself.
	after
)

// barrier is a fence that stands, as those see it that it holds up: on its own
// connection by its owner, elsewhere by its token.
type barrier struct {
	Hold
	token uint32
	owner uint64
}

// Fence asks a connection to say, by Keeper.Passed with the token, when the initiator
// has acknowledged every status it was sent up to now, and what it is told of ended
// tasks. One that ends before says nothing more. What hold names is not sent until
// Unfence.
func (s *Stack) Fence(h Handle, token uint32, hold Hold) {
	c := s.find(h.Generation, h.Index)
	if c == nil || c.phase != fullFeature {
		s.keeper.Passed(h, token)
		return
	}
	if hold.Wanted {
		c.barriers = append(c.barriers, barrier{Hold: hold, token: token})
		for i := range c.tasks {
			// What may go now was handed over before, unless it needs a fence too.
			t := &c.tasks[i]
			t.passes = t.passes || t.s.MayRespond() && hold.Holds(t.s) && !t.held && !t.fenced && !c.sess.NeedsFence(t.s)
		}
	}
	c.wait(fence{kind: question, token: token})
}

// wait puts up a fence, and asks the initiator for the acknowledgement.
func (c *Conn) wait(f fence) {
	f.deadline = c.stack.loop.Now() + c.stack.limits.PingNanos
	c.fences = append(c.fences, f)
	c.pass()
	if len(c.fences) > 0 {
		// A ping brings an ExpStatSN.
		c.wantsPing = true
		c.stack.touch(c)
	}
}

// urge is the tick of a connection that waits for acknowledgements. It is false when the
// initiator gives none: nothing may be said before, so the connection goes (RFC 7143
// §10.7).
func (c *Conn) urge(now int64) (alive bool) {
	if now >= c.fences[0].deadline {
		c.lost("it does not acknowledge what it was told")
		return false
	}
	c.wantsPing = true
	c.stack.touch(c)
	return true
}

// pass takes down the fences that the initiator's acknowledgement has reached.
func (c *Conn) pass() {
	waiting := c.fences
	c.fences = c.fences[:0]
	var reached []fence
	for _, f := range waiting {
		if !f.armed && !c.passing() && !c.sess.Terminating() {
			f.armed, f.statSN = true, c.sess.StatSN()
			// A ping that went before does not ask for what came behind it.
			c.wantsPing = true
			c.stack.touch(c)
		}
		if !f.armed || c.sess.Acknowledged().Less(f.statSN) {
			c.fences = append(c.fences, f)
			continue
		}
		reached = append(reached, f)
	}
	for _, f := range reached {
		c.reached(f)
	}
}

// passing says whether a response that was due before a fence is yet to be sent.
func (c *Conn) passing() bool {
	for i := range c.tasks {
		if t := &c.tasks[i]; t.passes && !t.fenced && t.s.Kind != session.KindFree {
			return true
		}
	}
	return false
}

func (c *Conn) reached(f fence) {
	switch f.kind {
	case question:
		c.stack.keeper.Passed(c.name(), f.token)
	case before:
		if _, t := c.stack.owner(f.owner); t != nil && t.fenced {
			t.awaits--
			c.letPass(t)
		}
	case after:
		c.stack.keeper.Cleared(f.token)
		c.lower(func(b *barrier) bool { return b.owner == f.owner })
	}
}

// mayPass says whether the response of a task may go as far as fences are concerned. If
// not, it comes back to the queue by itself.
func (c *Conn) mayPass(t *task) bool {
	switch {
	case t.passes:
		return true
	case t.fenced:
		return false
	case c.heldUp(t):
		t.held = true
		return false
	case !c.sess.NeedsFence(t.s) || !t.s.MayRespond():
		return true
	}
	// Its own connection is asked here, the others by the directory.
	t.fenced, t.awaits = true, 2
	hold := Hold{true, t.s.Scope()}
	c.barriers = append(c.barriers, barrier{Hold: hold, owner: t.s.Owner})
	c.stack.keeper.Fence(c.name(), t.s.Owner, hold)
	c.wait(fence{kind: before, owner: t.s.Owner, armed: true, statSN: c.sess.StatSN()})
	return t.passes
}

func (c *Conn) heldUp(t *task) bool {
	for i := range c.barriers {
		if c.barriers[i].Holds(t.s) {
			return true
		}
	}
	return false
}

// letPass has a response go when its fence lets it.
func (c *Conn) letPass(t *task) {
	if t.awaits == 0 {
		t.passes = true
		c.enqueue(t)
	}
}

// Fenced brings the answer to Keeper.Fence: all other connections have passed, so the
// response may go. Without a token there is no other connection.
func (s *Stack) Fenced(owner uint64, token uint32) {
	c, t := s.owner(owner)
	switch {
	case c == nil || c.phase != fullFeature:
	case t.fenced && t.awaits > 0:
		t.token = token
		if t.awaits--; token == 0 {
			// Nothing overtakes on a single connection (RFC 7143 §4.2.2.3.3 a).
			t.awaits = 0
			c.unask(owner)
		}
		c.letPass(t)
		return
	case t.s.Kind == session.KindManage && token == 0:
		c.respond(t)
		return
	}
	if token != 0 {
		s.keeper.Cleared(token) // it ended meanwhile
	}
}

// fencedOut follows the response that a fence is around, which was just laid out: the
// fence stands until it is acknowledged.
func (c *Conn) fencedOut(t *task) {
	t.fenced = false
	owner := t.s.Owner
	if t.token == 0 {
		c.lower(func(b *barrier) bool { return b.owner == owner })
		return
	}
	c.wait(fence{kind: after, armed: true, statSN: c.sess.StatSN(), token: t.token, owner: owner})
}

// unfence takes the fence of a task down that ended without a response.
func (c *Conn) unfence(t *task) {
	owner := t.s.Owner
	c.unask(owner)
	if t.token != 0 {
		c.stack.keeper.Cleared(t.token)
	}
	t.fenced = false
	c.lower(func(b *barrier) bool { return b.owner == owner })
}

// unask forgets that a task waits for its own connection.
func (c *Conn) unask(owner uint64) {
	n := 0
	for _, f := range c.fences {
		if f.kind != before || f.owner != owner {
			c.fences[n] = f
			n++
		}
	}
	c.fences = c.fences[:n]
}

// Unfence says that the response behind a fence was acknowledged.
func (s *Stack) Unfence(h Handle, token uint32) {
	if c := s.find(h.Generation, h.Index); c != nil && c.sess != nil {
		c.lower(func(b *barrier) bool { return b.token == token && b.owner == 0 })
	}
}

// lower takes a barrier down and lets go what it held up.
func (c *Conn) lower(which func(*barrier) bool) {
	n := 0
	for _, b := range c.barriers {
		if !which(&b) {
			c.barriers[n] = b
			n++
		}
	}
	c.barriers = c.barriers[:n]
	for i := range c.tasks {
		if t := &c.tasks[i]; t.held && !c.heldUp(t) {
			t.held = false
			c.enqueue(t)
		}
	}
}
