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
