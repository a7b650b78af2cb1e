package initiator

import (
	"strconv"
	"strings"

	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
	"lunar/iscsi/text"
)

// negotiation is the text side of one login: what we said, what came back, and
// what is still to be said.
type negotiation struct {
	cfg     *Config
	params  Params
	said    map[string]string
	heard   map[string]bool
	pending []pair
	// join is the session that the connection is to belong to, nil of a leading login.
	join *joining
	// moved is the TargetAddress of a redirection.
	moved string
	chap  chapTask
}

type pair struct{ key, value string }

// joining is what a login says that adds a connection to a session, or takes the place
// of one (RFC 3720 §5.3.1).
type joining struct {
	// params are the session's; CmdSN is its next one.
	params Params
	cid    pdu.CID
	// statSN is, when the connection takes the place of one, what was received of that
	// (§10.12.8).
	statSN serial.StatSN
}

func newNegotiation(cfg *Config, join *joining) *negotiation {
	n := &negotiation{
		cfg: cfg, params: defaults(), join: join,
		said: make(map[string]string), heard: make(map[string]bool),
	}
	if join != nil {
		d := n.params
		n.params = join.params
		n.params.HeaderDigest, n.params.DataDigest = false, false
		n.params.MaxSendDataSegmentLength = d.MaxSendDataSegmentLength
		n.params.StatSN = join.statSN
	}
	n.params.ISID = cfg.ISID
	n.params.MaxRecvDataSegmentLength = cfg.MaxRecvDataSegmentLength
	return n
}

// sayNames queues the keys of the first request. RFC 3720 §5.3 [R-5.3-1], [R-5.3-2]:
// both names stand in the first request; TargetName is optional in discovery.
func (n *negotiation) sayNames() {
	n.say("InitiatorName", n.cfg.Initiator)
	if n.cfg.Target != "" {
		n.say("TargetName", n.cfg.Target)
	}
	if n.join == nil {
		session := "Normal"
		if n.cfg.Discovery {
			session = "Discovery"
		}
		n.say("SessionType", session)
	}
	n.say("AuthMethod", n.cfg.CHAP.methods())
}

// sayOffers queues the operational keys.
func (n *negotiation) sayOffers() {
	for i := range keyTable {
		k := &keyTable[i]
		// RFC 3720 §12: these keys mean nothing in a discovery session. A key
		// that the target raised first was answered, not offered again.
		if _, done := n.said[k.name]; done || n.cfg.Discovery && k.normal || n.join != nil && k.leading {
			continue
		}
		if v := k.offer(n.cfg); v != k.standard {
			n.say(k.name, v)
		}
	}
}

func (n *negotiation) say(key, value string) {
	n.said[key] = value
	n.pending = append(n.pending, pair{key, value})
}

// take writes queued pairs up to a segment's worth and says whether more is left.
// A single pair always fits: keys and values are bounded far below it.
func (n *negotiation) take(limit int) (data []byte, more bool) {
	for len(n.pending) > 0 {
		p := n.pending[0]
		if len(data)+len(p.key)+len(p.value)+2 > limit {
			return data, true
		}
		data = append(append(append(data, p.key...), '='), p.value...)
		data = append(data, 0) // RFC 3720 §5.1 [R-5.1-2]: every pair ends with NUL
		n.pending = n.pending[1:]
	}
	return data, false
}

// hear takes one complete text segment of the target.
func (n *negotiation) hear(b []byte) error {
	for len(b) > 0 {
		p, rest, ok := text.NextPair(b)
		if !ok {
			return broken("text segment %.80q is no list of key=value pairs", b)
		}
		b = rest
		if p.Key == nil {
			continue
		}
		if err := n.hearPair(string(p.Key), string(p.Value)); err != nil {
			return err
		}
	}
	return nil
}

func (n *negotiation) hearPair(key, value string) error {
	if key == "TargetAddress" { // repeatable: RFC 3720 §12.8
		if n.moved == "" {
			n.moved, _, _ = strings.Cut(value, ",")
		}
		return nil
	}
	// RFC 3720 §5.3 [R-5.3-12]: an initiator drops the connection for a repeated key.
	if n.heard[key] {
		return broken("key %s came twice in one login", key)
	}
	n.heard[key] = true
	if n.hearDeclared(key, value) || n.chap.hear(key, value) {
		return nil
	}
	ours, asked := n.said[key]
	k := findKey(key)
	switch {
	case key == "AuthMethod":
		return n.chosen(value)
	case k == nil && asked:
		return broken("it answered %s=%s, which is a declaration of ours", key, value)
	case k == nil:
		// RFC 3720 §5.2 [R-5.2-10]: a key that is not known is answered so.
		n.say(key, text.NotUnderstood)
		return nil
	case asked || k.rule == declare:
		return n.result(k, ours, value)
	}
	return n.raised(k, value)
}

// hearDeclared takes what the target merely says of itself.
func (n *negotiation) hearDeclared(key, value string) bool {
	switch key {
	case "TargetPortalGroupTag":
		tag, _ := strconv.ParseUint(value, 0, 16)
		n.params.PortalGroupTag = uint16(tag)
	case "TargetAlias":
		n.params.TargetAlias = value
	default:
		return false
	}
	return true
}

// result takes the answer to an offer of ours.
func (n *negotiation) result(k *keyRow, ours, value string) error {
	switch value {
	case text.Irrelevant, text.NotUnderstood:
		return nil // the key's default stays
	case text.Reject:
		return broken("it rejected %s=%s; offer something else", k.name, ours)
	}
	if n.cfg.Lenient {
		value = k.combined(ours, value)
	}
	if !k.allows(ours, value) {
		return broken("it answered %s=%s with %s", k.name, ours, value)
	}
	k.store(&n.params, value)
	return nil
}

// raised answers a key that the target offers first.
func (n *negotiation) raised(k *keyRow, value string) error {
	v, ok := k.answer(k.offer(n.cfg), value)
	if !ok {
		return broken("it offered %s=%s, out of range", k.name, value)
	}
	n.say(k.name, v)
	k.store(&n.params, v)
	return nil
}
