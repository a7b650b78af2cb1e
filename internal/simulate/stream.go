package simulate

import (
	"bytes"
	"slices"

	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
)

// What is here takes what the target says on a connection. It is judged as it was sent;
// then it may be lost, at a recovery level that brings it back, and what is not goes on
// to the initiator, which acts upon answers in the order of their StatSN.

// said is a PDU that took a StatSN on a connection with recovery.
type said struct {
	head pdu.Header
	data []byte
	// asks is how often it was asked for and has not come again; came says that the
	// initiator has it.
	asks int
	came bool
	// again: one more answer has taken its number, behind R-Data.
	again bool
}

// recovers says whether what is lost comes again (RFC 3720 §6.1.3).
func (w *world) recovers() bool { return w.plan.Settings.Level > 0 }

// numbered says whether a PDU takes a StatSN (RFC 3720 §3.2.2.2).
func numbered(h *pdu.Header) bool {
	switch h.Opcode() {
	case pdu.OpR2T:
		return false
	case pdu.OpNOPIn:
		return h.ITT() != pdu.NoTag
	case pdu.OpDataIn:
		return h.Flags()&pdu.DataStatus != 0
	default:
		return true
	}
}

// ofTask says whether a PDU answers a task.
func ofTask(h *pdu.Header) bool {
	o := h.Opcode()
	return o != pdu.OpReject && o != pdu.OpAsync && (o != pdu.OpNOPIn || h.ITT() != pdu.NoTag)
}

// take takes the next PDU of the target.
func (l *link) take(h *pdu.Header, data []byte) {
	w := l.host.w
	if l.phase == loggingIn {
		l.loginResponse(h, data)
		return
	}
	asked := l.numbers(h, data)
	var t *task
	if ofTask(h) {
		if t = l.host.find(h.ITT()); t == nil {
			w.fail("tag", "%s names no task", show(h))
			return
		}
		t.stream(l, h, data, asked)
	}
	switch {
	case w.failure != nil:
	case l.loses(h):
		w.say("   it is lost")
	default:
		l.host.tell(h)
		l.arrive(t, h, data)
	}
}

// numbers judges StatSN and the command window (RFC 3720 §3.2.2.1, §3.2.2.2). It is true
// for an answer that comes again because its StatSN was asked for.
func (l *link) numbers(h *pdu.Header, data []byte) (asked bool) {
	w, p := l.host.w, pdu.Response{Header: h}
	n := p.StatSN()
	switch {
	case numbered(h) && w.recovers() && n.Less(l.next):
		asked = l.repeated(h, data)
	case (numbered(h) || h.Opcode() != pdu.OpDataIn) && n != l.next:
		w.fail("StatSN", "connection %d: %s, want StatSN %d", l.cid, show(h), l.next.Uint32())
	case numbered(h):
		l.next = n.Next()
		if w.recovers() {
			l.said[n] = &said{head: *h, data: bytes.Clone(data)}
		}
	}
	exp, last := p.ExpCmdSN(), p.MaxCmdSN()
	s := l.host
	switch {
	case exp.Less(l.exp) || last.Less(l.last):
		w.fail("window back", "connection %d: %s after %d..%d", l.cid, show(h), l.exp.Uint32(), l.last.Uint32())
	case last.Sub(exp) < -1:
		w.fail("window", "connection %d: %s", l.cid, show(h))
	case s.sn.Less(exp):
		w.fail("ExpCmdSN", "connection %d: %s, the next to be sent is %d", l.cid, show(h), s.sn.Uint32())
	case last.Sub(s.sn)+1 > int32(w.plan.Settings.Window):
		w.fail("window size", "connection %d: %s, the next to be sent is %d", l.cid, show(h), s.sn.Uint32())
	}
	l.exp, l.last = exp, last
	return asked
}

// repeated judges an answer that comes again: an exact copy but for the command window,
// and because somebody asked for it (RFC 3720 §10.16 [R-10.16-2]).
func (l *link) repeated(h *pdu.Header, data []byte) (asked bool) {
	w, s := l.host.w, l.said[pdu.Response{Header: h}.StatSN()]
	if s == nil {
		w.fail("StatSN", "connection %d: %s was never sent", l.cid, show(h))
		return false
	}
	t := l.host.find(h.ITT())
	if t != nil && h.Opcode() == pdu.OpSCSIResponse && slices.Contains(t.tags, pdu.AsSCSIResponse(h).SNACKTag()) && !sameAnswer(h, &s.head) {
		// Behind R-Data one more answer has the StatSN of the first (§10.16.3
		// [R-10.16.3-3]).
		*s = said{head: *h, data: bytes.Clone(data), asks: s.asks, again: true}
		return true
	}
	if !sameAnswer(h, &s.head) || !bytes.Equal(data, s.data) {
		w.fail("copy", "connection %d: %s comes again as %s", l.cid, show(&s.head), show(h))
	}
	if s.asks > 0 {
		s.asks--
		return true
	}
	if h.Opcode() != pdu.OpDataIn && !l.anything {
		w.fail("unasked", "connection %d: %s comes again", l.cid, show(h))
	}
	return false
}

// sameAnswer compares two answers but for the command window.
func sameAnswer(a, b *pdu.Header) bool {
	x, y := *a, *b
	pdu.Response{Header: &x}.SetWindow(serial.Cmd(0), serial.Cmd(0))
	pdu.Response{Header: &y}.SetWindow(serial.Cmd(0), serial.Cmd(0))
	return x == y
}

// loses says whether a PDU is lost on its way.
func (l *link) loses(h *pdu.Header) bool {
	w := l.host.w
	if !w.loses() {
		return false
	}
	switch h.Opcode() {
	case pdu.OpNOPIn:
		return h.ITT() != pdu.NoTag
	case pdu.OpDataIn, pdu.OpR2T, pdu.OpSCSIResponse, pdu.OpTextResp, pdu.OpTaskResponse, pdu.OpReject:
		return true
	default:
		return false // nothing brings these back
	}
}

// loses is a throw of the dice for one PDU.
func (w *world) loses() bool {
	s := &w.plan.Settings
	return w.recovers() && s.Lossy > 0 && !w.calm && w.dice.oneIn(s.Lossy)
}

// tell notes the command window that an initiator hears of.
func (h *host) tell(p *pdu.Header) {
	r := pdu.Response{Header: p}
	if h.exp.Less(r.ExpCmdSN()) {
		h.exp = r.ExpCmdSN()
	}
	if h.last.Less(r.MaxCmdSN()) {
		h.last = r.MaxCmdSN()
	}
}
