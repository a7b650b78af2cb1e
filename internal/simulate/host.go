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
	// ends are when a logout that closes a connection was sent last, by CID less one.
	ends []int
	// abandoned are the commands of this session that were to be reassigned, or were, and
	// ended without an answer, the last of them at abandonedAt.
	abandoned   int
	abandonedAt int64
	// shaken says that a part of the session was lost, so that it may be gone as a whole;
	// over that its logout was sent.
	shaken, over bool
	// clearing is how many functions are under way that end commands of others, clears the
	// step up to which one that was not answered may still do so.
	clearing, clears int
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
		slots: make([]*link, w.plan.Settings.Conns), logouts: make([]int, w.plan.Settings.Conns), lostCIDs: make([]bool, w.plan.Settings.Conns), ends: make([]int, w.plan.Settings.Conns), attention: make([]int, w.plan.Settings.Units),
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
