package simulate

import (
	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
)

// What is here is how an initiator goes on behind the loss of a connection, at recovery
// level 2 (RFC 3720 §6.1.4.3, §6.2.2): once a logout for recovery is through, explicit or
// by a login in its place, its commands are reassigned to connections that live, in the
// order of their numbers.

// parks says whether commands outlive their connection.
func (w *world) parks() bool { return w.plan.Settings.Level == 2 && w.plan.Settings.Retain > 0 }

// expired says whether what a connection left behind may be gone by now. Where nothing
// broke it that we know of, the target may have given it up at any time.
func (l *link) expired() bool {
	return l.host.w.clock()-max(l.broke, l.began) >= int64(l.host.w.plan.Settings.Retain)*1e9
}

// breaks notes when a connection was broken, the first time.
func (l *link) breaks() {
	if l.broke == 0 {
		l.broke = l.host.w.clock()
	}
}

// park leaves a command to be reassigned.
func (t *task) park() {
	t.parked, t.moving, t.mute, t.flipped = true, false, false, false
	t.bursts = nil
	if t.home == nil || !t.home.expired() {
		t.home = t.link
	}
}

// reassign asks for the first command that is left: one that waits at its unit behind
// another is handed over when that is. It is false when there is none, or no connection
// that can take the request.
func (h *host) reassign() bool {
	var links []*link
	for _, l := range h.usable() {
		if l.functions == 0 {
			links = append(links, l)
		}
	}
	if len(links) == 0 || h.over {
		return false
	}
	for _, t := range h.open {
		if t.parked && t.moving && t.link.phase != full {
			return false // its number is before theirs
		}
		if t.parked && !t.moving {
			h.w.moved = true
			h.adopt(t, links[h.w.dice.below(len(links))])
			return true
		}
	}
	return false
}

// adopt asks for the reassignment of a command. Its data is acknowledged as far as it came
// without a gap, or not at all.
func (h *host) adopt(t *task, l *link) {
	r := &task{
		op: &Op{Kind: Reassign, Host: h.n, Unit: t.op.Unit, Now: 1}, host: h, epoch: h.epoch, tag: pdu.ITT(len(h.tasks) + 1), sn: h.sn,
		issued: h.w.now(), adopts: t,
	}
	keep := t.prefix()
	if t.tag3 != 0 || t.told == 0 && h.w.dice.oneIn(3) {
		keep = t.acked // R-Data has thrown it away already
	}
	// What is not acknowledged is thrown away (RFC 3720 §10.5.6).
	t.truncate(keep)
	t.moving, t.told = true, keep
	h.send(r, l)
	t.link = l
}

// reassignment writes the Task Management Function Request.
func (t *task) reassignment(h *pdu.Header) {
	h.SetOpcode(pdu.OpTaskRequest)
	p := pdu.AsTaskRequest(h)
	p.SetFunction(t.function())
	p.SetReferencedTag(t.adopts.tag)
	p.SetRefCmdSN(t.adopts.sn)
	p.SetExpDataSN(serial.Data(uint32(t.adopts.told)))
}

// adopted notes that a command goes on: the target has said so (RFC 3720 §6.2.2
// [R-6.2.2-5]).
func (t *task) adopted() {
	t.parked, t.moving, t.fresh, t.reassigned = false, false, true, true
	t.requested = t.host.w.clock()
	// A SNACK Tag belongs to the connection that is gone [R-6.2.2-6].
	t.tag3, t.resent, t.anything, t.owes, t.unavailable = 0, false, false, false, false
	for i := range t.cuts {
		t.cuts[i].asks = 0
	}
	// Blocks whose end nobody has heard of may be written again.
	if t.before == nil {
		t.before = make([]bool, len(t.written))
	}
	for i, there := range t.written {
		t.before[i] = t.before[i] || there
	}
	clear(t.written)
}

// answeredReassign takes the answer to a reassignment.
func (t *task) answeredReassign(l *link, result pdu.TaskResult) {
	w, u := t.host.w, t.adopts
	t.close(answered, l, "reassigned")
	switch {
	case result == pdu.FunctionComplete || u.state != open:
	case result == pdu.FunctionRejected:
		u.park() // there was no place for it
	case result == pdu.TaskDoesNotExist && (u.mayVanish || u.home.expired() || w.cold || t.host.ending(u) || u.closedWith()):
		u.over(w.now())
		t.host.attend()
		u.close(gone, nil, "its reassignment was refused")
	default:
		w.fail("reassign", "%s: result %d", u, result)
	}
}

// closedWith says whether a logout since closes the connection that it was left by (RFC
// 3720 §10.14 [R-10.14-1]).
func (t *task) closedWith() bool { return t.host.ends[t.home.cid-1] > t.issued }

// resumed finds where the transfer of a reassigned command goes on, at its first PDU: at
// what was acknowledged with it, else where it was acknowledged before, which is allowed
// when the length of segments has changed (RFC 3720 §10.5.6 [R-10.5.6-1]), or at its start,
// where else one block would be of two reads (§6.2.2 [R-6.2.2-2]).
func (t *task) resumed(sn int) {
	t.fresh = false
	changed, unaligned := false, len(t.in)%blockBytes != 0
	for i := range t.cuts {
		changed = changed || t.cuts[i].recv != t.cuts[0].recv
	}
	switch {
	case sn > len(t.cuts):
		return // DataSN is judged next
	case sn == t.told, sn == t.acked && changed, sn == 0 && unaligned:
		t.truncate(sn)
		t.acked, t.told = sn, 0
	default:
		t.host.w.fail("resume", "%s goes on with Data-In %d, %d are acknowledged, before that %d", t, sn, t.told, t.acked)
	}
}

// resumedWrite finds where the data-out of a reassigned command goes on: at what is not on
// the medium for certain.
func (t *task) resumedWrite(sn, offset int) {
	t.fresh = false
	if sn > len(t.requests) || offset > t.asked {
		return // R2TSN and offset are judged next
	}
	t.requests, t.asked = t.requests[:sn], offset
}
