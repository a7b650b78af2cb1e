package session

import (
	"lunar/iscsi/login"
	"lunar/iscsi/pdu"
	"lunar/iscsi/text"
)

// Targets answers SendTargets (RFC 3720 appendix D).
type Targets interface {
	// SendTargets appends the records of the targets that initiator may see: all of
	// them, or the one named. An unknown or forbidden name appends nothing.
	SendTargets(dst []byte, initiator, name string) []byte
}

// MaxTextBytes bounds the text of one exchange in full feature phase.
const MaxTextBytes = login.MaxSegmentBytes

// textExchange is the one text exchange of a connection that may be under way
// (RFC 3720 §10.10 [R-10.10-1]).
type textExchange struct {
	itt pdu.ITT
	ttt pdu.TTT
	in  *text.Collector
	// keys is the negotiation of the exchange. Its values come into force with the
	// response that ends it (§5.4 [R-5.4-5]).
	keys  *login.Negotiation
	offer login.Offer
	// reply is what is left to send of a long answer.
	reply []byte
	count uint16
}

// textRequest takes the header of a Text Request (RFC 3720 §10.10).
func (c *Conn) textRequest(h *pdu.Header, ahs []byte) Disposition {
	p := pdu.AsTextRequest(h)
	// §10.10.2 [R-10.10.2-1]: C=1 excludes F=1.
	if p.Continue() && h.Final() {
		return c.refuse(pdu.RejectProtocolError, h, ahs)
	}
	if !c.text.has(p.TTT(), h.ITT()) {
		return c.refuse(pdu.RejectInvalidField, h, ahs)
	}
	t, d := c.request(KindText, h, ahs)
	if t == nil {
		return d
	}
	t.textTTT, t.textFinal, t.textMore = p.TTT(), h.Final(), p.Continue()
	t.textHead = append(append(make([]byte, 0, pdu.HeaderBytes+len(ahs)), h[:]...), ahs...)
	if h.DataBytes() == 0 {
		return Disposition{Verdict: Skip, Task: t}
	}
	return Disposition{Verdict: Collect, Task: t, Bytes: uint32(h.DataBytes())}
}

// has says whether a request opens an exchange or goes on with this one; a tag
// that does neither is stale (§10.10.4, §10.11.4 [R-10.11.4-2]).
func (x *textExchange) has(ttt pdu.TTT, itt pdu.ITT) bool {
	return ttt == pdu.NoTag || x.in != nil && ttt == x.ttt && itt == x.itt
}

// RunText carries out a delivered Text Request. It is false when the request was
// refused by a Reject instead, which has released it: the initiator then starts
// anew (RFC 3720 §5.4 [R-5.4-4], [R-5.4-6]).
func (c *Conn) RunText(t *Task) bool {
	x := &c.text
	if c.texting {
		// §10.10 [R-10.10-1]: one outstanding Text Request; a second one, delivered
		// before the first is answered, would change the answer under it.
		return c.rejectText(t, pdu.RejectProtocolError)
	}
	if !x.has(t.textTTT, t.ITT) {
		// Another exchange began while this request waited for its turn.
		return c.rejectText(t, pdu.RejectInvalidField)
	}
	if t.textTTT == pdu.NoTag {
		// §10.10.4 [R-10.10.4-1]: a new request; what was under way is forgotten.
		*x = textExchange{itt: t.ITT, in: text.NewCollector(MaxTextBytes), count: x.count}
	}
	if x.reply == nil {
		if !x.in.Add(t.Text) {
			return c.rejectText(t, pdu.RejectLongOperation)
		}
		if !t.textMore {
			if !c.answerText() {
				return c.rejectText(t, pdu.RejectProtocolError)
			}
		}
	}
	t.Phase, c.texting = Responding, true
	return true
}

// answerText parses a complete text and builds the whole answer.
func (c *Conn) answerText() bool {
	segment := c.text.in.Bytes()
	if value, asked, alone := findSendTargets(segment); asked {
		// Appendix D [R-D-1]: SendTargets stands alone.
		return alone && c.sendTargets(string(value))
	}
	if c.Identity.Discovery {
		// §3.3 [R-3.3-1], [R-3.3-2].
		return len(segment) == 0
	}
	x := &c.text
	if x.keys == nil {
		x.keys = login.NewNegotiation(&x.offer, c.Params, false)
	}
	out := text.NewWriter(MaxTextBytes)
	// One negotiation for the whole exchange finds a key that comes twice
	// (§5.4 [R-5.4-4]).
	if x.keys.Text(segment, out) != pdu.LoginSuccess {
		return false
	}
	if c.newRecv != 0 {
		// §5.2 [R-5.2-6], §12.12: it holds with the response that ends the exchange.
		x.offer.MaxRecvDataSegmentLength = c.newRecv
		x.keys.Declare(out)
	}
	x.reply = append([]byte{}, out.Bytes()...)
	return true
}

// findSendTargets looks for the one key that is no negotiation.
func findSendTargets(segment []byte) (value []byte, asked, alone bool) {
	for b := segment; len(b) > 0; {
		p, rest, ok := text.NextPair(b)
		if !ok {
			return nil, false, false
		}
		if string(p.Key) == login.SendTargets {
			return p.Value, true, len(rest) == 0 && len(b) == len(segment)
		}
		b = rest
	}
	return nil, false, false
}

// sendTargets answers All in discovery only (appendix D [R-D-5]), a name for that
// target, and nothing for the target of this session ([R-D-6], [R-D-7]). In a
// normal session only the connected target is told about ([R-D-4]).
func (c *Conn) sendTargets(which string) bool {
	id := &c.Identity
	var name string
	switch which {
	case "All":
		if !id.Discovery {
			return false
		}
	case "":
		if id.Discovery {
			return false
		}
		name = id.Target
	default:
		n, ok := text.Name([]byte(which))
		if !ok || !id.Discovery && n != id.Target {
			return ok
		}
		name = n
	}
	c.text.reply = c.targets.SendTargets(c.text.reply, id.Initiator, name)
	return true
}

// rejectText answers a Text Request with a Reject, which carries its whole header
// (RFC 3720 §10.17.4 [R-10.17.4-1]), and ends the exchange. DEVIATION [D-10]: its
// number stays received.
func (c *Conn) rejectText(t *Task, r pdu.RejectReason) bool {
	if t.ITT == c.text.itt && !c.texting {
		c.text = textExchange{count: c.text.count}
	}
	c.Release(t)
	c.refuse(r, (*pdu.Header)(t.textHead), t.textHead[pdu.HeaderBytes:])
	return false
}

// textResponse writes the next part of the answer (RFC 3720 §10.11). A long
// answer is cut between pairs, so no part ends inside one and C stays 0.
func (c *Conn) textResponse(t *Task, h *pdu.Header) []byte {
	x := &c.text
	c.texting = false
	c.begin(h, pdu.OpTextResp, t.ITT)
	p := pdu.AsTextResponse(h)
	part := x.reply
	if limit := int(c.Params.MaxSend); len(part) > limit {
		part = part[:limit]
		for part[len(part)-1] != 0 {
			part = part[:len(part)-1]
		}
	}
	x.reply = x.reply[len(part):]
	// §10.11.1 [R-10.11.1-1], [R-10.11.1-3]: F=1 only in reply to F=1, with the
	// reserved tag; otherwise the exchange goes on under a tag.
	if t.textFinal && len(x.reply) == 0 {
		p.SetTTT(pdu.NoTag)
		if x.keys != nil {
			c.Params = x.keys.Params
			if c.Params.MaxRecv == c.newRecv {
				c.newRecv = 0
			}
		}
		*x = textExchange{count: x.count}
	} else {
		h.SetFlags(0)
		if len(x.reply) == 0 {
			x.reply = nil
			if !t.textMore {
				x.in.Clear()
			}
		}
		x.count++
		x.ttt = textTTT + pdu.TTT(x.count)
		p.SetTTT(x.ttt)
		// §10.10.4 [R-10.10.4-2]: a tag comes with a LUN.
		h.SetLUN(c.LUN)
	}
	h.SetDataBytes(len(part))
	c.Release(t)
	c.status(p.Response)
	c.kept.attach(part)
	return part
}

// textTTT is where tags of text exchanges begin, outside those of R2Ts.
const textTTT = pdu.TTT((MaxTasks + 1) << tttIndexShift)
