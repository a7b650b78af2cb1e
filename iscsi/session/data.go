package session

import (
	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
)

// dataOut takes the header of a Data-Out (RFC 3720 §10.7).
func (c *Conn) dataOut(h *pdu.Header, _ []byte) Disposition {
	p := pdu.AsDataOut(h)
	c.dataCame = true
	if p.TTT() == pdu.NoTag {
		return c.unsolicitedData(p)
	}
	return c.solicitedData(p)
}

// unsolicitedData takes data the initiator sends unasked, behind its command.
func (c *Conn) unsolicitedData(p pdu.DataOut) Disposition {
	t, ok := c.Find(p.ITT())
	if !ok || t.Kind != KindSCSI {
		// The command was ignored, refused or is gone: its data goes the same way.
		return Disposition{Verdict: Skip}
	}
	if t.Out.hole.lapsed {
		// Its burst is over, and what was missing asked for.
		return Disposition{Verdict: Skip}
	}
	if !t.Out.unsolicited {
		// §10.8 [R-10.8-1], §3.2.4.2 [R-3.2.4.2-4]: not agreed, or its burst has ended.
		t.FailData(senseUnexpectedData)
		return Disposition{Verdict: Skip, Task: t}
	}
	if c.remedy(missingData) == askAgain {
		return c.follow(t, p, &t.Out.sn, t.Out.Reached(), t.Out.limit)
	}
	c.open.kind, c.open.task = openData, t
	// [R-3.2.2.3-2]: DataSN counts from 0. A jump means a PDU is missing, which at
	// level 0 nothing brings back (§6.8 [R-6.8-1]).
	if p.DataSN() != serial.Data(t.Out.sn) {
		t.FailData(senseAmountOfData)
	}
	t.Out.sn++
	return c.place(t, p, t.Out.limit)
}

// solicitedData takes data that answers an R2T.
func (c *Conn) solicitedData(p pdu.DataOut) Disposition {
	t, known := c.owner(p.TTT())
	if t == nil {
		if known {
			// A tag of a burst that is over: the task ended first (§7 trap 41).
			return Disposition{Verdict: Skip}
		}
		return c.refuse(pdu.RejectInvalidField, p.Header, c.open.ahs)
	}
	b := t.Out.current()
	// §3.2.4.3 [R-3.2.4.3-1], §10.7.4 [R-10.7.4-1]: tag, LUN and burst belong
	// together, and R2Ts of a task are served in order.
	if b.ttt != p.TTT() || p.ITT() != t.ITT || p.LUN() != t.LUN {
		return c.refuse(pdu.RejectInvalidField, p.Header, c.open.ahs)
	}
	if c.remedy(missingData) == askAgain {
		return c.followSolicited(t, p)
	}
	c.open.kind, c.open.task = openData, t
	if p.DataSN() != serial.Data(b.sn) || p.BufferOffset() != b.offset+b.got {
		t.FailData(senseAmountOfData)
	}
	b.sn++
	b.got += uint32(p.DataBytes())
	// §10.8 [R-10.8-2], [R-10.8-3]: F=1 exactly when the desired length has come.
	if b.got > b.bytes || p.Final() != (b.got == b.bytes) {
		t.FailData(senseAmountOfData)
	}
	return c.place(t, p, b.offset+b.bytes)
}

// place says where right data goes, and throws the rest away: beyond what the
// command takes, or of a task that failed already.
func (c *Conn) place(t *Task, p pdu.DataOut, limit uint32) Disposition {
	n := uint32(p.DataBytes())
	offset := p.BufferOffset()
	// §10.7.6 with DataPDUInOrder=Yes [R-10.8-4]: increasing and contiguous.
	if offset != t.Out.Received || n > limit-min(limit, offset) {
		if t.Out.unsolicited && offset == t.Out.Received {
			t.FailData(senseUnexpectedData)
		} else {
			t.FailData(senseAmountOfData)
		}
	}
	// The task goes with data that is thrown away too: the end of its last burst is
	// what its response, or its abort, waits for. §10.7.7 [R-10.7.7-1]: a Data-Out
	// without data only ends its burst.
	if t.failed || t.Phase == Aborting || n == 0 {
		return Disposition{Verdict: Skip, Task: t}
	}
	return c.put(t, offset, n)
}

// put says where n bytes at an offset go: into the memory of the command as far as it
// takes them.
func (c *Conn) put(t *Task, offset, n uint32) Disposition {
	c.open.bytes = n
	if offset >= t.Out.Total && t.Phase >= Running {
		return Disposition{Verdict: Skip, Task: t}
	}
	keep := n
	if t.Phase >= Running {
		keep = min(n, t.Out.Total-offset)
	}
	return Disposition{Verdict: Place, Task: t, Offset: offset, Bytes: keep}
}

// endData takes the end of a Data-Out.
func (c *Conn) endData(t *Task, intact bool) Verdict {
	switch again := c.remedy(badData) == askAgain; {
	case again && intact:
		t.Out.take(c.open.offset, c.open.bytes)
	case again:
		t.Out.miss(c.open.offset, c.open.offset+c.open.bytes, true)
	case !intact:
		// §6.7 [R-6.7-1], [R-6.7-4]: refused; at level 0 the task ends with 47/05 once
		// every burst has ended.
		t.FailData(senseServiceCRC)
	default:
		t.Out.Received += c.open.bytes
	}
	if c.open.final {
		c.endOfBurst(t)
	}
	if !intact {
		return c.refuse(pdu.RejectDataDigest, &c.open.head, c.open.ahs).Verdict
	}
	return Skip
}

func (c *Conn) endOfBurst(t *Task) {
	if c.remedy(missingData) == askAgain {
		c.lapse(t)
		return
	}
	if !t.Out.unsolicited {
		if t.Out.count > 0 {
			t.Out.endBurst()
		}
		return
	}
	t.Out.unsolicited = false
	// §3.2.4.2 [R-3.2.4.2-3], appendix E.2.3 [R-E.2.3-1]: whoever sends data beyond
	// the immediate sends the whole first burst; less is an error at level 0.
	if t.Out.Received < t.Out.limit {
		t.FailData(senseAmountOfData)
	}
}

// A Target Transfer Tag is the task's slab index and a count that goes on over
// the life of the slab element, so that a tag is not used again soon and a stale
// one is known.
const (
	tttIndexShift = 16
	// MaxTasks keeps a tag from becoming ffffffff (RFC 3720 §10.8.5 [R-10.8.5-1]).
	MaxTasks = 1 << 15
)

func (t *Task) newTTT() pdu.TTT {
	t.tttCount++
	return pdu.TTT(t.index<<tttIndexShift | uint32(t.tttCount))
}

// owner finds the task a tag of ours was drawn for. When there is none, known
// tells a tag that was drawn once from one that never was.
func (c *Conn) owner(ttt pdu.TTT) (t *Task, known bool) {
	i := uint32(ttt) >> tttIndexShift
	if i >= uint32(len(c.tasks)) {
		return nil, false
	}
	t = &c.tasks[i]
	// Counts drawn lie behind the counter, in serial order.
	known = int16(t.tttCount-uint16(ttt)) >= 0 && t.tttCount != 0
	if t.Kind != KindSCSI || t.Out.count == 0 {
		return nil, known
	}
	for k := range t.Out.count {
		if t.Out.bursts[(t.Out.first+k)%MaxBursts].ttt == ttt {
			return t, true
		}
	}
	return nil, known
}

// EmitR2T asks for bytes from Out.Asked on (RFC 3720 §10.8). The caller has
// reserved the memory and asked MayAsk.
func (c *Conn) EmitR2T(t *Task, h *pdu.Header, bytes uint32) {
	ttt := t.newTTT()
	sn := t.In.sn + t.Out.r2tSN
	offset, _ := t.Out.ask(ttt, bytes)
	c.writeR2T(t, h, ttt, sn, offset, bytes)
}

func (c *Conn) writeR2T(t *Task, h *pdu.Header, ttt pdu.TTT, sn, offset, bytes uint32) {
	c.begin(h, pdu.OpR2T, t.ITT)
	p := pdu.AsR2T(h)
	h.SetLUN(t.LUN)
	p.SetTTT(ttt)
	p.SetR2TSN(serial.Data(sn))
	p.SetBufferOffset(offset)
	p.SetDesiredBytes(bytes)
	// §10.8.3 [R-10.8.3-1]: R2T shows the next StatSN and does not consume it.
	c.numbers(p.Response)
}

// EmitDataIn writes the next Data-In of a task from the bytes up to ready. The
// last one carries GOOD status when that is the outcome; then the task is over
// and released. It is false when no PDU can be cut yet.
func (c *Conn) EmitDataIn(t *Task, h *pdu.Header, ready uint32) (s Segment, done, ok bool) {
	var p *plan
	if c.kept != nil {
		p = c.kept.cut(t, c.segment())
	}
	s, ok = t.In.next(ready, c.segment(), c.Params.MaxBurstLength)
	if !ok {
		return s, false, false
	}
	c.begin(h, pdu.OpDataIn, t.ITT)
	d := pdu.AsDataIn(h)
	d.SetTTT(pdu.NoTag)
	d.SetDataSN(serial.Data(t.In.sn + t.Out.r2tSN))
	t.In.sn++
	d.SetBufferOffset(s.Offset)
	h.SetDataBytes(int(s.Bytes))
	if !s.Final {
		h.SetFlags(0)
	}
	if p != nil && s.Final && !s.Last {
		c.kept.solicit(t, h, s)
	}
	// §10.7.3 [R-10.7.3-2], [R-10.7.3-5]: status rides on the last Data-In only when
	// there is no sense, and never in a bidirectional command. Behind R-Data the
	// initiator takes it only with the SNACK Tag (§10.16.3 [R-10.16.3-3]).
	if !s.Last || t.Phase != Responding || t.Status != 0 || t.Write || p != nil && p.tag != 0 {
		c.credits(d.Response)
		return s, false, true
	}
	flags, residual := t.residual()
	h.SetFlags(pdu.FlagFinal | pdu.DataStatus | flags)
	d.SetResidual(residual)
	c.Release(t)
	c.status(d.Response)
	c.kept.conclude(t, nil)
	return s, true, true
}
