package simulate

import (
	"fmt"

	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
)

// host is an initiator: one session at a time, one after the other, to the target of the
// run.
type host struct {
	w    *world
	n    int
	name string
	isid pdu.ISID
	ops  []*Op
	next int
	// slots are its connections by CID less one; lead is a login that asks for a session.
	slots []*link
	lead  *link
	// logouts are how many were asked for and not answered, by CID less one: one whose
	// connection broke may still be carried out.
	logouts []int
	alive   bool
	epoch   int
	tsih    pdu.TSIH
	keys    keys
	// sn is the number of the next command; exp and last are the furthest window any
	// connection showed.
	sn, exp, last serial.CmdSN
	// tasks are all of the run, open those of this session that are not concluded.
	tasks, open []*task
	answered    int
	// attention is how many unit attentions there may be, by unit.
	attention []int
	// lostCIDs are the connections that were lost at some time, by CID less one.
	lostCIDs []bool
	// abandoned are the commands of this session that were to be reassigned, or were, and
	// ended without an answer.
	abandoned int
	// shaken says that a part of the session was lost, so that it may be gone as a whole;
	// over that its logout was sent.
	shaken, over bool
	// clearing is how many functions are under way that end commands of others.
	clearing int
	// stray are requests whose connection is gone and whose numbers the target expects.
	stray []*task
	// doomed are connections of sessions before, which the target closes.
	doomed []*link
}

// keys are what a login settled.
type keys struct {
	initialR2T, immediate bool
	first, burst, r2t, n  int
	level                 int
}

func newHost(w *world, n int) *host {
	h := &host{
		w: w, n: n, name: fmt.Sprintf("iqn.2026-11.lunar:host%d", n), isid: pdu.ISID{0x80, 0, 0, 0, 0, byte(n)},
		slots: make([]*link, w.plan.Settings.Conns), logouts: make([]int, w.plan.Settings.Conns), lostCIDs: make([]bool, w.plan.Settings.Conns), attention: make([]int, w.plan.Settings.Units),
	}
	for i := range w.plan.Ops {
		if op := &w.plan.Ops[i]; op.Host == n {
			h.ops = append(h.ops, op)
		}
	}
	return h
}

// find is the task with a tag, nil when there is none.
func (h *host) find(tag pdu.ITT) *task {
	if tag == 0 || int(tag) > len(h.tasks) {
		return nil
	}
	return h.tasks[tag-1]
}

// forget takes a concluded task off the list.
func (h *host) forget(t *task) {
	for i, u := range h.open {
		if u == t {
			h.open = append(h.open[:i], h.open[i+1:]...)
			break
		}
	}
	if l := t.link; l != nil && t.op.Now != 0 {
		l.release(t)
	}
}

// act has the initiator do one thing.
func (h *host) act() {
	w := h.w
	if !h.alive {
		if h.lead == nil && (h.next < len(h.ops) || w.verifying && h.n == 0) {
			h.begin(false)
		}
		return
	}
	if h.lead != nil || h.mend() || (w.calm || w.dice.oneIn(3)) && h.repair() {
		return
	}
	if w.dice.oneIn(2) && h.pump() {
		return
	}
	if h.next < len(h.ops) && h.do(h.ops[h.next]) {
		h.next++
		w.moved = true
		return
	}
	h.pump()
}

// usable are the connections that requests may go over.
func (h *host) usable() (links []*link) {
	for _, l := range h.slots {
		if l != nil && l.phase == full {
			links = append(links, l)
		}
	}
	return links
}

// mend opens a connection that is missing, or cleans up behind one that broke.
func (h *host) mend() bool {
	w := h.w
	links := h.usable()
	for i, l := range h.slots {
		switch {
		case h.over && (l == nil || len(links) == 0):
		case l == nil && len(links) > 0 && (w.dice.oneIn(8) || w.calm) && h.next < len(h.ops):
			h.join(i)
			return true
		case l == nil || l.phase != dead || l.sweeping:
		case len(links) > 0 && w.dice.oneIn(2) && h.logoutOf(l, links[w.dice.below(len(links))]):
			return true
		case len(links) > 0 || w.dice.oneIn(2):
			l.sweeping = true
			h.join(i)
			return true
		}
	}
	if len(links) == 0 && !h.joining() {
		if w.parks() && !h.over && !w.dice.oneIn(8) {
			h.join(w.dice.below(len(h.slots)))
		} else {
			h.begin(true)
		}
		return true
	}
	return false
}

// joining says whether a connection of this session is on its way in or out.
func (h *host) joining() bool {
	for _, l := range h.slots {
		if l != nil && (l.phase == loggingIn || l.phase == leaving) {
			return true
		}
	}
	return false
}

// pump sends one Data-Out of some command.
func (h *host) pump() bool {
	if len(h.open) == 0 {
		return false
	}
	from := h.w.dice.below(len(h.open))
	for i := range h.open {
		t := h.open[(from+i)%len(h.open)]
		if len(t.bursts) == 0 || t.link.phase != full || t.bursts[0].ttt == pdu.NoTag && !h.firstUnasked(t) {
			continue
		}
		t.sendData()
		h.w.moved = true
		return true
	}
	return false
}

// firstUnasked says whether no earlier command of the connection owes data that nobody
// asked for (RFC 3720 §3.2.4.2 [R-3.2.4.2-6]).
func (h *host) firstUnasked(t *task) bool {
	for _, u := range h.open {
		if u == t {
			return true
		}
		if u.link == t.link && len(u.bursts) > 0 && u.bursts[0].ttt == pdu.NoTag {
			return false
		}
	}
	return true
}

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
