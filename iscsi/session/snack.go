package session

import (
	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
)

// maxOrders bounds the SNACKs that wait to be served; those beyond it are refused and
// may come again (RFC 3720 §10.17.1, reason 3).
const maxOrders = 16

// repeat is a SNACK that is being served.
type repeat struct {
	kind pdu.SNACKType
	// stat is the next of the answers before statTo.
	stat, statTo serial.StatSN
	// The command, by slab index and serial; recut tells by which cut it was asked.
	index  uint32
	serial uint64
	recut  uint32
	// at cuts the next PDU, sn is its number, the last is before to.
	at     DataIn
	sn, to uint32
	// lost: what is asked for cannot be cut any more.
	lost bool
	head pdu.Header
}

// snack takes the header of a SNACK Request (RFC 3720 §10.16).
func (c *Conn) snack(h *pdu.Header, ahs []byte) Disposition {
	p := pdu.AsSNACK(h)
	if p.Type() > pdu.SNACKRData {
		// §10 [R-10-3]: types beyond 3 are reserved codes.
		return c.refuse(pdu.RejectProtocolError, h, ahs)
	}
	if c.remedy(lostAnswer) == refuseSNACK {
		// Appendix E.2.3 [R-E.2.3-2]: nothing is kept.
		return c.refuse(pdu.RejectSNACK, h, ahs)
	}
	var wrong pdu.RejectReason
	var next uint32
	switch p.Type() {
	case pdu.SNACKData:
		wrong, next = c.snackData(p)
	case pdu.SNACKStatus:
		wrong = c.snackStatus(p)
	case pdu.SNACKDataACK:
		wrong = c.dataACK(p)
	case pdu.SNACKRData:
		wrong, next = c.snackRData(p)
	}
	if wrong == 0 {
		return Disposition{Verdict: Skip}
	}
	d := c.refuse(wrong, h, ahs)
	if wrong == pdu.RejectProtocolError && d.Verdict == Skip {
		// §10.17.2 [R-10.17.2-1]: the next number we would send.
		c.rejects[len(c.rejects)-1].dataSN = next
	}
	return d
}

// snackStatus has answers sent again.
func (c *Conn) snackStatus(p pdu.SNACK) pdu.RejectReason {
	if p.ITT() != pdu.NoTag {
		// §10.16.4 [R-10.16.4-1]. Initiators exist that leave the tag 0 (§10.16.5
		// [R-10.16.5-2]); it says nothing here.
		return pdu.RejectInvalidField
	}
	first, count := p.Run()
	from, to := serial.Stat(first), c.statSN
	if first == 0 && count == 0 {
		from = c.expStatSN
	}
	if from.Less(c.expStatSN) {
		// §10.16 [R-10.16-4], appendix E.2.3 [R-E.2.3-2].
		return pdu.RejectProtocolError
	}
	if !from.Less(to) {
		// Appendix E.2.3 [R-E.2.3-2]: what was not sent yet is on its way.
		return 0
	}
	if count > 0 && count < uint32(to.Sub(from)) {
		to = from.Add(count)
	}
	return c.order(repeat{kind: pdu.SNACKStatus, stat: from, statTo: to, head: *p.Header})
}

// snackData has Data-In or R2Ts sent again. When they cannot be, next is the number
// that would come next.
func (c *Conn) snackData(p pdu.SNACK) (wrong pdu.RejectReason, next uint32) {
	if p.ITT() == pdu.NoTag {
		return pdu.RejectInvalidField, 0
	}
	t, plan := c.transferOf(p.ITT())
	if plan == nil {
		// §10.16 [R-10.16-4]: nothing was sent, or its status is acknowledged.
		return pdu.RejectProtocolError, 0
	}
	first, count := p.Run()
	from, to := first, plan.sent.sn
	if count > 0 {
		to = uint32(min(uint64(first)+uint64(count), 1<<32-1))
	} else if first == 0 {
		if from = plan.floor(); from == to {
			// All that is not acknowledged is nothing.
			return 0, 0
		}
	}
	if from < plan.floor() || from >= to || to > plan.sent.sn {
		return pdu.RejectProtocolError, plan.sent.sn
	}
	o := repeat{kind: pdu.SNACKData, serial: plan.serial, recut: plan.recut, sn: from, to: to, head: *p.Header}
	if t != nil {
		o.index = t.index
	}
	if to > plan.r2ts {
		start := max(from, plan.r2ts)
		if start < plan.from.sn {
			o.lost = true
		}
		o.at = plan.cursor(start, c.Params.MaxBurstLength)
	}
	return c.order(o), 0
}

// snackRData has all data that is not acknowledged cut anew (§10.16.3).
func (c *Conn) snackRData(p pdu.SNACK) (wrong pdu.RejectReason, next uint32) {
	first, count := p.Run()
	if p.ITT() == pdu.NoTag || p.Tag() == uint32(pdu.NoTag) || p.Tag() == 0 || first != 0 || count != 0 {
		// §10.16.4 to §10.16.7 [R-10.16.5-1], [R-10.16.6-1], [R-10.16.7-1].
		return pdu.RejectInvalidField, 0
	}
	t, plan := c.transferOf(p.ITT())
	switch {
	case plan == nil:
		return pdu.RejectProtocolError, 0
	case plan.sent.sn == plan.r2ts:
		return pdu.RejectProtocolError, plan.sent.sn
	}
	o := repeat{kind: pdu.SNACKRData, serial: plan.serial, head: *p.Header}
	if t != nil {
		o.index = t.index
	}
	wrong = c.order(o)
	if wrong == 0 {
		// §10.16.5 [R-10.16.5-1]: the response carries it from now on.
		plan.tag = p.Tag()
	}
	return wrong, 0
}

// dataACK frees data, and nothing else (§10.16.2 [R-10.16.2-2]).
func (c *Conn) dataACK(p pdu.SNACK) pdu.RejectReason {
	first, count := p.Run()
	if p.ITT() != pdu.NoTag || count != 0 {
		return pdu.RejectInvalidField
	}
	ttt := pdu.TTT(p.Tag())
	t, plan := c.askedUnder(ttt)
	switch {
	case plan == nil:
		if _, known := c.owner(ttt); known {
			// Its command is over, and acknowledged as a whole.
			return 0
		}
		return pdu.RejectInvalidField
	case p.LUN() != plan.lun:
		return pdu.RejectInvalidField
	case first > plan.sent.sn:
		// §10.17.1: it acknowledges what was not sent.
		return pdu.RejectInvalidDataACK
	case first < plan.from.sn:
		return 0
	}
	d := plan.cursor(first, c.Params.MaxBurstLength)
	plan.from = mark{first, d.Sent, d.burst}
	plan.acked = plan.from
	c.kept.freed, c.kept.frees = Freed{Task: t, Offset: d.Sent}, true
	if t == nil {
		c.kept.freed.Slot = c.slotOf(plan.serial)
	}
	return 0
}

// Freed says that data-in up to an offset will not be asked for again: that of a task,
// or, when Task is nil, of the command whose answer lies in Slot.
type Freed struct {
	Task   *Task
	Slot   int
	Offset uint32
}

// Freed is what the SNACK that came last frees. It is said once.
func (c *Conn) Freed() (f Freed, ok bool) {
	if !c.kept.frees {
		return f, false
	}
	c.kept.frees = false
	return c.kept.freed, true
}

// order queues what a SNACK asks for.
func (c *Conn) order(o repeat) pdu.RejectReason {
	k := c.kept
	if k.count == maxOrders {
		return pdu.RejectSNACK
	}
	k.orders[(k.first+k.count)%maxOrders] = o
	k.count++
	return 0
}

// transferOf finds the plan of a command by its tag: one under way, else the last that
// ended and is not acknowledged.
func (c *Conn) transferOf(itt pdu.ITT) (*Task, *plan) {
	if t, ok := c.Find(itt); ok {
		if t.Kind != KindSCSI || t.Phase == Aborting {
			return nil, nil
		}
		return t, c.kept.planOf(t)
	}
	for n := c.statSN; n != c.expStatSN; {
		n = n.Add(^uint32(0))
		if p := c.planAt(n); p != nil && p.itt == itt {
			return nil, p
		}
	}
	return nil, nil
}

// askedUnder finds the plan that asks for DataACKs under a tag.
func (c *Conn) askedUnder(ttt pdu.TTT) (*Task, *plan) {
	if i := uint32(ttt) >> tttIndexShift; i < uint32(len(c.tasks)) {
		t := &c.tasks[i]
		if p := c.kept.of(t); t.Kind == KindSCSI && t.Phase != Aborting && p.asks && p.ttt == ttt {
			return t, c.kept.planOf(t)
		}
	}
	for n := c.expStatSN; n != c.statSN; n = n.Next() {
		if p := c.planAt(n); p != nil && p.asks && p.ttt == ttt {
			return nil, p
		}
	}
	return nil, nil
}

// answerAt is the answer with a number that is not acknowledged, nil when it was not
// kept.
func (c *Conn) answerAt(n serial.StatSN) *answer {
	if uint32(n.Sub(c.expStatSN)) >= uint32(len(c.kept.answers)) {
		return nil
	}
	if a := c.kept.at(n); a.statSN() == n {
		return a
	}
	// One that there was no room for, in the place of one before it.
	return nil
}

// planAt is the plan of the command that an answer with a number ended, which is not
// acknowledged; nil when there is none.
func (c *Conn) planAt(n serial.StatSN) *plan {
	if a := c.answerAt(n); a != nil {
		return c.kept.planOfAnswer(a)
	}
	return nil
}

// slotOf is where the answer of a command lies that is over, -1 when it is gone.
func (c *Conn) slotOf(serial uint64) int {
	for n := c.expStatSN; n != c.statSN; n = n.Next() {
		if p := c.planAt(n); p != nil && p.serial == serial {
			return c.Slot(n)
		}
	}
	return -1
}

// Spoil ends a task whose data cannot be sent again.
func (c *Conn) Spoil(t *Task) { c.spoil(t) }

// spoil ends a command whose data cannot be sent again (§6.7 [R-6.7-3]); nil is one
// whose status was sent.
func (c *Conn) spoil(t *Task) {
	if t == nil {
		return
	}
	t.FailData(senseSNACK)
	if t.Phase == Responding {
		c.Responded(t)
	}
}
