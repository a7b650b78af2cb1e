package simulate

import (
	"lunar/iscsi/pdu"
)

// What is here is what an initiator makes of the end of a connection or session.

// lost takes the end of a connection.
func (h *host) lost(l *link) {
	h.w.moved = true
	if l == h.lead {
		h.lead = nil
		return
	}
	for _, x := range h.slots {
		if x != l {
			continue
		}
		h.shaken = h.shaken || !h.w.parks()
		h.lostCIDs[l.cid-1] = true
		h.attend()
		for _, t := range h.open {
			if t.closes == l && t.link != l && t.op.Now != 0 {
				l.sweeping = true // the answer to the logout comes over another one
			}
			if t.op.Kind == LogoutSession && t.link == l {
				h.over = h.loggingOut(t)
			}
		}
	}
}

// attend allows for what units may tell this initiator after something happened to it.
func (h *host) attend() {
	for i := range h.attention {
		h.attention[i] += 2
	}
}

// bury ends the session. When it is sure that the target has ended it too nothing of it
// may come any more.
func (h *host) bury(how string, sure bool) {
	at := h.w.now()
	for len(h.open) > 0 {
		t := h.open[0]
		if t.loose = !sure; sure {
			t.over(at)
		}
		t.close(gone, nil, how)
	}
	for i, l := range h.slots {
		for ; l != nil; l = l.old {
			h.doom(l, how)
		}
		h.slots[i] = nil
	}
	h.stray = nil
	h.alive, h.over = false, false
}

// doom turns away from a connection that the target closes: what it still says does not
// matter any more.
func (h *host) doom(l *link, why string) {
	if l.phase < doomed {
		if l.phase == loggingIn {
			l.peer.Close()
		}
		l.phase, l.excuse, l.out = doomed, why, nil
		h.doomed = append(h.doomed, l)
	}
}

// sweep deals with what was under way on a connection that is gone for the target too:
// commands it had are over, numbers it had not are brought by another connection (RFC
// 3720 §10.14.5 [R-10.14-5]).
func (h *host) sweep(l *link, how string, recovered bool) {
	at := h.w.now()
	for _, t := range append([]*task(nil), h.open...) {
		if t.link != l || t.state != open {
			continue
		}
		if t.op.Now == 0 && !t.sn.Less(h.exp) {
			t.bursts, t.flipped = nil, false
			t.downgrade()
			h.stray = append(h.stray, t)
			continue
		}
		if t.scsi() && (t.parked || t.op.Now == 0) && (recovered || t.moving) {
			// It may be reassigned; if the reassignment that was under way had come, it has
			// ended with this connection; so has everything if a logout was carried out.
			t.mayVanish = t.mayVanish || !recovered || l.asked > 0
			t.park()
			continue
		}
		t.over(at)
		t.close(gone, nil, how)
	}
	h.doom(l, how)
	for i, x := range h.slots {
		if x == l {
			h.slots[i] = nil
		}
	}
	l.swept = true
	h.attend()
	if l.old != nil && !l.old.swept {
		h.sweep(l.old, how, recovered)
	}
	h.reroute()
}

// faded says whether everything that is left of the session may be gone by now.
func (h *host) faded() bool {
	if !h.w.parks() {
		return false
	}
	for _, l := range h.slots {
		for ; l != nil; l = l.old {
			if l.joined && !l.expired() {
				return false
			}
		}
	}
	return true
}

// broken says whether the target may take a connection for lost.
func (h *host) broken(cid pdu.CID) bool {
	l := h.slots[cid-1]
	return h.lostCIDs[cid-1] || l == nil || l.old != nil || l.excuse != "" || l.phase == dead || l.peer.Ended()
}

// carries says whether a reassignment is under way to a connection.
func (l *link) carries() bool {
	for _, t := range l.host.open {
		if t.link == l && t.moving {
			return true
		}
	}
	return false
}

// reroute sends what was lost on its way over other connections.
func (h *host) reroute() {
	links := h.usable()
	for len(h.stray) > 0 && len(links) > 0 {
		t := h.stray[0]
		h.stray = h.stray[1:]
		if t.state == open {
			h.w.say("   %s goes another way", t)
			if h.ending(t) {
				// The function may have been answered before it comes, for want of time.
				h.uncover(t)
				t.mayVanish = true
			}
			h.transmit(t, links[h.w.dice.below(len(links))], 0)
		}
	}
}

// downgrade makes of a request that never came, and that means nothing on another
// connection, a ping: only its number is needed.
func (t *task) downgrade() {
	if t.scsi() || t.op.Kind == Ping {
		return
	}
	h, kind := t.host, t.op.Kind
	t.closeless()
	switch {
	case kind == LogoutSession:
		h.over = h.loggingOut(t)
	case kind >= ClearSet && kind <= ResetCold:
		h.clearing--
	}
	t.op.Kind, t.covered, t.ref = Ping, nil, nil
}

// loggingOut says whether another logout of the session than t is under way.
func (h *host) loggingOut(t *task) bool {
	for _, u := range h.open {
		if u != t && u.op.Kind == LogoutSession {
			return true
		}
	}
	return false
}

// closeless takes a logout off the connection it was to close.
func (t *task) closeless() {
	if t.closes != nil {
		t.closes.sweeping = false
		t.closes = nil
	}
}
