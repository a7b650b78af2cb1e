package initiator

import (
	"slices"

	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
)

// What is here is recovery level 1 on the receiving side (RFC 3720 §6.1.4.1, §6.1.4.2,
// §10.16): what did not come, or came damaged, is asked for again. Responses are acted
// upon in the order of StatSN; one that comes early is held back, so that ExpStatSN
// acknowledges nothing that was not received, nor a status whose data has holes (§6.8
// [R-6.8-20]).

// Bounds of what is held back and asked for.
const (
	mostHeld = 512     // responses
	mostGap  = 1 << 16 // numbers
	mostAsks = 32      // SNACKs for the same thing
)

// hole is a run of Data-In or R2T numbers of a command that did not come, from up to to;
// its data begins at offset.
type hole struct {
	from, to serial.DataSN
	offset   int
}

// early response, held back with a copy of its data.
type heldPDU struct {
	header pdu.Header
	data   []byte
}

func (p *heldPDU) statSN() serial.StatSN { return pdu.Response{Header: &p.header}.StatSN() }

// ordered acts on a complete and undamaged PDU where responses may be missing. mu is
// held.
func (l *link) ordered() error {
	h := &l.in.header
	r := pdu.Response{Header: h}
	switch h.Opcode() {
	case pdu.OpDataIn:
		l.dataArrived(pdu.AsDataIn(h))
		if h.Flags()&pdu.DataStatus == 0 {
			return l.release()
		}
	case pdu.OpR2T:
		// §10.8.3: it shows the next StatSN.
		if err := l.shown(r.StatSN()); err != nil {
			return err
		}
		return l.lateR2T(pdu.AsR2T(h))
	case pdu.OpNOPIn:
		if h.ITT() == pdu.NoTag {
			if err := l.shown(r.StatSN()); err != nil {
				return err
			}
			return l.pinged(pdu.AsNOPIn(h))
		}
	default:
	}
	switch next := l.nextStatSN; {
	case r.StatSN().Less(next):
		return nil // it came before (§6.8 [R-6.8-20])
	case r.StatSN() != next || l.owes(h):
		return l.hold()
	}
	if err := l.act(); err != nil {
		return err
	}
	return l.release()
}

// hold keeps a response back until those before it have come and its data is complete.
func (l *link) hold() error {
	n := pdu.Response{Header: &l.in.header}.StatSN()
	if n != l.nextStatSN {
		if err := l.shown(n); err != nil {
			return err
		}
	}
	if l.asked.Less(n.Next()) {
		l.asked = n.Next()
	}
	at, known := slices.BinarySearchFunc(l.waiting, n, func(p heldPDU, n serial.StatSN) int { return int(p.statSN().Sub(n)) })
	if known {
		return nil
	}
	if len(l.waiting) == mostHeld {
		return broken("%d responses ahead of StatSN %v", mostHeld, l.nextStatSN)
	}
	p := heldPDU{header: l.in.header}
	if l.in.header.Opcode() != pdu.OpDataIn {
		p.data = append([]byte(nil), l.in.into[:l.in.got]...)
	}
	l.waiting = slices.Insert(l.waiting, at, p)
	return nil
}

// release acts on the responses that waited and are due.
func (l *link) release() error {
	for len(l.waiting) > 0 {
		p := &l.waiting[0]
		if next := l.nextStatSN; next.Less(p.statSN()) || p.statSN() == next && l.owes(&p.header) {
			return nil
		}
		due := !p.statSN().Less(l.nextStatSN)
		// The PDU that was being handled is complete, so its place is free.
		l.in.header, l.in.into, l.in.got = p.header, p.data, len(p.data)
		l.waiting = slices.Delete(l.waiting, 0, 1)
		if !due {
			continue
		}
		l.asks = 0
		if err := l.act(); err != nil {
			return err
		}
	}
	return nil
}

// shown takes a StatSN that all responses before must have: those that have not come
// are asked for, each once until the next tick.
func (l *link) shown(n serial.StatSN) error {
	if !l.nextStatSN.Less(n) {
		return nil
	}
	if n.Sub(l.nextStatSN) > mostGap {
		return broken("StatSN %v is far beyond %v", n, l.nextStatSN)
	}
	from := l.nextStatSN
	if from.Less(l.asked) {
		from = l.asked
	}
	if from.Less(n) {
		l.askStatus(from, n)
		l.asked = n
	}
	return nil
}

// askStatus sends a Status SNACK for a run.
func (l *link) askStatus(from, to serial.StatSN) {
	l.s.counters.StatusSNACKs++
	l.snack(pdu.SNACKStatus, pdu.NoTag, pdu.NoTag, from.Uint32(), uint32(to.Sub(from)), nil)
}

// askData sends a Data SNACK for a run of a command's Data-In or R2Ts.
func (l *link) askData(t *task, x hole) {
	l.s.counters.DataSNACKs++
	l.snack(pdu.SNACKData, t.itt, pdu.NoTag, x.from.Uint32(), uint32(x.to.Sub(x.from)), t)
}

// snack sends a SNACK Request (§10.16).
func (l *link) snack(kind pdu.SNACKType, itt pdu.ITT, tag, first, count uint32, t *task) {
	h := l.blank()
	p := pdu.AsSNACK(h)
	h.SetOpcode(pdu.OpSNACK)
	p.SetType(kind)
	h.SetITT(itt)
	p.SetTag(tag)
	p.SetRun(first, count)
	if t != nil {
		h.SetLUN(t.req.LUN)
	}
	l.put(h, nil, nil)
}

// accepts says whether a Data-In belongs into its command's buffer: it is new, or one
// that did not come before. Others go nowhere.
func (l *link) accepts(d pdu.DataIn, n int) (*task, error) {
	t := l.s.find(d.ITT())
	if t == nil || t.link != l {
		return nil, nil // of a command that has ended
	}
	sn := d.DataSN()
	if sn.Less(t.dataSN) && t.holeOf(sn) < 0 {
		return nil, nil
	}
	off := int64(d.BufferOffset())
	switch {
	case n > 0 && off+int64(n) > int64(len(t.req.In)):
		return nil, broken("Data-In for %d..%d of a command that reads %d bytes", off, off+int64(n), len(t.req.In))
	case n > 0 && sn == t.dataSN && off != int64(t.end):
		return nil, broken("Data-In at offset %d instead of %d", off, t.end)
	case sn.Sub(t.dataSN) > mostGap:
		return nil, broken("DataSN %v is far beyond %v", sn, t.dataSN)
	}
	return t, nil
}

// holeOf finds the hole that a number is in, or -1.
func (t *task) holeOf(sn serial.DataSN) int {
	return slices.IndexFunc(t.holes, func(x hole) bool { return !sn.Less(x.from) && sn.Less(x.to) })
}

// passed takes the number of a Data-In or R2T, and asks for those before it that did not
// come. It is false when it came before. mu is held.
func (l *link) passed(t *task, sn serial.DataSN, end int) bool {
	if i := t.holeOf(sn); i >= 0 {
		t.fillHole(i, sn, end)
		t.asks = 0
		return true
	}
	if sn.Less(t.dataSN) {
		return false
	}
	l.missing(t, sn)
	t.dataSN = sn.Next()
	return true
}

// missing notes that all numbers before to, from the next one on, did not come.
func (l *link) missing(t *task, to serial.DataSN) {
	if !t.dataSN.Less(to) {
		return
	}
	x := hole{from: t.dataSN, to: to, offset: t.end}
	t.holes = append(t.holes, x)
	t.dataSN = to
	l.askData(t, x)
}

// fillHole takes a number out of a hole; what is left of the hole behind it begins at
// end.
func (t *task) fillHole(i int, sn serial.DataSN, end int) {
	x := t.holes[i]
	before, after := x, x
	before.to, after.from, after.offset = sn, sn.Next(), end
	t.holes = slices.Delete(t.holes, i, i+1)
	if after.from != after.to {
		t.holes = slices.Insert(t.holes, i, after)
	}
	if before.from != before.to {
		t.holes = slices.Insert(t.holes, i, before)
	}
}

// dataArrived counts a Data-In that was placed. mu is held.
func (l *link) dataArrived(d pdu.DataIn) {
	l.moveWindow(d.Header)
	t := l.in.task
	if t == nil || t.req == nil {
		return
	}
	n := d.DataBytes()
	end := int(d.BufferOffset()) + n
	if n == 0 {
		end = t.end
	}
	if !l.passed(t, d.DataSN(), end) {
		return
	}
	t.read += n
	t.end = max(t.end, end)
	if d.Flags()&pdu.DataAcknowledge != 0 && d.TTT() != pdu.NoTag {
		t.ackTag, t.ackLUN, t.ackDue = d.TTT(), d.LUN(), true
	}
	l.acknowledge(t)
}

// acknowledge sends the DataACK that was asked for, once nothing is missing (§10.16.2
// [R-10.16.2-1], §10.7.2 [R-10.7.2-20]).
func (l *link) acknowledge(t *task) {
	if !t.ackDue || len(t.holes) > 0 {
		return
	}
	t.ackDue = false
	l.s.counters.DataACKs++
	h := l.blank()
	p := pdu.AsSNACK(h)
	h.SetOpcode(pdu.OpSNACK)
	p.SetType(pdu.SNACKDataACK)
	h.SetITT(pdu.NoTag)
	h.SetLUN(t.ackLUN)
	p.SetTag(uint32(t.ackTag))
	p.SetRun(t.dataSN.Uint32(), 0)
	l.put(h, nil, nil)
}

// damaged takes a PDU whose data digest is wrong. It did not come (§6.7 [R-6.7-20]), but
// its header did. mu is held.
func (l *link) damaged() error {
	h := &l.in.header
	l.s.counters.DigestErrors++
	if h.Opcode() != pdu.OpDataIn {
		if h.Opcode() == pdu.OpNOPIn && h.ITT() == pdu.NoTag {
			return nil
		}
		return l.shown(pdu.Response{Header: h}.StatSN().Next())
	}
	d := pdu.AsDataIn(h)
	t := l.in.task
	if t == nil || t.req == nil || t.holeOf(d.DataSN()) >= 0 {
		return nil // asked for again at the next tick
	}
	l.missing(t, d.DataSN().Next())
	t.end = max(t.end, int(d.BufferOffset())+d.DataBytes())
	return nil
}

// owes says whether data that belongs before a status has not come; it is asked for.
func (l *link) owes(h *pdu.Header) bool {
	t := l.s.find(h.ITT())
	if t == nil || t.link != l || t.lost {
		return false
	}
	switch h.Opcode() {
	case pdu.OpDataIn:
		return len(t.holes) > 0
	case pdu.OpSCSIResponse:
		if len(t.req.In) == 0 {
			return false // R2Ts that did not come are answered by the status
		}
		// §10.4.8: ExpDataSN counts what was sent.
		if n := pdu.AsSCSIResponse(h).ExpDataSN(); n.Sub(t.dataSN) <= mostGap {
			l.missing(t, n)
		}
		return len(t.holes) > 0
	default:
		return false
	}
}

// rewind goes back to what came without a hole, for a command that goes on elsewhere.
func (t *task) rewind() {
	if len(t.holes) > 0 {
		first := slices.MinFunc(t.holes, func(a, b hole) int { return int(a.from.Sub(b.from)) })
		t.dataSN = first.from
		if len(t.req.In) > 0 {
			t.read, t.end = first.offset, first.offset
		}
	}
	t.holes, t.lost, t.asks, t.ackDue = nil, false, 0, false
}

// lateR2T serves an R2T, which may be a recovery R2T for any part of the data (§6.1.4.1).
func (l *link) lateR2T(p pdu.R2T) error {
	t := l.s.find(p.ITT())
	if t == nil || t.link != l {
		return nil // of a command that has ended
	}
	from, n := int64(p.BufferOffset()), int64(p.DesiredBytes())
	switch {
	case p.TTT() == pdu.NoTag: // §10.8.5 [R-10.8.5-1]
		return broken("R2T with the reserved Target Transfer Tag")
	case n == 0 || n > int64(l.params.MaxBurst): // §10.8.4
		return broken("R2T for %d bytes; MaxBurstLength is %d", n, l.params.MaxBurst)
	case from+n > int64(len(t.req.Out)):
		return broken("R2T for %d..%d of a command that writes %d bytes", from, from+n, len(t.req.Out))
	case p.R2TSN().Sub(t.dataSN) > mostGap:
		return broken("R2TSN %v is far beyond %v", p.R2TSN(), t.dataSN)
	}
	if t.resumed && len(t.req.In) == 0 {
		t.dataSN, t.resumed = p.R2TSN(), false
	}
	if !l.passed(t, p.R2TSN(), t.end) {
		return nil
	}
	t.wrote = max(t.wrote, int(from+n))
	l.sendData(t, p.TTT(), int(from), int(from+n))
	return nil
}
