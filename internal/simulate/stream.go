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
		*s = said{head: *h, data: bytes.Clone(data), asks: s.asks}
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

// arrive has the initiator act upon a PDU, now or when what is before it has come.
func (l *link) arrive(t *task, h *pdu.Header, data []byte) {
	switch {
	case !numbered(h):
		l.act(t, h, data)
	case !l.host.w.recovers():
		l.statSN = l.next
		l.act(t, h, data)
	default:
		s := l.said[pdu.Response{Header: h}.StatSN()]
		if h.Opcode() == pdu.OpReject && !s.came {
			// It may be what an answer before it waits for.
			l.rejected(h, data)
		}
		s.came = true
		if h.Opcode() == pdu.OpDataIn && t.state == open && t.link == l {
			t.dataCame(h)
		}
		l.advance()
	}
}

// advance acts upon the answers that are due. One whose data is not complete waits, so
// that it is not acknowledged (RFC 3720 §10.16.1 [R-10.16.1-1]).
func (l *link) advance() {
	for l.phase < doomed && l.host.w.failure == nil {
		s := l.said[l.statSN]
		if s == nil || !s.came {
			return
		}
		t := l.host.find(s.head.ITT())
		lacks := t != nil && t.link == l && t.lacks(&s.head)
		if lacks && !t.unavailable {
			return
		}
		l.statSN = l.statSN.Next()
		l.acked = l.host.w.clock()
		if lacks {
			t.close(gone, l, "its data is not to be had any more")
			continue
		}
		l.act(t, &s.head, s.data)
	}
}

// act is what an initiator does about a PDU.
func (l *link) act(t *task, h *pdu.Header, data []byte) {
	switch h.Opcode() {
	case pdu.OpNOPIn:
		if h.ITT() == pdu.NoTag {
			l.answerPing(h)
			return
		}
	case pdu.OpReject:
		if !l.host.w.recovers() {
			l.rejected(h, data)
		}
		return
	case pdu.OpAsync:
		l.event(h)
		return
	default:
		// Everything else answers a task.
	}
	if l.mine(t, h) {
		l.answer(t, h, data)
	}
}

// event judges an Async Message (RFC 3720 §10.9).
func (l *link) event(h *pdu.Header) {
	p := pdu.AsAsync(h)
	if e := p.Event(); e == pdu.EventDropping && l.host.w.parks() {
		if cid, _, _ := p.Parameters(); pdu.CID(cid) != l.cid && l.host.broken(pdu.CID(cid)) {
			return
		}
		l.host.w.fail("async", "%s: its connection lives", show(h))
	} else if l.excuse == "" {
		l.host.w.fail("async", "event %d without a cause", e)
	}
}

// mine judges whether the target may say anything about a task here.
func (l *link) mine(t *task, h *pdu.Header) bool {
	w := l.host.w
	late := h.Opcode() == pdu.OpDataIn && h.Flags()&pdu.DataStatus == 0 || h.Opcode() == pdu.OpR2T
	switch {
	case t.link != l:
		w.fail("allegiance", "%s is of connection %d: %s", t, t.link.cid, show(h))
	case t.state == open:
		return true
	case t.state == answered && late && w.recovers():
		// It was asked for twice.
	case t.state == gone && (t.parked || t.reassigned) && h.Opcode() != pdu.OpR2T:
		// An outcome that stood before the function that ended it is told because of the
		// reassignment (RFC 7144 §6.3).
	case t.state == gone && t.endedBy != l && (l.phase == leaving || l.peer.Ended()):
		// A connection that ends takes the acknowledgement of what it said with it.
	case t.state == gone && (t.loose || late && t.endedBy != l):
		// Data has no number that its initiator acknowledges, so it may lie behind an
		// answer on another connection.
	default:
		w.fail("after the end", "%s is over (%s): %s", t, t.how, show(h))
	}
	return false
}

// answer hands a PDU to the task it is about.
func (l *link) answer(t *task, h *pdu.Header, data []byte) {
	var ok bool
	switch h.Opcode() {
	case pdu.OpDataIn:
		if ok = t.scsi(); ok {
			t.dataIn(l, h)
		}
	case pdu.OpR2T:
		if ok = t.scsi(); ok {
			t.r2t(h)
		}
	case pdu.OpSCSIResponse:
		if ok = t.scsi(); ok {
			t.respond(l, h, data)
		}
	case pdu.OpNOPIn:
		ok = t.op.Kind == Ping
		t.echoed(l, data)
	case pdu.OpTextResp:
		if ok = t.op.Kind == Text; ok {
			t.renegotiated(l, h)
		}
	case pdu.OpTaskResponse:
		if ok = t.function() != 0; ok {
			t.managed(l, h)
		}
	case pdu.OpLogoutResp:
		if ok = t.closes != nil || t.op.Kind == LogoutSession; ok {
			t.loggedOut(l, h)
		}
	default:
		ok = false
	}
	if !ok {
		l.host.w.fail("opcode", "%s answers %s", show(h), t)
	}
}
