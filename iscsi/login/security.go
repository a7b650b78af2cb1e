package login

import (
	"lunar/iscsi/auth"
	"lunar/iscsi/pdu"
)

// authentic says that the initiator has proved what is demanded of it. Nothing but
// the security stage happens before.
func (m *Machine) authentic() bool {
	return m.access.Auth == nil || m.proof != nil && m.proof.Done()
}

// authenticate takes what a request of the security stage brought for the method
// that AuthMethod settled, once its other keys were answered. It says whether the
// stage can be left now, as far as the initiator wants to.
func (m *Machine) authenticate(wanted bool) (transit bool, s pdu.LoginStatus) {
	n := m.n
	switch {
	case m.proof != nil && !m.proof.Done():
		if s := statusOf(m.proof.Take(n.proof, m.out)); s != pdu.LoginSuccess {
			return false, s
		}
		m.id.User = m.proof.User()
	case len(n.proof) > 0:
		// RFC 3720 §8.2 [R-8.2-2]: no method was settled, or it is over. One that was
		// settled by this very request begins with the next, by the initiator ([R-11.1-2]).
		return false, pdu.LoginInitiatorError
	case n.settled == chap && m.proof == nil:
		m.proof = auth.NewCHAP(m.access.Auth, &m.cfg.Node)
	}
	if m.authentic() || !wanted {
		return wanted, pdu.LoginSuccess
	}
	if m.proof == nil {
		// Leaving the stage, the initiator says that it has no more to prove.
		return false, pdu.LoginAuthFailure
	}
	// §5.3.2: T=1 is answered by T=0 until the method has ended.
	return false, pdu.LoginSuccess
}

// statusOf is what each verdict is in the words of a Login Response (RFC 3720 §8.2
// [R-8.2-2], [R-8.2-3], §5.3.2 [R-5.3.2-3]).
func statusOf(v auth.Verdict) pdu.LoginStatus {
	switch v {
	case auth.Right:
		return pdu.LoginSuccess
	case auth.Malformed:
		return pdu.LoginInitiatorError
	case auth.Missing:
		return pdu.LoginMissingParameter
	case auth.Denied:
		return pdu.LoginAuthFailure
	case auth.Unable:
	}
	return pdu.LoginTargetError
}

// sayAlias tells what people call the target, once, in a normal session (RFC 3720
// §12.6 [R-12.6-1]). It comes behind the security stage, whose last answer holds
// the keys of the method and no others (§5.3.1 [R-5.3.1-3]).
func (m *Machine) sayAlias() {
	if m.aliasSent || m.access.Alias == "" || m.id.Discovery {
		return
	}
	m.aliasSent = true
	m.out.Put("TargetAlias", m.access.Alias)
}
