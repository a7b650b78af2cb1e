package initiator

import (
	"slices"

	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
)

// What is here follows the data of commands where some of it may not come, or come late
// (RFC 3720 §6.1.4.1, §6.8).

// hole is a run of Data-In or R2T numbers of a command that did not come, from up to to;
// its data begins at offset.
type hole struct {
	from, to serial.DataSN
	offset   int
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
	l.serve(t, p.TTT(), int(from), int(from+n))
	return nil
}
