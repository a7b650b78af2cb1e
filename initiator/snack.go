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
