package transport

import (
	"lunar/iscsi/login"
	"lunar/iscsi/pdu"
	"lunar/reactor"
)

// Survey is a look at all connections of a stack, taken in pieces so that none of them
// holds up the others. What begins or ends between two pieces may be in it or not.
type Survey struct {
	// Next is the place where the next piece begins.
	Next int
	// Sessions are those in full feature phase, or on their way out of it.
	Sessions []SessionInfo
	// Connections are all, Logins those that are no session yet; HeldBuffers are
	// receive buffers with bytes that wait to be looked at.
	Connections, Logins, HeldBuffers int
}

// SessionInfo is one session, and its connection, as plain values.
type SessionInfo struct {
	TSIH     pdu.TSIH
	Identity login.Identity
	Params   login.Params
	// Address is our side of the connection.
	Address string
	State   string
	// AgeNanos is how long it has been a session, SilentNanos since something came.
	AgeNanos, SilentNanos int64
	// Commands were started, BytesIn and BytesOut are of the socket, login included.
	Commands, BytesIn, BytesOut uint64
	// Tasks are under way; Window is how many commands may be.
	Tasks, Window int
}

// Survey looks at up to so many places for connections, and is true when that was the
// last. It allocates nothing when v has room.
func (s *Stack) Survey(v *Survey, most int) (over bool) {
	end := min(v.Next+most, len(s.conns))
	for ; v.Next < end; v.Next++ {
		c := s.conns[v.Next]
		if c.phase == gone {
			continue
		}
		v.Connections++
		if c.heldBuffer != reactor.NoBuffer {
			v.HeldBuffers++
		}
		switch {
		case c.sess != nil:
			v.Sessions = append(v.Sessions, c.info())
		case c.phase == loggingIn, c.phase == admitting:
			v.Logins++
		}
	}
	return v.Next >= len(s.conns)
}

func (c *Conn) info() SessionInfo {
	now := c.stack.loop.Now()
	return SessionInfo{
		TSIH: c.tsih, Identity: c.sess.Identity, Params: c.sess.Params, Address: c.address, State: c.state(),
		AgeNanos: now - c.since, SilentNanos: now - c.heard,
		Commands: c.commands, BytesIn: c.bytesIn, BytesOut: c.bytesOut,
		Tasks: c.sess.Live(), Window: int(c.limits.Window),
	}
}

// state says in words where a session stands.
func (c *Conn) state() string {
	switch {
	case c.phase == parked:
		return "lost; its commands wait"
	case c.phase == closing:
		return "closing"
	case c.phase == leaving, c.goodbye:
		return "leaving"
	case c.sess.LoggingOut():
		return "logging out"
	case c.logoutBy != 0:
		return "asked to log out"
	}
	return "full feature"
}

// Dismiss ends the session with a handle as a stop of the target would: its initiator
// is asked to log out, and the connection closes behind a last word when it does not
// (RFC 3720 §10.9.1 [R-10.9.1-1]). A discovery session, which knows no such word, is
// closed. It is false when this stack has no such session.
func (s *Stack) Dismiss(t pdu.TSIH) bool {
	for _, c := range s.conns {
		if c.phase != fullFeature || c.tsih != t {
			continue
		}
		if c.sess.Identity.Discovery {
			c.close("dropped by the operator")
		} else {
			c.askForLogout()
		}
		return true
	}
	return false
}
