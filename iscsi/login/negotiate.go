package login

import (
	"lunar/iscsi/pdu"
	"lunar/iscsi/text"
)

// maxUnknownKeys bounds how many keys we do not know are answered
// NotUnderstood: each answer is longer than the offer, so an unbounded list would
// make a short request grow into a long reply.
const maxUnknownKeys = 64

// Negotiation is one negotiation: all keys of a login, or of one text exchange.
// It is atomic: the owner uses Params only when it ended well (RFC 3720 §5.2
// [R-5.2-15]).
type Negotiation struct {
	offer     *Offer
	discovery bool
	Params    Params

	// method is the AuthMethod that is allowed, settled the one that was agreed, and
	// proof its keys of this request.
	method, settled string
	proof           []text.Pair

	// recovers says that the session has a recovery level above 0, as far as is known.
	recovers bool

	// further says that the connection joins a session that is; named that the first
	// text, which holds the names, was taken.
	further, named bool

	seen     keySet
	unknown  []string
	declared bool
}

// NewNegotiation starts from the values in force.
func NewNegotiation(offer *Offer, current Params, discovery bool) *Negotiation {
	return &Negotiation{offer: offer, Params: current, discovery: discovery, method: text.None}
}

// Take answers a complete text segment that came in phase w, with its answers
// into out. A status other than LoginSuccess ends the negotiation.
func (n *Negotiation) Take(segment []byte, w when, out *text.Writer) pdu.LoginStatus {
	var first []byte
	n.proof = n.proof[:0]
	n.recovers = n.Params.ErrorRecoveryLevel > 0 || n.offersRecovery(segment)
	for b := segment; len(b) > 0; {
		p, rest, ok := text.NextPair(b)
		if !ok {
			return pdu.LoginInitiatorError
		}
		b = rest
		if string(p.Key) == firstBurstLength {
			// Answered last: it may not exceed MaxBurstLength, which may stand behind
			// it (RFC 3720 §12.14 [R-12.14-1]).
			if first != nil {
				return pdu.LoginInitiatorError
			}
			first = p.Value
			continue
		}
		if s := n.pair(p, w, out); s != pdu.LoginSuccess {
			return s
		}
	}
	if first != nil {
		if s := n.pair(text.Pair{Key: []byte(firstBurstLength), Value: first}, w, out); s != pdu.LoginSuccess {
			return s
		}
	}
	n.named = true
	if out.Full() {
		return pdu.LoginOutOfResources
	}
	return pdu.LoginSuccess
}

func (n *Negotiation) pair(p text.Pair, w when, out *text.Writer) pdu.LoginStatus {
	k, i := find(p.Key)
	if k == nil {
		return n.notUnderstood(p, out)
	}
	// RFC 3720 §5.3 [R-5.3-12]: a repeated key is detected and refused.
	if n.seen.add(i) {
		return pdu.LoginInitiatorError
	}
	// §5.3 [R-5.3-7]: a key of another stage is a protocol error, and so is one
	// that only a target may send, or only the first connection of a session (§12
	// [R-12-1]).
	if k.when&w == 0 || k.kind == kindTargetOnly || k.leadingOnly && n.further {
		return pdu.LoginInitiatorError
	}
	if k.kind == kindProof {
		// A name or a number may look like any word.
		n.proof = append(n.proof, p)
		return pdu.LoginSuccess
	}
	// §5.2 [R-5.2-10]: these words answer, they never propose.
	switch string(p.Value) {
	case text.Reject, text.Irrelevant, text.NotUnderstood:
		return pdu.LoginInitiatorError
	}
	if n.discovery && k.normalOnly {
		out.Put(k.name, text.Irrelevant)
		return pdu.LoginSuccess
	}
	return n.evaluate(k, p.Value, out)
}

// offersRecovery says whether a text settles a recovery level above 0, which what
// stands before it may depend on.
func (n *Negotiation) offersRecovery(segment []byte) bool {
	if n.offer.ErrorRecoveryLevel == 0 || n.discovery {
		return false
	}
	for b := segment; len(b) > 0; {
		p, rest, ok := text.NextPair(b)
		if !ok {
			return false
		}
		if string(p.Key) == errorRecoveryLevel {
			x, ok := text.Number(p.Value)
			return ok && x > 0 && x <= maxLevel
		}
		b = rest
	}
	return false
}

func (n *Negotiation) notUnderstood(p text.Pair, out *text.Writer) pdu.LoginStatus {
	for _, name := range n.unknown {
		if name == string(p.Key) {
			return pdu.LoginInitiatorError
		}
	}
	if len(n.unknown) == maxUnknownKeys {
		return pdu.LoginInitiatorError
	}
	n.unknown = append(n.unknown, string(p.Key))
	// §5.2 [R-5.2-8]: an unknown key is answered, and the negotiation goes on.
	out.Put(string(p.Key), text.NotUnderstood)
	return pdu.LoginSuccess
}

func (n *Negotiation) evaluate(k *Key, v []byte, out *text.Writer) pdu.LoginStatus {
	// §5.1 [R-5.1-8]: only lists are longer.
	if k.kind != kindList && len(v) > text.MaxValueBytes {
		return pdu.LoginInitiatorError
	}
	switch k.kind {
	case kindList:
		return n.list(k, v, out)
	case kindAnd, kindOr:
		n.boolean(k, v, out)
	case kindMin, kindMax:
		n.limit(k, v, out)
	case kindDeclare:
		x, ok := text.Number(v)
		if !ok || x < uint64(k.min) || x > uint64(k.max) {
			return pdu.LoginInitiatorError
		}
		*k.number(&n.Params) = uint32(x)
	case kindReject:
		out.Put(k.name, text.Reject)
	case kindName:
		// What the login is about was said in the first request (§5.3 [R-5.3-1]).
		if n.named {
			return pdu.LoginInitiatorError
		}
	case kindSession:
		if (string(v) == discovery) != n.discovery {
			return pdu.LoginInitiatorError
		}
	case kindNote, kindTargetOnly, kindProof:
	}
	return pdu.LoginSuccess
}

// list answers with the first offered value we support (§5.2.1 [R-5.2.1-1]).
// Values we do not know are passed over; when none is left the answer is Reject,
// except for AuthMethod, where it ends the login (§5.3.2 [R-5.3.2-1]).
func (n *Negotiation) list(k *Key, v []byte, out *text.Writer) pdu.LoginStatus {
	chosen := ""
	for rest := v; len(rest) > 0; {
		var item []byte
		item, rest = text.NextItem(rest)
		for _, c := range k.choices {
			if c != string(item) || k.name == authMethod && c != n.method {
				continue
			}
			// In a discovery session None wins wherever it stands: digests buy nothing
			// there and some initiators offer what they do not implement.
			if chosen == "" || n.discovery && c == text.None {
				chosen = c
			}
		}
	}
	if chosen == "" {
		if k.name == authMethod {
			return pdu.LoginAuthFailure
		}
		out.Put(k.name, text.Reject)
		return pdu.LoginSuccess
	}
	if k.name == authMethod {
		n.settled = chosen
	}
	k.chosen(&n.Params, chosen)
	out.Put(k.name, chosen)
	return pdu.LoginSuccess
}

// boolean always answers. DEVIATION [D-7]: §5.2.2 [R-5.2.2-4] allows silence when
// the result is certain, and initiators exist that wait for an answer.
func (n *Negotiation) boolean(k *Key, v []byte, out *text.Writer) {
	theirs, ok := text.Bool(v)
	if !ok {
		out.Put(k.name, text.Reject)
		return
	}
	result := theirs && k.ourFlag(n.offer)
	if k.kind == kindOr {
		result = theirs || k.ourFlag(n.offer)
	}
	*k.flag(&n.Params) = result
	out.Put(k.name, text.YesNo(result))
}

func (n *Negotiation) limit(k *Key, v []byte, out *text.Writer) {
	x, ok := text.Number(v)
	if !ok || x < uint64(k.min) || x > uint64(k.max) {
		// §5.2.2 [R-5.2.2-2]: an inadmissible proposal may be answered Reject; the
		// value in force stays.
		out.Put(k.name, text.Reject)
		return
	}
	result := min(uint32(x), k.ourNumber(n.offer))
	if k.kind == kindMax {
		result = max(uint32(x), k.ourNumber(n.offer))
	}
	switch {
	case k.name == firstBurstLength:
		result = min(result, n.Params.MaxBurstLength)
	case k.name == maxOutstandingR2T && n.recovers:
		// RFC 3720 §12.19 [R-12.19-2]: data sequences are always in order with us.
		result = 1
	case k.name == errorRecoveryLevel && n.discovery:
		// RFC 7143 §7.4 [N-10].
		result = 0
	}
	*k.number(&n.Params) = result
	out.PutNumber(k.name, result)
}

// Declare states our MaxRecvDataSegmentLength once (RFC 3720 §12.12). A
// declaration needs no answer, so it may stand in a last response.
func (n *Negotiation) Declare(out *text.Writer) {
	if n.declared {
		return
	}
	n.declared = true
	n.Params.MaxRecv = n.offer.MaxRecvDataSegmentLength
	out.PutNumber("MaxRecvDataSegmentLength", n.Params.MaxRecv)
}

// finish brings dependent values together once all keys are in (§5.2
// [R-5.2-16]). MaxBurstLength may have been settled after FirstBurstLength, or
// FirstBurstLength never offered.
func (n *Negotiation) finish() {
	n.Params.FirstBurstLength = min(n.Params.FirstBurstLength, n.Params.MaxBurstLength)
	if n.Params.ErrorRecoveryLevel > 0 && n.Params.DataSequenceInOrder {
		// RFC 3720 §12.19 [R-12.19-2].
		n.Params.MaxOutstandingR2T = 1
	}
}

// Text is one negotiation in full feature phase (RFC 3720 §5.4): the same table,
// of which few keys may come.
func (n *Negotiation) Text(segment []byte, out *text.Writer) pdu.LoginStatus {
	return n.Take(segment, inFullFeature, out)
}
