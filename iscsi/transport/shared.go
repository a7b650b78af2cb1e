package transport

import (
	"lunar/iscsi/order"
	"lunar/iscsi/pdu"
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
		if len(c.seeks) > 0 {
			c.handOut()
		}
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
