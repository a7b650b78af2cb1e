package session

import (
	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
	"lunar/scsi/sam"
)

// Again is a PDU that goes out once more.
type Again struct {
	// Lost: it is none, and cannot be written; Unserved answers.
	Lost bool
	// Rewind: it is none, but the data of Task from Offset on is to be sent anew, if it
	// is there; Rewind or Unserved answers.
	Rewind bool
	// Task is the command its data is of; when nil, the one whose answer lies in Slot.
	Task *Task
	Slot int
	// Offset and Bytes are its data, of the transport; Inline and Text are data of ours,
	// in scratch and on the heap.
	Offset, Bytes uint32
	Inline, Text  []byte
}

// Resending says whether a SNACK waits to be served.
func (c *Conn) Resending() bool { return c.kept != nil && c.kept.count > 0 }

// EmitAgain writes the next PDU that a SNACK asks for: a copy of what was sent, but for
// the command window, and in an R2T the StatSN (RFC 3720 §10.16 [R-10.16-2],
// [R-10.16-3]). It is false when there is none.
func (c *Conn) EmitAgain(h *pdu.Header, scratch []byte) (a Again, ok bool) {
	k := c.kept
	for k.count > 0 {
		switch o := &k.orders[k.first]; o.kind {
		case pdu.SNACKStatus:
			a, ok = c.statusAgain(o, h, scratch)
		case pdu.SNACKData:
			a, ok = c.dataAgain(o, h)
		default:
			a, ok = c.allAgain(o, h, scratch)
		}
		if ok {
			return a, true
		}
		c.served()
	}
	return a, false
}

// served takes the first order off.
func (c *Conn) served() {
	c.kept.first = (c.kept.first + 1) % maxOrders
	c.kept.count--
}

// statusAgain writes the next answer of a run. It keeps its StatSN (§10.4.9
// [R-10.4.9-1]).
func (c *Conn) statusAgain(o *repeat, h *pdu.Header, scratch []byte) (a Again, ok bool) {
	if o.stat.Less(c.expStatSN) {
		o.stat = c.expStatSN
	}
	for o.stat.Less(o.statTo) && c.received(o.stat) {
		o.stat = o.stat.Next()
	}
	if !o.stat.Less(o.statTo) {
		return a, false
	}
	kept := c.answerAt(o.stat)
	if kept == nil {
		return a, false
	}
	a.Slot = c.Slot(o.stat)
	if kept.head.DataBytes() > int(c.Params.MaxSend) {
		// Longer than the initiator takes by now.
		a.Lost = true
		return a, true
	}
	o.stat = o.stat.Next()
	c.repeat(kept, h, scratch, &a)
	return a, true
}

// received says whether an answer came to the initiator though it has not acknowledged
// its StatSN: it rode on a Data-In that a DataACK covers (§10.16.2), whose data is gone.
func (c *Conn) received(n serial.StatSN) bool {
	a := c.answerAt(n)
	return a != nil && a.command && a.head.Opcode() == pdu.OpDataIn &&
		pdu.AsDataIn(&a.head).DataSN().Uint32() < c.kept.planOfAnswer(a).acked.sn
}

// repeat writes an answer that was sent.
func (c *Conn) repeat(kept *answer, h *pdu.Header, scratch []byte, a *Again) {
	*h = kept.head
	c.credits(pdu.Response{Header: h})
	if h.Opcode() == pdu.OpDataIn {
		a.Offset, a.Bytes = pdu.AsDataIn(h).BufferOffset(), uint32(h.DataBytes())
		return
	}
	if kept.hasText {
		a.Text = c.kept.with(kept).text
	}
	if n := kept.inlineBytes; n > 0 {
		a.Inline = scratch[:copy(scratch[:MaxInlineBytes], c.kept.with(kept).inline[:n])]
	}
}

// resolve finds the command of an order: a task, or an answer and its slot. Both are
// nil when it is gone.
func (c *Conn) resolve(o *repeat) (t *Task, kept *answer, slot int) {
	t = &c.tasks[o.index]
	if c.kept.of(t).serial == o.serial && t.Kind == KindSCSI {
		if t.Phase == Aborting {
			return nil, nil, 0
		}
		return t, nil, 0
	}
	if slot = c.slotOf(o.serial); slot >= 0 {
		return nil, &c.kept.answers[slot], slot
	}
	return nil, nil, 0
}

// planOfOrder is resolve with the plan, nil when the command is gone.
func (c *Conn) planOfOrder(o *repeat) (p *plan, kept *answer, a Again) {
	t, kept, slot := c.resolve(o)
	switch {
	case t != nil:
		return c.kept.planOf(t), nil, Again{Task: t}
	case kept != nil:
		return c.kept.planOfAnswer(kept), kept, Again{Slot: slot}
	}
	return nil, nil, a
}

// dataAgain writes the next R2T or Data-In of a run.
func (c *Conn) dataAgain(o *repeat, h *pdu.Header) (a Again, ok bool) {
	p, kept, a := c.planOfOrder(o)
	if p == nil || p.recut != o.recut {
		return a, false
	}
	if o.sn < p.r2ts {
		// R2Ts before the last are fulfilled, as one is in flight.
		o.sn = max(o.sn, p.ended)
	}
	if o.sn >= o.to {
		return a, false
	}
	if o.sn < p.r2ts {
		c.r2tAgain(a.Task, h, o.sn)
		o.sn++
		return a, true
	}
	if o.sn < p.acked.sn {
		// Acknowledged meanwhile; what is behind it is still wanted.
		if o.sn = p.acked.sn; o.sn >= o.to {
			return a, false
		}
		if o.sn >= p.from.sn {
			o.at = p.cursor(o.sn, c.Params.MaxBurstLength)
		}
	}
	if o.lost || o.sn < p.from.sn || p.segment > c.segment() {
		// §10.16.3 [R-10.16.3-1]: the initiator takes other segments since; R-Data asks for
		// those.
		a.Lost = true
		return a, true
	}
	s, ok := p.next(&o.at, c.Params.MaxBurstLength)
	if !ok {
		return a, false
	}
	a.Offset, a.Bytes = s.Offset, s.Bytes
	if kept != nil && kept.head.Opcode() == pdu.OpDataIn && o.sn+1 == p.sent.sn {
		// The one that carries the status.
		*h = kept.head
		c.credits(pdu.Response{Header: h})
	} else {
		c.segmentAgain(p, h, s, o.sn)
	}
	o.sn++
	return a, true
}

// r2tAgain writes the R2T in flight.
func (c *Conn) r2tAgain(t *Task, h *pdu.Header, sn uint32) {
	b := t.Out.current()
	c.writeR2T(t, h, b.ttt, sn, b.offset, b.bytes)
}

// segmentAgain writes a Data-In without status.
func (c *Conn) segmentAgain(p *plan, h *pdu.Header, s Segment, sn uint32) {
	c.begin(h, pdu.OpDataIn, p.itt)
	d := pdu.AsDataIn(h)
	d.SetTTT(pdu.NoTag)
	d.SetDataSN(serial.Data(sn))
	d.SetBufferOffset(s.Offset)
	h.SetDataBytes(int(s.Bytes))
	if !s.Final {
		h.SetFlags(0)
	}
	p.ask(h, s)
	c.credits(d.Response)
}

// allAgain serves R-Data (§10.16.3). Of a task, its transfer goes back to what is
// acknowledged; of a command that is over, its data goes out, cut anew, and then its
// response with the SNACK Tag.
func (c *Conn) allAgain(o *repeat, h *pdu.Header, scratch []byte) (a Again, ok bool) {
	p, kept, a := c.planOfOrder(o)
	switch {
	case p == nil:
		return a, false
	case kept != nil:
		return c.concludedAgain(o, kept, a, h, scratch)
	case a.Task.failed || a.Task.Phase == Responding && a.Task.Status != sam.Good:
		// No data follows any more; the response brings the tag.
		return a, false
	}
	a.Rewind, a.Offset, a.Bytes = true, p.acked.offset, p.sent.offset-p.acked.offset
	return a, true
}

// Rewind has the transfer of the task that EmitAgain named begin again behind what is
// acknowledged; its DataSN too (§10.16.3 [R-10.16.3-2]).
func (c *Conn) Rewind(t *Task) {
	p := c.kept.of(t)
	c.served()
	p.recut++
	t.In.Sent, t.In.sn, t.In.burst = p.acked.offset, p.acked.sn-p.r2ts, p.acked.burst
	p.segment, p.from = c.segment(), p.acked
}

// segment is how much data-in a PDU may hold: whole words (§10.7.7 [R-10.7.7-2]).
func (c *Conn) segment() uint32 { return c.Params.MaxSend &^ 3 }

// concludedAgain writes the next Data-In, or behind the last the response, of a command
// that is over.
func (c *Conn) concludedAgain(o *repeat, kept *answer, a Again, h *pdu.Header, scratch []byte) (Again, bool) {
	p := c.kept.planOfAnswer(kept)
	if o.recut == 0 {
		p.recut++
		o.recut = p.recut
		p.segment, p.from = c.segment(), p.acked
		o.at, o.sn = DataIn{Total: p.sent.offset, Sent: p.acked.offset, burst: p.acked.burst}, p.acked.sn
	}
	if o.recut != p.recut {
		// A later R-Data began anew.
		return a, false
	}
	if o.at.Sent < p.sent.offset {
		s, _ := p.next(&o.at, c.Params.MaxBurstLength)
		a.Offset, a.Bytes = s.Offset, s.Bytes
		c.segmentAgain(p, h, s, o.sn)
		o.sn++
		p.sent.sn = o.sn
		return a, true
	}
	if o.to != 0 {
		return a, false
	}
	o.to = 1 // the response is all that was left
	kept.retag(p)
	c.repeat(kept, h, scratch, &a)
	return a, true
}

// retag makes the answer a SCSI Response with the SNACK Tag and the number of data it
// follows now (§10.4.4 [R-10.4.4-1]). Its StatSN stays: several responses share it
// (§10.16.3 [R-10.16.3-3]).
func (a *answer) retag(p *plan) {
	if a.head.Opcode() == pdu.OpDataIn {
		d := pdu.AsDataIn(&a.head)
		n, residual, flags := d.StatSN(), d.Residual(), a.head.Flags()&(pdu.ResidualOverflow|pdu.ResidualUnderflow)
		a.head = pdu.Header{}
		a.head.SetOpcode(pdu.OpSCSIResponse)
		a.head.SetFlags(pdu.FlagFinal | flags)
		a.head.SetITT(p.itt)
		pdu.Response{Header: &a.head}.SetStatSN(n)
		pdu.AsSCSIResponse(&a.head).SetResidual(residual)
	}
	r := pdu.AsSCSIResponse(&a.head)
	r.SetSNACKTag(p.tag)
	r.SetExpDataSN(serial.Data(p.sent.sn))
}

// Unserved refuses the SNACK that EmitAgain was serving: the data is not there any
// more. A task that it names ends with 0B/1113 if its status was not sent (§6.7
// [R-6.7-3]); it is returned, else nil. A Reject that finds no room is one too many, and
// the next PDU that earns one drops the connection.
func (c *Conn) Unserved() *Task {
	o := &c.kept.orders[c.kept.first]
	t, _, _ := c.resolve(o)
	if o.kind == pdu.SNACKStatus {
		t = nil
	}
	c.reject(pdu.RejectSNACK, &o.head, nil)
	c.served()
	c.spoil(t)
	return t
}
