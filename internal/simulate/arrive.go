package simulate

import (
	"lunar/iscsi/pdu"
)

// What is here is how an initiator acts upon what arrives, in the order of StatSN.

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
