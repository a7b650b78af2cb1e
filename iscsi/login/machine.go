package login

import (
	"net/netip"

	"lunar/iscsi/auth"
	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
	"lunar/iscsi/text"
)

// Limits of the login phase.
const (
	// MaxSegmentBytes is the most text one negotiation step may collect: twice
	// what RFC 3720 §5.1 [R-5.1-9] asks for.
	MaxSegmentBytes = 16384
	// MaxExchanges bounds a login that never ends (§5.2 [R-5.2-17]); RFC 7143
	// §6.2 [N-11] asks for at least six.
	MaxExchanges = 64
	// maxReplyBytes keeps a reply in one PDU of the default length.
	maxReplyBytes = DefaultMaxRecvDataSegmentLength
	// version is the one protocol version there is (§10.12.4).
	version = 0
)

// Outcome is what the owner of a connection does after a step.
type Outcome uint8

// Outcomes.
const (
	// Reply: send the response and wait for the next request.
	Reply Outcome = iota + 1
	// Admit: ask whether the session may be, then call Admitted.
	Admit
	// Done: send the response; the connection is in full feature phase.
	Done
	// Refuse: send the response, then close (RFC 3720 §10.13.5 [R-10.13.5-3]).
	Refuse
)

// Config is what a machine knows of its side.
type Config struct {
	Offer          Offer
	Targets        Directory
	PortalGroupTag uint16
	// Node is what authentication needs; without chance nobody can be authenticated.
	Node auth.Node
	// StatSN is the first status number of the connection; any value is right
	// (RFC 3720 §10.13.4 [R-10.13.4-1]).
	StatSN serial.StatSN
}

// Machine is the login phase of one connection.
type Machine struct {
	cfg    *Config
	begun  bool
	access Access
	// proof is the exchange that authenticates, once AuthMethod settled it.
	proof *auth.CHAP
	stage pdu.Stage
	itt   pdu.ITT
	id    Identity
	n     *Negotiation
	in    *text.Collector
	out   *text.Writer

	statSN    serial.StatSN
	cmdSN     serial.CmdSN
	tagSent   bool
	aliasSent bool
	exchanges int
	// next is the stage a request waiting for Admitted goes to.
	next pdu.Stage
}

// NewMachine returns a machine that waits for the first Login Request, which comes
// from source.
func NewMachine(cfg *Config, source netip.Addr) *Machine {
	return &Machine{
		cfg: cfg, statSN: cfg.StatSN, id: Identity{Source: source},
		in: text.NewCollector(MaxSegmentBytes), out: text.NewWriter(maxReplyBytes),
	}
}

// Identity is who logs in, complete from the Admit outcome on.
func (m *Machine) Identity() Identity { return m.id }

// Params are the results, final with the Done outcome.
func (m *Machine) Params() Params { return m.n.Params }

// Inherit gives a login that reinstates a connection the parameters of its session,
// before Admitted.
func (m *Machine) Inherit(session Params) { m.n.Params.inherit(session) }

// StatSN is the next status number; CmdSN the first command number of the
// session (RFC 3720 §10.12.8 [R-10.12.8-1]).
func (m *Machine) StatSN() serial.StatSN { return m.statSN }

// CmdSN is the number the first non-immediate command will carry.
func (m *Machine) CmdSN() serial.CmdSN { return m.cmdSN }

// Step takes one Login Request with its data segment and fills resp. The text of
// the response is returned; it is valid until the next step.
func (m *Machine) Step(req pdu.LoginRequest, data []byte, resp *pdu.Header) (Outcome, []byte) {
	m.out.Clear()
	if s := m.accept(req); s != pdu.LoginSuccess {
		return m.refuse(s, resp)
	}
	if !m.in.Add(data) {
		return m.refuse(pdu.LoginOutOfResources, resp)
	}
	if req.Continue() {
		// RFC 3720 §5.2 [R-5.2-2]: C=1 is answered by a response without data.
		m.respond(m.stage, false, resp)
		return Reply, nil
	}
	defer m.in.Clear()
	if !m.begun {
		if s := m.identify(m.in.Bytes()); s != pdu.LoginSuccess {
			return m.refuse(s, resp)
		}
	}
	return m.negotiate(req, resp)
}

// accept checks the header of a request against the login so far.
func (m *Machine) accept(req pdu.LoginRequest) pdu.LoginStatus {
	m.exchanges++
	if m.exchanges == 1 {
		return m.acceptFirst(req)
	}
	same := req.Header.ITT() == m.itt && req.ISID() == m.id.ISID && req.TSIH() == m.id.TSIH && req.CID() == m.id.CID
	// RFC 3720 §5.3 [R-5.3-13]: one task, one tag; §10.12.6, §10.12.7: TSIH and
	// CID are constant; the stage changes only by T.
	if !same || req.Current() != m.stage || m.exchanges > MaxExchanges {
		return pdu.LoginInitiatorError
	}
	return m.acceptStages(req)
}

func (m *Machine) acceptFirst(req pdu.LoginRequest) pdu.LoginStatus {
	m.itt, m.cmdSN = req.Header.ITT(), req.CmdSN()
	m.id = Identity{
		ISID: req.ISID(), TSIH: req.TSIH(), CID: req.CID(), PortalGroupTag: m.cfg.PortalGroupTag, Source: m.id.Source,
	}
	m.stage = req.Current()
	// §10.12.4 [R-10.13.2-1]: no common version.
	if req.Version() > version {
		return pdu.LoginUnsupportedVersion
	}
	// §5.3.1: a login starts in the security or the operational stage.
	if m.stage != pdu.SecurityStage && m.stage != pdu.OperationalStage {
		return pdu.LoginInitiatorError
	}
	return m.acceptStages(req)
}

func (m *Machine) acceptStages(req pdu.LoginRequest) pdu.LoginStatus {
	if !req.Transit() {
		return pdu.LoginSuccess
	}
	// §10.12.2 [R-10.12.2-1]: C=1 excludes T=1; §10.12.3: NSG lies behind CSG and
	// code 2 is reserved.
	legal := !req.Continue() && req.Next() > m.stage && (req.Next() == pdu.OperationalStage || req.Next() == pdu.FullFeature)
	if !legal {
		return pdu.LoginInitiatorError
	}
	return pdu.LoginSuccess
}

func (m *Machine) negotiate(req pdu.LoginRequest, resp *pdu.Header) (Outcome, []byte) {
	w := inSecurity
	if m.stage == pdu.OperationalStage {
		// §5.3.1 [R-5.3.1-2]: nothing is negotiated before the proof that is demanded.
		if !m.authentic() {
			return m.refuse(pdu.LoginAuthFailure, resp)
		}
		w = inOperational
		m.n.Declare(m.out)
	}
	// SessionType and the names may come in either stage; the rows say so.
	if !m.tagSent && m.id.Target != "" {
		// §5.3.1 [R-5.3.1-1]: in the first response to the first request with C=0.
		m.out.PutNumber("TargetPortalGroupTag", uint32(m.cfg.PortalGroupTag))
	}
	m.tagSent = true
	if s := m.n.Take(m.in.Bytes(), w, m.out); s != pdu.LoginSuccess {
		return m.refuse(s, resp)
	}
	transit, s := m.authenticate(req.Transit())
	if s == pdu.LoginSuccess {
		if m.stage == pdu.OperationalStage || transit && req.Next() == pdu.FullFeature {
			m.sayAlias()
		}
		if m.out.Full() {
			s = pdu.LoginOutOfResources
		}
	}
	if s != pdu.LoginSuccess {
		return m.refuse(s, resp)
	}
	return m.move(req.Next(), transit, resp)
}

// move answers a request that is in order, and leaves the stage when both sides
// are ready.
func (m *Machine) move(next pdu.Stage, transit bool, resp *pdu.Header) (Outcome, []byte) {
	if !transit {
		m.respond(m.stage, false, resp)
		return Reply, m.out.Bytes()
	}
	m.next = next
	if m.next == pdu.FullFeature {
		m.n.finish()
		return Admit, nil
	}
	m.respond(m.next, true, resp)
	m.stage = m.next
	return Reply, m.out.Bytes()
}

// Admitted finishes the request that ended in Admit: with LoginSuccess the final
// response for a session with this handle, ExpCmdSN and MaxCmdSN, else a refusal.
func (m *Machine) Admitted(s pdu.LoginStatus, tsih pdu.TSIH, exp, last serial.CmdSN, resp *pdu.Header) (Outcome, []byte) {
	if s != pdu.LoginSuccess {
		return m.refuse(s, resp)
	}
	m.respond(pdu.FullFeature, true, resp)
	r := pdu.AsLoginResponse(resp)
	// §10.13.3 [R-10.13.3-1]: the handle of a new session only in this response.
	r.SetTSIH(tsih)
	r.SetWindow(exp, last)
	m.stage = pdu.FullFeature
	return Done, m.out.Bytes()
}
