package session

import "lunar/iscsi/pdu"

// logout takes the header of a Logout Request (RFC 3720 §10.14).
func (c *Conn) logout(h *pdu.Header, ahs []byte) Disposition {
	p := pdu.AsLogoutRequest(h)
	if h.DataBytes() != 0 || len(ahs) != 0 {
		// §10.14.2 [R-10.14.2-1]: no data and no additional header.
		return c.refuse(pdu.RejectInvalidField, h, ahs)
	}
	if p.Reason() > pdu.RemoveForRecovery || c.Identity.Discovery && p.Reason() != pdu.CloseSession {
		// §10.14.1, §10 [R-10-3]: reasons beyond 2 are reserved codes. §3.3 [R-3.3-1]: a
		// discovery session knows only reason 0.
		return c.refuse(pdu.RejectProtocolError, h, ahs)
	}
	t, d := c.request(KindLogout, h, ahs)
	if t == nil {
		return d
	}
	t.Reason, t.CID = p.Reason(), p.CID()
	return Disposition{Verdict: Skip}
}

// LogoutStep is what a logout needs next.
type LogoutStep uint8

// Steps of a logout.
const (
	// LogoutAnswered: Logout stands; this connection stays.
	LogoutAnswered LogoutStep = iota + 1
	// LogoutHere: this connection closes: every other task ends, and with CloseSession
	// in a session that may have others every other connection, then the response goes,
	// then FIN.
	LogoutHere
	// LogoutElsewhere: another connection of the session closes, then Logout stands.
	LogoutElsewhere
)

// RunLogout decides on a delivered Logout Request.
func (c *Conn) RunLogout(t *Task) LogoutStep {
	switch {
	case t.Reason == pdu.RemoveForRecovery && !c.Parks():
		// §10.15.1 [R-10.15.1-1]: no connection recovery below level 2.
		t.Logout = pdu.LogoutRecoveryNotSupported
	case t.Reason != pdu.CloseSession && t.CID != c.CID:
		if c.shared != nil {
			return LogoutElsewhere
		}
		// A session of one connection has no other.
		t.Logout = pdu.LogoutCIDNotFound
	default:
		t.Logout = pdu.LogoutDone
		by := T9
		if c.State == LogoutRequested {
			by = T10
		}
		c.State, _ = c.State.Next(by)
		return LogoutHere
	}
	return LogoutAnswered
}

// logoutResponse writes the Logout Response. Time2Wait and Time2Retain say how long
// commands wait to be reassigned; where nothing is retained they are 0 (§10.15.3
// [R-10.15.3-1]).
func (c *Conn) logoutResponse(t *Task, h *pdu.Header) {
	c.begin(h, pdu.OpLogoutResp, t.ITT)
	p := pdu.AsLogoutResponse(h)
	p.SetResult(t.Logout)
	if t.Logout != pdu.LogoutDone {
		return
	}
	if t.Reason == pdu.RemoveForRecovery {
		p.SetTimes(uint16(c.Params.DefaultTime2Wait), uint16(c.Params.DefaultTime2Retain))
	}
	if t.Reason == pdu.CloseSession || t.CID == c.CID {
		c.State, _ = c.State.Next(T13)
	}
}

// LoggedOut says that the last response of the connection was written.
func (c *Conn) LoggedOut() bool { return c.State == Free }

// LoggingOut says that a logout is under way and no new task starts.
func (c *Conn) LoggingOut() bool { return c.State == InLogout || c.State == Free }
