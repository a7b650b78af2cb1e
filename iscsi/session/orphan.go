package session

import (
	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
	"lunar/scsi/sam"
)

// Orphan is a command whose connection is gone, on its way to the one that it is
// reassigned to (RFC 3720 §6.2.2). Data is not taken along: what has not been
// acknowledged is read again, and what is not on the medium is asked for again.
type Orphan struct {
	Command     sam.Command
	ITT         pdu.ITT
	CmdSN       serial.CmdSN
	Read, Write bool
	EDTL        uint32
	BidiRead    uint32
	// counted: it holds a place in the command window.
	counted bool
	// Concluded says that the outcome stands, in Command or as a header with data of
	// ours that was sent already, and only needs to be told.
	Concluded bool
	head      pdu.Header
	inline    []byte
	said      bool

	failed  bool
	failure sam.Sense
	moved   int64
	// From is where its data-in goes on and DataSN the number there, R2TSN the number of
	// the next R2T, Written how far its data-out is on the medium.
	From, DataSN, R2TSN, Written uint32
	burst                        uint32
	// sent is how far its data-in had gone out, first the number of the first Data-In.
	sent  mark
	first uint32
}

// Align has data-in go on where a block of so many bytes begins, else from the start,
// which a target may choose (RFC 3720 §6.2.2 [R-6.2.2-2]): it is read again, and a block
// shall not be of two reads.
func (o *Orphan) Align(block uint32) {
	if o.From%block != 0 {
		o.From, o.DataSN, o.burst = 0, o.first, 0
	}
}

// Counted says whether the command holds a place in the command window.
func (o *Orphan) Counted() bool { return o.counted }

// Answered says whether a command with this tag was answered and the answer not
// acknowledged.
func (c *Conn) Answered(itt pdu.ITT) bool {
	for n := c.expStatSN; n != c.statSN; n = n.Next() {
		if p := c.planAt(n); p != nil && p.itt == itt {
			return true
		}
	}
	return false
}

// Remembers says whether a command that was answered may still be asked for.
func (c *Conn) Remembers() bool {
	for n := c.expStatSN; n != c.statSN; n = n.Next() {
		if c.planAt(n) != nil {
			return true
		}
	}
	return false
}

// essence is what of a command, besides its plan, is needed to carry it out once more.
type essence struct {
	cdb        [sam.MaxCDBBytes]byte
	cmdSN      serial.CmdSN
	edtl, bidi uint32
	cdbBytes   uint8
	attribute  sam.Attribute
	// numbered: cmdSN is its own.
	numbered, read, write bool
}

// take takes the essence of a command that begins.
func (e *essence) take(t *Task) {
	e.cdb, e.cdbBytes, e.attribute = t.CDB, t.CDBBytes, t.Attribute
	e.cmdSN, e.edtl, e.bidi = t.CmdSN, t.EDTL, t.BidiRead
	// One that was adopted without a place in the window may have had a number.
	e.numbered, e.read, e.write = !t.Immediate || t.Numbered, t.Read, t.Write
}

// orphan is a command of this essence, of which nothing was decided yet.
func (e *essence) orphan(p *plan) Orphan {
	return Orphan{
		Command: sam.Command{
			LUN: p.lun, Attribute: e.attribute, CDB: e.cdb, CDBBytes: e.cdbBytes, Numbered: e.numbered,
		},
		ITT: p.itt, CmdSN: e.cmdSN, Read: e.read, Write: e.write, EDTL: e.edtl, BidiRead: e.bidi,
	}
}

// Stands says whether the outcome of a command only needs to be told. Good data-in is asked
// of the device server again where it is reassigned.
func (t *Task) Stands() bool {
	return t.Phase == Responding && (t.Status != sam.Good || t.In.Total == 0)
}

// Stand gives the place in the command window back of a command whose outcome stands: it
// has ended, whether that is ever told or not.
func (c *Conn) Stand(t *Task) {
	if t.counted {
		t.counted = false
		c.shared.Credit()
	}
}

// Orphan makes a task that is quiet an orphan, and ends it here. Its data-out is on the
// medium up to written; the initiator says that it has the Data-In and R2Ts before
// expDataSN.
func (c *Conn) Orphan(t *Task, expDataSN serial.DataSN, written uint32) Orphan {
	o := Orphan{
		Command: t.Command, ITT: t.ITT, CmdSN: t.CmdSN, Read: t.Read, Write: t.Write, EDTL: t.EDTL, BidiRead: t.BidiRead,
		counted: t.counted, failed: t.failed, failure: t.failure, moved: t.moved, Written: written,
	}
	o.Concluded = t.Stands()
	if a := t.said; a != nil {
		// It was given before, on a connection that was lost earlier.
		o.Concluded, o.said, o.head, o.inline = true, true, a.head, a.inline
	}
	p := c.kept.planOf(t)
	c.resumeAt(&o, p, expDataSN)
	t.counted = false
	c.Release(t)
	return o
}

// OrphanOf makes an orphan of a command that was answered and whose answer was not
// acknowledged. It is false when there is none with this tag.
func (c *Conn) OrphanOf(itt pdu.ITT, expDataSN serial.DataSN) (o Orphan, ok bool) {
	for n := c.statSN; n != c.expStatSN; {
		n = n.Add(^uint32(0))
		p := c.planAt(n)
		if p == nil || p.itt != itt {
			continue
		}
		a := c.kept.at(n)
		o = c.kept.essences[a.plan].orphan(p)
		good := a.head.Opcode() == pdu.OpDataIn || pdu.AsSCSIResponse(&a.head).Status() == sam.Good
		o.Concluded = !good || p.total == 0 || o.Write
		if o.Concluded {
			o.said, o.head, o.inline = true, a.head, append([]byte(nil), c.kept.with(a).inline[:a.inlineBytes]...)
		}
		c.resumeAt(&o, p, expDataSN)
		a.head, a.command = pdu.Header{}, false
		return o, true
	}
	return o, false
}

// resumeAt finds where the data of an orphan goes on. Numbers that acknowledge nothing new
// or what was not sent are ignored (RFC 3720 §10.5.6 [R-10.5.6-3]).
func (c *Conn) resumeAt(o *Orphan, p *plan, expDataSN serial.DataSN) {
	sn := expDataSN.Uint32()
	o.R2TSN, o.sent, o.first = p.ended, p.sent, p.r2ts
	if sn > p.ended && sn <= p.r2ts {
		o.R2TSN = sn
	}
	o.From, o.DataSN, o.burst = p.acked.offset, p.acked.sn, p.acked.burst
	if p.segment == 0 {
		// Nothing was sent here; it may go on from what was acknowledged elsewhere.
		o.From, o.DataSN, o.burst = p.sent.offset, p.sent.sn, p.sent.burst
		return
	}
	if sn > p.acked.sn && sn >= p.from.sn && sn <= p.sent.sn {
		d := p.cursor(sn, c.Params.MaxBurstLength)
		o.From, o.DataSN, o.burst = d.Sent, sn, d.burst
	}
}

// MayAdopt says whether there is a place for an orphan: one that has given its place in
// the window back takes one of those for immediate commands.
func (c *Conn) MayAdopt(o *Orphan) bool {
	return len(c.free) > 0 && (o.counted || c.functions+c.others < c.immediate-1)
}

// Adopt takes an orphan in as a task of this connection. It is nil when there is no
// place for one that has given its place in the window back.
func (c *Conn) Adopt(o *Orphan) *Task {
	if !c.MayAdopt(o) {
		return nil
	}
	if !o.counted {
		c.others++
	}
	i := c.free[len(c.free)-1]
	c.free = c.free[:len(c.free)-1]
	t := &c.tasks[i]
	t.reset()
	owner := t.Owner
	t.Command = o.Command
	t.Owner = owner
	t.Kind, t.Phase, t.ITT, t.CmdSN, t.counted, t.Immediate = KindSCSI, Running, o.ITT, o.CmdSN, o.counted, !o.counted
	t.Adopted = true
	t.Read, t.Write, t.EDTL, t.BidiRead = o.Read, o.Write, o.EDTL, o.BidiRead
	t.failed, t.failure, t.moved = o.failed, o.failure, o.moved
	t.Out.Total = t.EDTL
	if !t.Write {
		t.Out.Total = 0
	}
	if o.said {
		t.said = &saidAnswer{o.head, o.inline}
	}
	if o.Concluded {
		// Only the outcome is left; residuals speak of what was done for it.
		t.Out.Total = 0
		t.In = DataIn{Total: o.sent.offset, Sent: o.sent.offset}
	}
	c.dir.add(t.ITT, i)
	c.kept.begin(t)
	return t
}

// Resume puts a task where its data went on, once the device server has decided again.
func (c *Conn) Resume(t *Task, o *Orphan) {
	if t.In.Total > 0 {
		t.In.Sent, t.In.burst = min(o.From, t.In.Total), o.burst
		t.In.sn = o.DataSN - min(o.DataSN, o.R2TSN)
	}
	t.Out.r2tSN = o.R2TSN
	if t.Action == sam.WriteMedium || t.Action == sam.CompareMedium {
		t.Out.Received = min(o.Written, t.Out.Total)
		t.Out.asked = t.Out.Received
	}
}

// saidAnswer is an answer that was given on a connection that is gone.
type saidAnswer struct {
	head   pdu.Header
	inline []byte
}

// sayAgain writes the answer of a task that was given before, under the next StatSN of
// this connection (RFC 3720 §6.2.2 [R-6.2.2-3], [R-10.4.9-1]).
func (c *Conn) sayAgain(t *Task, h *pdu.Header, scratch []byte) (data []byte) {
	a := t.said
	*h = a.head
	if h.Opcode() == pdu.OpSCSIResponse {
		// §6.2.2 [R-6.2.2-6]: a SNACK Tag belongs to the connection that is gone.
		pdu.AsSCSIResponse(h).SetSNACKTag(0)
	}
	data = scratch[:copy(scratch[:MaxInlineBytes], a.inline)]
	c.Release(t)
	c.status(pdu.Response{Header: h})
	c.kept.conclude(t, data)
	return data
}
