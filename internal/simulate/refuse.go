package simulate

import (
	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
)

// refused judges the Reject of a SNACK (§10.17.1): what it asked for is not kept any more
// because memory is scarce, or its task has ended.
func (l *link) refused(h *pdu.Header, bad *pdu.Header) {
	w, p := l.host.w, pdu.AsSNACK(bad)
	t := l.host.find(bad.ITT())
	if p.Type() == pdu.SNACKStatus && w.forgetful() {
		// The status came with data that is not kept any more. Its StatSN will never come:
		// a wider class of recovery is left (§6.1.4 [R-6.1.4-1]).
		l.stuck = true
		return
	}
	if p.Type() == pdu.SNACKStatus {
		if !l.unask(p) {
			w.fail("reject", "%s of %s", show(h), show(bad))
		}
		return
	}
	if t == nil {
		w.fail("reject", "%s of %s", show(h), show(bad))
		return
	}
	recut := t.unask(p)
	first, _ := p.Run()
	switch reason := pdu.AsReject(h).Reason(); {
	case t.state != open:
	case reason == pdu.RejectSNACK && recut:
		// It was asked for before the length of segments changed, and served behind.
	case reason == pdu.RejectSNACK && w.forgetful():
		t.unavailable = true
	case p.Type() == pdu.SNACKData && int(first) < len(t.requests)-1:
		// An R2T that the target had given up itself when it heard of this.
	case t.mayVanish || l.host.ending(t):
	default:
		w.fail("reject", "%s of %s", show(h), show(bad))
	}
	l.advance()
}

// unask notes that the answers a SNACK asked for do not come. It is true if one of them
// rode on data that was sent before the length of segments changed.
func (l *link) unask(p pdu.SNACK) (recut bool) {
	begin, count := p.Run()
	for n, s := range l.said {
		if begin == 0 && count == 0 || count == 0 && !n.Less(serial.Stat(begin)) || n.Uint32()-begin < count {
			recut = recut || s.again || l.tooLong(s)
			s.asks = 0
		}
	}
	return recut
}

// unask notes that what a SNACK asked for does not come. It is true if some of it was cut
// before the length of segments changed.
func (t *task) unask(p pdu.SNACK) (recut bool) {
	if p.Type() == pdu.SNACKRData {
		t.resent = t.resent && p.Tag() != t.tag3
		return false
	}
	begin, count := p.Run()
	named := func(n int) bool { return count == 0 || uint32(n)-begin < count }
	for i := range t.cuts {
		if named(i) {
			recut = recut || t.cuts[i].recv != t.link.recv
			t.cuts[i].asks = 0
		}
	}
	for i := range t.requests {
		if named(i) {
			t.requests[i].asks = 0
		}
	}
	return recut
}

// forgetful says whether data may be given up before it is acknowledged.
func (w *world) forgetful() bool {
	s := &w.plan.Settings
	return s.Scarce != 0 || s.Keep != 0
}
