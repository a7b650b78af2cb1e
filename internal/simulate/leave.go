package simulate

import (
	"lunar/iscsi/pdu"
	"lunar/iscsi/text"
)

// What is here are logouts, pings and negotiation, and the loss of connections by the plan.

// logout writes a Logout Request.
func (t *task) logout(h *pdu.Header, l *link) {
	h.SetOpcode(pdu.OpLogoutReq)
	p := pdu.AsLogoutRequest(h)
	if t.op.Kind == LogoutSession {
		p.SetReason(pdu.CloseSession)
		for _, x := range t.host.slots {
			if x != nil {
				x.excuse = "logged out"
			}
		}
		return
	}
	p.SetReason(pdu.CloseConnection)
	if t.removes {
		p.SetReason(pdu.RemoveForRecovery)
	} else {
		t.host.ends[t.closes.cid-1] = t.host.w.now()
	}
	p.SetCID(t.closes.cid)
	if t.closes == l {
		l.excuse = "logged out"
	}
}

// loggedOut takes the answer to a logout.
func (t *task) loggedOut(l *link, h *pdu.Header) {
	result := pdu.AsLogoutResponse(h).Result()
	switch {
	case result == pdu.LogoutDone:
	case result == pdu.LogoutCIDNotFound && t.closes != nil && (!t.closes.joined || t.closes.asked > 1 || t.host.w.cold || t.host.w.parks() && t.closes.expired() || t.host.slots[t.closes.cid-1] != t.closes):
		// It died before it was one of the session, or another logout was carried out.
	default:
		t.host.w.fail("logout", "%s: result %d", t, result)
	}
	if t.closes != nil {
		t.host.logouts[t.closes.cid-1]--
	}
	t.close(answered, l, "logged out")
	if t.op.Kind == LogoutSession {
		t.host.bury("the session was logged out", true)
		return
	}
	if result != pdu.LogoutDone {
		for _, u := range t.host.open {
			u.mayVanish = u.mayVanish || u.link == t.closes && t.host.w.parks()
		}
	}
	// What is not found may have been removed for recovery before.
	t.host.sweep(t.closes, "the connection was logged out", t.removes || result != pdu.LogoutDone && t.host.w.parks())
	if len(t.host.usable()) == 0 && !t.host.joining() && !t.host.w.parks() {
		t.host.bury("its last connection was logged out", false)
	}
}

// logoutOf cleans up behind a connection that broke, by a logout over another one. It is
// false when that cannot take the request now.
func (h *host) logoutOf(broken, l *link) bool {
	if l.immediate > 0 {
		return false
	}
	broken.sweeping = true
	t := &task{
		op: &Op{Kind: LogoutConn, Host: h.n, Now: 1}, host: h, epoch: h.epoch, tag: pdu.ITT(len(h.tasks) + 1), sn: h.sn,
		issued: h.w.now(), closes: broken, removes: h.w.parks() && (broken.carries() || !h.w.dice.oneIn(4)),
	}
	h.logouts[broken.cid-1]++
	broken.asked++
	h.send(t, l)
	return true
}

// echoed takes the answer to a ping (RFC 3720 §10.19).
func (t *task) echoed(l *link, data []byte) {
	if string(data) != string(t.text) {
		t.host.w.fail("ping", "%s: %q", t, data)
	}
	t.close(answered, l, "echoed")
}

// renegotiation offers another MaxRecvDataSegmentLength.
func (t *task) renegotiation(h *pdu.Header) []byte {
	h.SetOpcode(pdu.OpTextReq)
	pdu.AsTextRequest(h).SetTTT(pdu.NoTag)
	w := text.NewWriter(512)
	w.PutNumber("MaxRecvDataSegmentLength", uint32(t.recv))
	return w.Bytes()
}

// renegotiated takes the answer.
func (t *task) renegotiated(l *link, h *pdu.Header) {
	if !h.Final() || pdu.AsTextResponse(h).TTT() != pdu.NoTag {
		t.host.w.fail("text", "%s", show(h))
	}
	t.close(answered, l, "renegotiated")
}

// cut breaks a connection, or has another take its place while it works.
func (h *host) cut(op *Op) {
	links := h.usable()
	if len(links) == 0 || h.over {
		return
	}
	l := links[op.Conn%len(links)]
	if op.N%3 == 0 && !l.sweeping {
		h.join(int(l.cid) - 1)
		return
	}
	l.cutOff()
}

// plug brings the number that the target waits for, if it belongs to a request that
// nobody wants any more and whose data was damaged or whose connection is gone. It is false when it does not.
func (h *host) plug() bool {
	links := h.usable()
	if len(links) == 0 || !h.exp.Less(h.sn) {
		return false
	}
	for _, t := range h.tasks {
		if t.epoch == h.epoch && t.sn == h.exp && t.op.Now == 0 && t.state == gone && !t.plugged && (t.damaged || t.link.phase >= doomed) {
			t.damaged, t.dropped, t.plugged = false, false, true
			p := &task{
				op: &Op{Kind: Ping, Host: h.n}, host: h, epoch: h.epoch, tag: pdu.ITT(len(h.tasks) + 1), sn: t.sn, issued: h.w.now(), plugs: true,
			}
			h.tasks, h.open = append(h.tasks, p), append(h.open, p)
			h.transmit(p, links[0], 0)
			return true
		}
	}
	return false
}
