package session

import (
	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
	"lunar/scsi/sam"
)

// maxRetainedText bounds the text and ping data, in bytes, of answers that are not
// acknowledged; one more may stand beyond it.
const maxRetainedText = 1 << 20

// retention is what a session with recovery keeps until it is acknowledged (RFC 3720
// §6.1.3 [R-6.1.3-1]): answers, and how data-in was cut. The data itself the transport
// keeps. All of it is made at login.
//
// Every command pays for this and hardly any asks for it, so little is written for each
// and nothing cleared: an answer outside of ExpStatSN to StatSN is none, a plan passes
// from its task to the answer by exchanging theirs, and what few have lies apart.
type retention struct {
	// answers hold the PDUs from ExpStatSN to StatSN, by StatSN modulo their number, and
	// carried what some of them brought along.
	answers []answer
	carried []carried
	// last is the answer that was numbered last, nil when there was no room for it.
	last *answer
	text int
	// plans are those of the tasks and the answers: each has one, by number. essences are
	// of the same commands; there are none where nothing is reassigned. serial is the one
	// drawn last.
	plans    []plan
	essences []essence
	serial   uint64

	orders [maxOrders]repeat
	first  uint8
	count  uint8

	// freed is what a DataACK freed, where one came since frees was asked.
	freed Freed
	frees bool
}

// answer is a PDU that took a StatSN.
type answer struct {
	head pdu.Header
	// plan is the number of a plan; with command it is that of the data-in of the
	// command that was answered.
	plan    uint32
	command bool
	// What it carried.
	inlineBytes uint8
	hasText     bool
}

// carried is what an answer brought along besides data-in: sense, or data of the Go
// heap.
type carried struct {
	inline [MaxInlineBytes]byte
	text   []byte
}

// mark is a place in data-in: a PDU by its DataSN, where it begins, and how much of
// its sequence stands before it.
type mark struct{ sn, offset, burst uint32 }

// plan is how the data-in of a command was cut, so that it can be cut once more.
type plan struct {
	// serial tells commands apart, 0 is none.
	serial uint64
	itt    pdu.ITT
	lun    sam.LUN
	total  uint32
	// r2ts are the numbers that R2Ts took, ended those whose bursts have ended; data
	// starts behind them. sent is the next number and offset.
	r2ts, ended uint32
	sent        mark
	// segment is what data was cut by since from; the initiator may declare another
	// length in between. acked is what it acknowledged by DataACK.
	segment     uint32
	from, acked mark
	// asks: a DataACK was asked for under the tag ttt.
	asks bool
	ttt  pdu.TTT
	// tag is of the last R-Data SNACK, 0 before one; recut counts them.
	tag, recut uint32
}

// renewRetention returns the retention a session needs, in the memory of an old one
// if that fits; nil at a level that keeps nothing.
func renewRetention(old *retention, c *Conn) *retention {
	if c.remedy(lostAnswer) != sendAgain {
		return nil
	}
	n := 1
	for n < len(c.tasks) {
		n *= 2
	}
	k := &retention{}
	if old != nil && len(old.answers) == n && len(old.plans) == len(c.tasks)+n {
		clear(old.carried)
		clear(old.plans)
		k, *old = old, retention{answers: old.answers, carried: old.carried, plans: old.plans, essences: old.essences}
	} else {
		k.answers, k.carried, k.plans = make([]answer, n), make([]carried, n), make([]plan, len(c.tasks)+n)
	}
	switch {
	case !c.Parks():
		k.essences = nil
	case k.essences == nil:
		k.essences = make([]essence, len(k.plans))
	}
	for i := range c.tasks {
		c.tasks[i].plan = uint32(i)
	}
	for i := range k.answers {
		k.answers[i] = answer{plan: uint32(len(c.tasks) + i)}
	}
	return k
}

func (k *retention) at(n serial.StatSN) *answer {
	return &k.answers[n.Uint32()&uint32(len(k.answers)-1)]
}

// with is what an answer carried.
func (k *retention) with(a *answer) *carried {
	return &k.carried[a.statSN().Uint32()&uint32(len(k.carried)-1)]
}

// Retained is how many answers can be kept; 0 when nothing is. An answer lies in a
// place of its own, Slot.
func (c *Conn) Retained() int {
	if c.kept == nil {
		return 0
	}
	return len(c.kept.answers)
}

// Slot is the place of the answer with a StatSN.
func (c *Conn) Slot(n serial.StatSN) int { return int(n.Uint32() & uint32(len(c.kept.answers)-1)) }

// ExpStatSN is what the initiator acknowledged: everything before it.
func (c *Conn) ExpStatSN() serial.StatSN { return c.expStatSN }

// Full says that no further answer can be kept: none may be given until the initiator
// acknowledges some, but for the last of a connection.
func (c *Conn) Full() bool {
	k := c.kept
	return int(c.statSN.Sub(c.expStatSN)) >= len(k.answers) || k.text >= maxRetainedText
}

// put keeps the header of an answer.
func (k *retention) put(n, exp serial.StatSN, h *pdu.Header) {
	k.last = nil
	if int(n.Sub(exp)) < len(k.answers) {
		a := k.at(n)
		k.last = a
		a.head = *h
		a.command, a.inlineBytes, a.hasText = false, 0, false
	}
}

// attach keeps the data segment, of the Go heap, of the answer put last.
func (k *retention) attach(text []byte) {
	if k != nil && k.last != nil {
		k.last.hasText = true
		k.with(k.last).text = text
		k.text += len(text)
	}
}

// conclude keeps what belongs to the answer of a command: its sense, and its plan, for
// which the task gets another.
func (k *retention) conclude(t *Task, sense []byte) {
	if k == nil || k.last == nil {
		return
	}
	k.planOf(t)
	a := k.last
	a.plan, t.plan = t.plan, a.plan
	a.command = true
	if len(sense) > 0 {
		a.inlineBytes = uint8(copy(k.with(a).inline[:], sense))
	}
}

// statSN is the number of an answer.
func (a *answer) statSN() serial.StatSN { return pdu.Response{Header: &a.head}.StatSN() }

// forget drops what answers carried that are acknowledged now.
func (k *retention) forget(from, to serial.StatSN) {
	if k.text == 0 {
		return
	}
	for n := from; n != to; n = n.Next() {
		if a := k.at(n); a.hasText {
			s := k.with(a)
			k.text -= len(s.text)
			s.text, a.hasText = nil, false
		}
	}
}

// begin numbers a command and starts its plan.
func (k *retention) begin(t *Task) {
	if k == nil {
		return
	}
	k.serial++
	k.plans[t.plan] = plan{serial: k.serial, itt: t.ITT, lun: t.LUN}
	if k.essences != nil {
		k.essences[t.plan].take(t)
	}
}

// planOfAnswer is the plan of the command that an answer ended, nil when it was none.
func (k *retention) planOfAnswer(a *answer) *plan {
	if !a.command {
		return nil
	}
	return &k.plans[a.plan]
}

// of is the plan of a task, as far as it was brought up to date.
func (k *retention) of(t *Task) *plan { return &k.plans[t.plan] }

// planOf brings the plan of a task up to date.
func (k *retention) planOf(t *Task) *plan {
	p := k.of(t)
	p.total, p.r2ts, p.ended = t.In.Total, t.Out.r2tSN, t.Out.r2tSN-uint32(t.Out.count)
	p.sent = t.sent()
	return p
}

// sent is where the next Data-In of a task begins.
func (t *Task) sent() mark { return mark{t.In.sn + t.Out.r2tSN, t.In.Sent, t.In.burst} }

// cut is the plan of a task whose next data-in is cut by a length, which it notes if that
// is a new one.
func (k *retention) cut(t *Task, segment uint32) *plan {
	p := k.of(t)
	if p.segment == segment {
		return p
	}
	m := t.sent()
	if p.segment == 0 {
		p.acked = m
	}
	p.segment, p.from = segment, m
	return p
}

// solicit has a Data-In of a task that ends a sequence and is not the last ask for a
// DataACK.
func (k *retention) solicit(t *Task, h *pdu.Header, s Segment) {
	p := k.of(t)
	if !p.asks {
		p.asks, p.ttt = true, t.newTTT()
	}
	p.ask(h, s)
}

// ask has a Data-In that ends a sequence and is not the last ask for a DataACK: an
// acknowledgement of the status is one of all data (RFC 3720 §10.7.2 [R-10.7.2-1],
// [R-10.7.2-2]). A tag comes with a LUN (§10.7.4 [R-10.7.4-2]).
func (p *plan) ask(h *pdu.Header, s Segment) {
	if s.Final && !s.Last && p.asks {
		h.SetFlags(h.Flags() | pdu.DataAcknowledge)
		h.SetLUN(p.lun)
		pdu.AsDataIn(h).SetTTT(p.ttt)
	}
}

// PieceBytes is the grain of data-in: it is read in pieces of this size from its
// start, and no PDU holds parts of two.
const PieceBytes = 256 << 10

// next cuts the PDU at d, as it was cut when it was sent first.
func (p *plan) next(d *DataIn, maxBurst uint32) (Segment, bool) {
	end := min(uint64(d.Total), (uint64(d.Sent)/PieceBytes+1)*PieceBytes)
	return d.next(uint32(end), p.segment, maxBurst)
}

// cursor stands before the PDU with the number sn, which is not before from.
func (p *plan) cursor(sn, maxBurst uint32) DataIn {
	d := DataIn{Total: p.total, Sent: p.from.offset, burst: p.from.burst}
	for n := p.from.sn; n < sn; n++ {
		p.next(&d, maxBurst)
	}
	return d
}

// floor is the first number that may be asked for again.
func (p *plan) floor() uint32 { return max(p.acked.sn, p.ended) }
