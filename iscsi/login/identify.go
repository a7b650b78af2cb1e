package login

import (
	"lunar/iscsi/pdu"
	"lunar/iscsi/text"
)

// identify reads the names from the first complete text: they decide what the
// rest is about.
func (m *Machine) identify(segment []byte) pdu.LoginStatus {
	m.begun = true
	for b := segment; len(b) > 0; {
		p, rest, ok := text.NextPair(b)
		if !ok {
			return pdu.LoginInitiatorError
		}
		b = rest
		if s := m.identifyPair(p); s != pdu.LoginSuccess {
			return s
		}
	}
	// §5.3 [R-5.3-1], [R-5.3-2]: both names are in the first request; a discovery
	// session needs no target.
	if m.id.Initiator == "" || m.id.Target == "" && !m.id.Discovery {
		return pdu.LoginMissingParameter
	}
	return m.enter()
}

// enter asks the directory what this initiator may have, and under which terms.
func (m *Machine) enter() pdu.LoginStatus {
	m.access = m.cfg.Targets.Access(Query{
		Initiator: m.id.Initiator, Target: m.id.Target, Discovery: m.id.Discovery, Source: m.id.Source,
	})
	offer := m.access.Offer
	if offer == nil {
		offer = &m.cfg.Offer
	}
	m.n = NewNegotiation(offer, DefaultParams(), m.id.Discovery)
	m.n.further = m.id.TSIH != 0
	if m.access.Auth != nil {
		m.n.method = chap
	}
	return m.access.Status
}

func (m *Machine) identifyPair(p text.Pair) pdu.LoginStatus {
	ok := true
	switch string(p.Key) {
	case "InitiatorName":
		m.id.Initiator, ok = text.Name(p.Value)
	case "TargetName":
		m.id.Target, ok = text.Name(p.Value)
		if !ok {
			return pdu.LoginNotFound
		}
	case "InitiatorAlias":
		// §12.6: for people; nothing depends on it.
		m.id.Alias = string(p.Value[:min(len(p.Value), maxAlias)])
	case "SessionType":
		// §12.21 [R-12.21-1].
		switch string(p.Value) {
		case "Normal":
		case discovery:
			m.id.Discovery = true
		default:
			return pdu.LoginTypeNotSupported
		}
	}
	if !ok {
		return pdu.LoginInitiatorError
	}
	return pdu.LoginSuccess
}

// maxAlias bounds an alias that is kept (RFC 3720 §12.6: at most 255 bytes).
const maxAlias = 255

// discovery is the SessionType of a session without a unit (RFC 3720 §12.21).
const discovery = "Discovery"
