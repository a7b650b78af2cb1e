package simulate

import (
	"lunar/iscsi/pdu"
	"lunar/scsi/sam"
)

// What is here judges R2Ts and keeps what an initiator owes and has sent of its data-out.

// streamR2T judges an R2T (RFC 3720 §10.8).
func (t *task) streamR2T(h *pdu.Header) {
	w, p := t.host.w, pdu.AsR2T(h)
	k := &t.host.keys
	n, sn, offset := int(p.DesiredBytes()), int(p.R2TSN().Uint32()), int(p.BufferOffset())
	if t.fresh {
		t.resumedWrite(sn, offset)
	}
	if w.recovers() && sn < len(t.requests) {
		t.r2tAgain(h)
		return
	}
	switch {
	case len(t.out) == 0 || t.state == answered:
		w.fail("R2T", "%s: an R2T", t)
		return
	case p.TTT() == pdu.NoTag || t.tagged(p.TTT()):
		w.fail("TTT", "%s: tag %x", t, uint32(p.TTT()))
	case sn != len(t.requests):
		w.fail("R2TSN", "%s: R2T %d, want %d", t, sn, len(t.requests))
	case n == 0 || n > k.burst || offset+n > len(t.out):
		w.fail("R2T length", "%s: R2T for %d bytes at %d, limit %d", t, n, offset, k.burst)
		return
	case h.LUN() != sam.LUNOf(uint16(t.op.Unit)):
		w.fail("R2T LUN", "%s: LUN %x", t, uint64(h.LUN()))
	case t.solicited() >= t.credit() && !t.overdue():
		w.fail("R2T credit", "%s: %d R2Ts at once, the limit is %d", t, t.solicited()+1, t.credit())
	case w.recovers() && offset < t.asked:
		t.askedAgain(offset, n)
	case offset != t.asked:
		w.fail("R2T offset", "%s: R2T at %d, want %d", t, offset, t.asked)
	}
	for i := offset; i < offset+n && t.intact != nil; i++ {
		t.intact[i] = false
	}
	t.asked = max(t.asked, offset+n)
	t.requested = t.link.drained
	t.requests = append(t.requests, request{link: t.link, ttt: p.TTT(), offset: offset, bytes: n})
}

// tagged says whether an R2T of the task has a tag.
func (t *task) tagged(tag pdu.TTT) bool {
	for i := range t.requests {
		if r := &t.requests[i]; r.link == t.link && r.ttt == tag {
			return true
		}
	}
	return false
}

// credit is how many R2Ts there may be at once: at a recovery level one, as sequences
// are in order (RFC 3720 §12.19 [R-12.19-2]).
func (t *task) credit() int {
	if t.host.w.recovers() {
		return 1
	}
	return t.host.keys.r2t
}

// solicited is how many bursts are asked for and not sent.
func (t *task) solicited() (n int) {
	for _, b := range t.bursts {
		if b.ttt != pdu.NoTag {
			n++
		}
	}
	return n
}

// overdue says whether so much time may have passed since data was asked for that the
// target takes it for lost.
func (t *task) overdue() bool {
	return t.host.w.recovers() && t.host.w.clock()-t.requested >= graceNanos
}

// askedAgain judges a recovery R2T: something of it was damaged or lost, from its first
// byte on (RFC 3720 §6.1.4.1, §10.8 [R-10.8-7]).
func (t *task) askedAgain(offset, n int) {
	t.recoveries++
	if t.intact[offset] && !t.overdue() {
		t.host.w.fail("recovery R2T", "%s: %d bytes at %d have come", t, n, offset)
	}
}

// r2tAgain judges an R2T that comes again.
func (t *task) r2tAgain(h *pdu.Header) {
	p := pdu.AsR2T(h)
	r := &t.requests[p.R2TSN().Uint32()]
	switch {
	case p.TTT() != r.ttt || int(p.BufferOffset()) != r.offset || int(p.DesiredBytes()) != r.bytes:
		t.host.w.fail("copy", "%s: %s is no copy of %+v", t, show(h), *r)
	case r.asks == 0 && !t.anything:
		t.host.w.fail("unasked", "%s: %s comes again", t, show(h))
	}
	r.asks = max(r.asks-1, 0)
}

// r2t takes an R2T that arrived. One that comes again while a later one is there asks for
// nothing any more.
func (t *task) r2t(h *pdu.Header) {
	p := pdu.AsR2T(h)
	sn := int(p.R2TSN().Uint32())
	if sn >= len(t.requests) || t.requests[sn].came {
		return
	}
	r := &t.requests[sn]
	r.came = true
	if t.mute || sn < len(t.requests)-1 {
		return
	}
	if t.host.w.recovers() && t.host.w.dice.oneIn(2) {
		// Whatever was asked for before is not wanted any more; or it is sent, and thrown
		// away.
		t.bursts = nil
	}
	t.bursts = append(t.bursts, burst{ttt: r.ttt, offset: r.offset, to: r.offset + r.bytes})
}

// current says whether the target still waits for a burst.
func (t *task) current(b *burst) bool {
	if n := len(t.requests); n > 0 && t.host.w.recovers() {
		return b.ttt == t.requests[n-1].ttt
	}
	return true
}

// owed is how many bytes its initiator has to send before it may be answered.
func (t *task) owed() (n int) {
	for i := range t.bursts {
		if b := &t.bursts[i]; t.current(b) && !t.overdue() {
			n += b.to - b.offset
		}
	}
	return n
}

// sent notes bytes that went out whole.
func (t *task) sent(from, to int) {
	for i := from; i < to && t.intact != nil; i++ {
		t.intact[i] = true
	}
}

// verified says whether every byte went out whole at some time.
func (t *task) verified() bool {
	for _, ok := range t.intact {
		if !ok {
			return false
		}
	}
	return !t.flipped
}
