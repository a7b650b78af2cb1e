package login

import "lunar/iscsi/pdu"

// respond builds a response of class 0.
func (m *Machine) respond(next pdu.Stage, transit bool, resp *pdu.Header) {
	*resp = pdu.Header{}
	r := pdu.AsLoginResponse(resp)
	r.Header.SetOpcode(pdu.OpLoginResp)
	r.SetStages(m.stage, next, transit, false)
	r.SetVersions(version, version)
	r.SetISID(m.id.ISID)
	r.SetTSIH(m.id.TSIH)
	r.Header.SetITT(m.itt)
	r.SetStatSN(m.statSN)
	m.statSN = m.statSN.Next()
	// Login never consumes a CmdSN (§10.12 [R-10.12-1]), so the window stands at
	// the leading login's number.
	r.SetWindow(m.cmdSN, m.cmdSN)
}

// refuse answers with a status of class 1 to 3: stages are reserved, numbers not
// valid, and the connection ends (§5.3.1 [R-5.3.1-5]).
func (m *Machine) refuse(s pdu.LoginStatus, resp *pdu.Header) (Outcome, []byte) {
	*resp = pdu.Header{}
	r := pdu.AsLoginResponse(resp)
	r.Header.SetOpcode(pdu.OpLoginResp)
	r.SetVersions(version, version)
	r.SetISID(m.id.ISID)
	r.SetTSIH(m.id.TSIH)
	r.Header.SetITT(m.itt)
	m.out.Clear()
	if s == pdu.LoginMovedTemporarily || s == pdu.LoginMovedPermanently {
		s = m.redirect(s)
	}
	r.SetStatus(s)
	return Refuse, m.out.Bytes()
}

// redirect writes where the target is: every address, of which a redirection has at
// least one (§10.13.5 [R-10.13.5-1]). Portal group tags are left out (§12.8
// [R-12.8-2]).
func (m *Machine) redirect(s pdu.LoginStatus) pdu.LoginStatus {
	for _, a := range m.access.Addresses {
		m.out.Put("TargetAddress", a)
	}
	if len(m.access.Addresses) == 0 || m.out.Full() {
		m.out.Clear()
		return pdu.LoginTargetError
	}
	return s
}

// Interrupted refuses a PDU that is no Login Request once login began (§3.2.3
// [R-3.2.3-5]).
func (m *Machine) Interrupted(resp *pdu.Header) (Outcome, []byte) {
	return m.refuse(pdu.LoginInvalidDuringLogin, resp)
}
