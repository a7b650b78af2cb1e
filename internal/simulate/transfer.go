package simulate

import (
	"bytes"

	"lunar/iscsi/pdu"
	"lunar/scsi/sam"
)

// burst is data that an initiator owes.
type burst struct {
	ttt        pdu.TTT
	offset, to int
	sn         uint32
}

// cut is a Data-In as it was sent: its place, its flags, and how long segments were then.
type cut struct {
	offset, bytes int
	flags         byte
	recv          int
	// asks is how often it was asked for and has not come again; came says that the
	// initiator has it.
	asks int
	came bool
}

// request is an R2T as it was sent.
type request struct {
	link          *link // its tag means nothing on another one
	ttt           pdu.TTT
	offset, bytes int
	asks          int
	came          bool
}

// graceNanos is after how long a target may take data for lost that is on its way: two of
// its ticks, less what an R2T may have taken to come.
const graceNanos = abortNanos

// stream judges what the target says of a task as it was sent.
func (t *task) stream(l *link, h *pdu.Header, data []byte, asked bool) {
	if t.moving && t.link == l && t.state == open {
		t.host.w.fail("reassign", "%s before its reassignment: %s", t, show(h))
		return
	}
	if t.link != l || t.state == gone || t.state == answered && !t.host.w.recovers() {
		return // whether anything may be said is judged where it arrives
	}
	switch h.Opcode() {
	case pdu.OpDataIn:
		if t.scsi() {
			t.streamData(l, h, data, asked)
		}
	case pdu.OpR2T:
		if t.scsi() {
			t.streamR2T(h)
		}
	case pdu.OpTaskResponse:
		if u := t.adopts; u != nil && u.moving && u.link == l && pdu.AsTaskResponse(h).Result() == pdu.FunctionComplete {
			u.adopted()
		}
	case pdu.OpTextResp:
		if t.state == open && t.op.Kind == Text {
			// What is behind it keeps to the new length.
			l.recv = t.recv
		}
	default:
		// The others are judged where they arrive.
	}
}

// streamData judges a Data-In (RFC 3720 §10.7).
func (t *task) streamData(l *link, h *pdu.Header, data []byte, asked bool) {
	w, p := t.host.w, pdu.AsDataIn(h)
	k := &t.host.keys
	sn := int(p.DataSN().Uint32())
	switch {
	case t.fresh:
		t.resumed(sn)
	case !numbered(h):
		t.begunAnew(sn)
	}
	if w.recovers() && sn < len(t.cuts) {
		t.dataAgain(h, data, asked)
		return
	}
	switch {
	case t.state != open:
		w.fail("after the end", "%s is over (%s): %s", t, t.how, show(h))
	case sn != len(t.cuts):
		w.fail("DataSN", "%s: Data-In %d, want %d", t, sn, len(t.cuts))
	case int(p.BufferOffset()) != len(t.in):
		w.fail("offset", "%s: Data-In at %d, want %d", t, p.BufferOffset(), len(t.in))
	case len(data) > l.recv:
		w.fail("MaxRecv", "%s: Data-In of %d bytes, we take %d", t, len(data), l.recv)
	case len(t.in)+len(data) > t.edtl:
		w.fail("too much", "%s: %d bytes of data-in, expected %d", t, len(t.in)+len(data), t.edtl)
	case h.Flags()&pdu.DataAcknowledge != 0 && (!w.recovers() || p.TTT() == pdu.NoTag || h.LUN() != sam.LUNOf(uint16(t.op.Unit))):
		w.fail("A bit", "%s: %s", t, show(h))
	}
	t.cuts = append(t.cuts, cut{offset: len(t.in), bytes: len(data), flags: h.Flags(), recv: l.recv})
	t.in = append(t.in, data...)
	if t.sequence += len(data); t.sequence > k.burst {
		w.fail("MaxBurst", "%s: a sequence of %d bytes, the limit is %d", t, t.sequence, k.burst)
	}
	if h.Final() {
		t.sequence = 0
	}
}

// dataAgain judges a Data-In that comes again: an exact copy, and because it was asked
// for (RFC 3720 §10.16 [R-10.16-3]).
func (t *task) dataAgain(h *pdu.Header, data []byte, asked bool) {
	w, p := t.host.w, pdu.AsDataIn(h)
	c := &t.cuts[p.DataSN().Uint32()]
	if int(p.BufferOffset()) != c.offset || len(data) != c.bytes || h.Flags() != c.flags || !bytes.Equal(data, t.in[c.offset:][:c.bytes]) {
		w.fail("copy", "%s: %s is no copy of %+v", t, show(h), *c)
	}
	if c.asks == 0 && !asked && !t.anything && !(numbered(h) && t.link.anything) {
		w.fail("unasked", "%s: %s comes again", t, show(h))
	}
	if !asked {
		c.asks = max(c.asks-1, 0)
	}
}

// dataIn takes a Data-In that arrived.
func (t *task) dataIn(l *link, h *pdu.Header) {
	t.dataCame(h)
	if p := pdu.AsDataIn(h); h.Flags()&pdu.DataStatus != 0 {
		t.conclude(l, p.Status(), h.Flags(), p.Residual(), nil)
	} else if t.host.w.recovers() {
		l.advance()
	}
}

// dataCame notes what has arrived, and whether it wants to be acknowledged.
func (t *task) dataCame(h *pdu.Header) {
	p := pdu.AsDataIn(h)
	sn := int(p.DataSN().Uint32())
	if sn >= len(t.cuts) {
		return // it is of a transfer that began anew meanwhile
	}
	t.cuts[sn].came = true
	if h.Flags()&pdu.DataAcknowledge != 0 && sn >= t.acked {
		t.owes, t.owesTo, t.owesTag = true, sn, p.TTT()
	}
}

// prefix is how many Data-In have arrived from the first on.
func (t *task) prefix() int {
	for i := range t.cuts {
		if !t.cuts[i].came {
			return i
		}
	}
	return len(t.cuts)
}

// lacks says whether an answer that succeeded has to wait for data, or for another
// answer behind R-Data (RFC 3720 §10.16.3 [R-10.16.3-3]).
func (t *task) lacks(h *pdu.Header) bool {
	if !t.scsi() || t.state != open {
		return false
	}
	tag, status := uint32(0), pdu.AsDataIn(h).Status()
	if h.Opcode() == pdu.OpSCSIResponse {
		tag, status = pdu.AsSCSIResponse(h).SNACKTag(), pdu.AsSCSIResponse(h).Status()
	}
	if status != sam.Good || t.tag3 == tag && t.prefix() == len(t.cuts) {
		return false
	}
	return true
}

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
