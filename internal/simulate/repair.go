package simulate

import (
	"lunar/iscsi/pdu"
	"lunar/scsi/sam"
)

// What is here is how an initiator brings back what was lost, at recovery level 1 (RFC
// 3720 §6.1.4.1, §6.1.4.2, §10.16). It knows what was lost without having to find out,
// so it asks at any moment, also where nothing shows yet that something is missing.

// maxSNACKs bounds the SNACKs of a connection for data that are under way, and
// maxStatusSNACKs those for answers, which may be what the others wait for; a target may
// refuse what is beyond 16 (§10.17.1, reason 3).
const (
	maxSNACKs       = 12
	maxStatusSNACKs = 4

	// servedNanos is after what time nothing of them is under way, whatever came: the
	// answer may be lost, or its task have ended.
	servedNanos = 1e9
)

// repair sends one request again that was lost, or asks for one thing that is missing. It
// is false when there is nothing to do.
func (h *host) repair() bool {
	if !h.w.recovers() {
		return false
	}
	if h.w.dice.oneIn(2) && h.reassign() {
		return true
	}
	for _, l := range h.slots {
		if l != nil && l.stuck && l.phase == full {
			l.cutOff()
			return true
		}
	}
	for _, t := range h.open {
		if t.dropped && t.link.phase == full {
			h.w.say("   %s comes again", t)
			t.bursts, t.flipped = nil, false
			h.transmit(t, t.link, 0)
			return true
		}
	}
	links := h.usable()
	if len(links) == 0 {
		return false
	}
	from := h.w.dice.below(len(links))
	for i := range links {
		if links[(from+i)%len(links)].ask() {
			return true
		}
	}
	return false
}

// ask asks for one thing that is missing on a connection.
func (l *link) ask() bool {
	h := l.host
	waiting := 0
	for n := l.statSN; n.Less(l.next); n = n.Next() {
		if s := l.said[n]; s != nil && !s.came {
			waiting += s.asks // what is there already need not come
		}
	}
	served := h.w.clock()-l.snackedAt >= servedNanos
	if waiting == 0 || served {
		l.statusSNACKs = 0
	}
	if l.statusSNACKs < maxStatusSNACKs && l.askStatus() {
		l.statusSNACKs++
		return true
	}
	for _, t := range h.open {
		if t.link == l {
			waiting += t.waiting()
		}
	}
	if waiting == 0 || served {
		l.snacks = 0
	}
	if l.snacks >= maxSNACKs {
		return false
	}
	for _, t := range h.open {
		if t.link == l && t.scsi() && !t.parked && !t.fresh && !t.resent && !t.unavailable && (t.acknowledge() || t.askData() || t.askR2T()) {
			l.snacks++
			return true
		}
	}
	return false
}

// waiting is how many PDUs were asked for and have not come. Data that was acknowledged
// since need not come.
func (t *task) waiting() (n int) {
	for i := t.acked; i < len(t.cuts); i++ {
		n += t.cuts[i].asks
	}
	for i := range t.requests {
		n += t.requests[i].asks
	}
	if t.resent {
		n++
	}
	return n
}

// askStatus asks for answers (§10.16.5, §10.16.6).
func (l *link) askStatus() bool {
	first := l.statSN
	for ; first.Less(l.next); first = first.Next() {
		s := l.said[first]
		if s == nil || s.came || s.asks > 0 {
			continue
		}
		if !l.tooLong(s) {
			break
		}
		// It comes behind R-Data, unless its data is not to be had any more.
		t := l.host.find(s.head.ITT())
		l.stuck = l.stuck || t != nil && t.unavailable
	}
	if !first.Less(l.next) {
		return false
	}
	end := first.Next()
	for ; end.Less(l.next); end = end.Next() {
		if s := l.said[end]; s == nil || s.came || s.asks > 0 || l.tooLong(s) {
			break
		}
	}
	begin, count := first.Uint32(), uint32(end.Sub(first))
	whole := l.host.w.dice.below(8)
	switch whole {
	case 0:
		first, begin, count = l.statSN, 0, 0 // everything that is not acknowledged
	case 1:
		count = 0 // everything from there on
	}
	if whole < 2 {
		end = l.next
	}
	if !l.snack(pdu.SNACKStatus, pdu.NoTag, uint32(pdu.NoTag), 0, begin, count) {
		return true
	}
	l.anything = l.anything || whole < 2
	for ; first.Less(end); first = first.Next() {
		l.said[first].asks++
	}
	return true
}

// tooLong says whether an answer rode on data that is longer than we take by now: with
// all data it comes anew behind R-Data.
func (l *link) tooLong(s *said) bool { return s.head.DataBytes() > l.recv }

// acknowledge acknowledges data that wants to be (§10.7.2 [R-10.16.2-1]).
func (t *task) acknowledge() bool {
	n := t.prefix()
	if !t.owes || n <= t.owesTo {
		return false
	}
	t.owes, t.acked = false, n
	l := t.link
	var h pdu.Header
	l.request(&h, pdu.SNACKDataACK, pdu.NoTag, uint32(t.owesTag), uint32(n), 0)
	h.SetLUN(sam.LUNOf(uint16(t.op.Unit)))
	l.send(&h, nil, 0)
	return true
}

// askData asks for data, or for all of it where the length of segments has changed since
// (§10.16.3 [R-10.16.3-1]).
func (t *task) askData() bool {
	first, l := t.acked, t.link
	for ; first < len(t.cuts); first++ {
		if c := &t.cuts[first]; !c.came && c.asks == 0 {
			break
		}
	}
	if first >= len(t.cuts) {
		return false
	}
	end := first
	for ; end < len(t.cuts); end++ {
		if c := &t.cuts[end]; c.came || c.asks > 0 {
			break
		} else if c.recv != l.recv {
			return t.waiting() == 0 && t.askAll()
		}
	}
	begin, count := first, end-first
	// Only when all of it was sent: what the target sends before it hears of this comes
	// again too, and nobody could tell that from a transfer which begins anew.
	whole := t.host.w.dice.below(8) == 0 && len(t.in) == min(t.expect, t.edtl)
	if whole {
		first, begin, count, end = t.acked, 0, 0, len(t.cuts)
	}
	if !l.snack(pdu.SNACKData, t.tag, uint32(pdu.NoTag), sam.LUNOf(uint16(t.op.Unit)), uint32(begin), uint32(count)) {
		return true
	}
	t.anything = t.anything || whole
	for ; first < end; first++ {
		t.cuts[first].asks++
	}
	return true
}

// askAll asks for all data that is not acknowledged, cut anew.
func (t *task) askAll() bool {
	tag := uint32(t.tag)<<8 | uint32(len(t.cuts)) + t.tag3&0xff + 1
	if t.link.snack(pdu.SNACKRData, t.tag, tag, sam.LUNOf(uint16(t.op.Unit)), 0, 0) {
		t.tag3, t.resent, t.tags = tag, true, append(t.tags, tag)
	}
	return true
}

// askR2T asks for an R2T, now and then: the target notices too that it is not answered.
func (t *task) askR2T() bool {
	n := len(t.requests)
	if n == 0 || t.requests[n-1].came || t.requests[n-1].asks > 0 || t.asksNoR2T {
		return false
	}
	if !t.host.w.dice.oneIn(4) {
		t.asksNoR2T = true
		return false
	}
	if t.link.snack(pdu.SNACKData, t.tag, uint32(pdu.NoTag), sam.LUNOf(uint16(t.op.Unit)), uint32(n-1), 1) {
		t.requests[n-1].asks++
	}
	return true
}

// request writes a SNACK Request.
func (l *link) request(h *pdu.Header, k pdu.SNACKType, itt pdu.ITT, tag, first, count uint32) {
	h.SetOpcode(pdu.OpSNACK)
	p := pdu.AsSNACK(h)
	p.SetType(k)
	h.SetITT(itt)
	p.SetTag(tag)
	p.SetRun(first, count)
}

// snack sends one. It is false when it is lost.
func (l *link) snack(k pdu.SNACKType, itt pdu.ITT, tag uint32, lun sam.LUN, first, count uint32) bool {
	var h pdu.Header
	l.request(&h, k, itt, tag, first, count)
	h.SetLUN(lun)
	l.host.w.moved = true
	if l.host.w.loses() {
		l.host.w.say("   a SNACK is lost")
		return false
	}
	l.snackedAt = l.host.w.clock()
	l.send(&h, nil, 0)
	return true
}

// begunAnew notes that a transfer starts again where it may: behind R-Data at what was
// acknowledged (§10.16.3 [R-10.16.3-2]).
func (t *task) begunAnew(sn int) {
	if t.resent && sn == t.acked {
		t.resent = false
		t.truncate(sn)
	}
}

// truncate forgets data from a number on.
func (t *task) truncate(sn int) {
	t.cuts = t.cuts[:sn]
	t.in, t.sequence = t.in[:0], 0
	for _, c := range t.cuts {
		t.in = t.in[:c.offset+c.bytes]
		if t.sequence += c.bytes; c.flags&pdu.FlagFinal != 0 {
			t.sequence = 0
		}
	}
	t.owes = false
}
