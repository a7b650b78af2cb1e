package transport

import (
	"lunar/iscsi/order"
	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
	"lunar/iscsi/session"
	"lunar/lun"
)

// Message is what one stack tells another: a command that came there is due in the
// order of its session.
type Message struct {
	order *order.Sequencer
	owner uint64
}

// Zero says that there is no message.
func (m Message) Zero() bool { return m.order == nil }

// Receive takes a message of another stack.
func (s *Stack) Receive(m Message) {
	s.due(m.owner)
	s.drain(m.order, m.order.Started())
}

// drain delivers what is due in the order of a session with several connections: here
// what came here, and elsewhere the rest. See order.Sequencer.Knock.
func (s *Stack) drain(q *order.Sequencer, round int32) {
	for ; round != 0; round = q.Leave(round) {
		for {
			owner, ok := q.Take()
			if !ok {
				break
			}
			if r := lun.OwnerReactor(owner); r != s.reactor {
				q.Hand()
				s.keeper.Send(r, Message{q, owner})
				continue
			}
			s.due(owner)
		}
	}
}

// due starts a command of this stack, unless it has ended meanwhile.
func (s *Stack) due(owner uint64) {
	was := s.active
	if c, t := s.owner(owner); c != nil && c.sess != nil && c.sess.Deliver(t.s) {
		c.start()
	}
	s.active = was
}

// knock has delivered what this connection put into the order of its session: all
// that one receive brought at once.
func (c *Conn) knock() {
	if c.sess != nil && c.sess.Offered() {
		q := c.sess.Shared()
		c.stack.drain(q, q.Knock())
	}
}

// violated ends a connection whose initiator broke the rules, and with it the session,
// all its connections (RFC 3720 §6.6 [R-6.6-1]).
func (c *Conn) violated(why string) {
	if c.sess.Shared() != nil {
		c.stack.keeper.EndSession(c.name())
	}
	c.close(why)
}

// fence is a question of another connection of the session: whether all status sent up
// to a number has been acknowledged.
type fence struct {
	statSN serial.StatSN
	token  uint32
}

// Fence asks a connection to say, by Keeper.Passed with the token, when the initiator
// has acknowledged every status it was sent up to now (RFC 3720 §10.6.1
// [R-10.6.1-1]). One that ends before says nothing more.
func (s *Stack) Fence(h Handle, token uint32) {
	c := s.find(h.Generation, h.Index)
	if c == nil || c.phase != fullFeature {
		s.keeper.Passed(h, token)
		return
	}
	c.fences = append(c.fences, fence{c.sess.StatSN(), token})
	c.pass()
	if len(c.fences) > 0 {
		// A ping brings an ExpStatSN.
		c.wantsPing = true
		s.touch(c)
	}
}

// pass answers the fences that the initiator's acknowledgement has reached.
func (c *Conn) pass() {
	n := 0
	for _, f := range c.fences {
		if c.sess.Acknowledged().Less(f.statSN) {
			c.fences[n] = f
			n++
			continue
		}
		c.stack.keeper.Passed(c.name(), f.token)
	}
	c.fences = c.fences[:n]
}

// Fenced brings the answer to Keeper.Fence: all other connections have passed, so the
// response of the function may go.
func (s *Stack) Fenced(owner uint64) {
	if c, t := s.owner(owner); c != nil && c.phase == fullFeature && t.s.Kind == session.KindManage {
		c.respond(t)
	}
}

// LoggedOut brings the answer to Keeper.Logout: the connection that was to be closed
// is gone, or all others are.
func (s *Stack) LoggedOut(owner uint64, result pdu.LogoutResult) {
	c, t := s.owner(owner)
	if c == nil || c.phase != fullFeature || t.s.Kind != session.KindLogout && t != c.logout {
		return
	}
	if c.logout == t {
		c.alone = true
		c.logoutReady()
		return
	}
	t.s.Logout = result
	c.respond(t)
}
