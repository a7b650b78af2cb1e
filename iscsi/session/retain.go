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
type retention struct {
	// answers hold the PDUs from ExpStatSN to StatSN, by StatSN modulo their number.
	answers []answer
	// last is the answer that was numbered last, nil when there was no room for it.
	last *answer
	text int
	// plans are those of the tasks, by slab index; serial is the one drawn last.
	plans  []plan
	serial uint64

	orders [maxOrders]repeat
	first  uint8
	count  uint8

	freed Freed
	// commands: what was answered may be reassigned.
	commands bool
}

// answer is a PDU that took a StatSN.
type answer struct {
	head        pdu.Header
	inline      [MaxInlineBytes]byte
	inlineBytes uint8
	text        []byte
	// plan is that of the data-in of the command it ended, essence the command where it
	// may be reassigned.
	plan    plan
	essence essence
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
	if old != nil && len(old.answers) == n && len(old.plans) == len(c.tasks) {
		clear(old.answers)
		clear(old.plans)
		*old = retention{answers: old.answers, plans: old.plans, commands: c.Parks()}
		return old
	}
	return &retention{answers: make([]answer, n), plans: make([]plan, len(c.tasks)), commands: c.Parks()}
}

func (k *retention) at(n serial.StatSN) *answer {
	return &k.answers[n.Uint32()&uint32(len(k.answers)-1)]
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
		k.last = k.at(n)
		k.last.head = *h
	}
}

// attach keeps the data segment, of the Go heap, of the answer put last.
func (k *retention) attach(text []byte) {
	if k != nil && k.last != nil {
		k.last.text = text
		k.text += len(text)
	}
}

// conclude keeps what belongs to the answer of a command: its sense, and its plan.
func (k *retention) conclude(t *Task, sense []byte) {
	if k != nil && k.last != nil {
		k.last.inlineBytes = uint8(copy(k.last.inline[:], sense))
		k.last.plan = *k.planOf(t)
		if k.commands {
			k.last.essence = essence{t.Command, t.CmdSN, t.Read, t.Write, t.EDTL, t.BidiRead}
		}
	}
}

// forget drops the answers that are acknowledged now.
func (k *retention) forget(from, to serial.StatSN) {
	for n := from; n != to; n = n.Next() {
		a := k.at(n)
		k.text -= len(a.text)
		*a = answer{}
	}
}

// begin numbers a command and starts its plan.
func (k *retention) begin(t *Task) {
	if k != nil {
		k.serial++
		k.plans[t.index] = plan{serial: k.serial, itt: t.ITT, lun: t.LUN}
	}
}

// planOf brings the plan of a task up to date.
func (k *retention) planOf(t *Task) *plan {
	p := &k.plans[t.index]
	p.total, p.r2ts, p.ended = t.In.Total, t.Out.r2tSN, t.Out.r2tSN-uint32(t.Out.count)
	p.sent = mark{t.In.sn + t.Out.r2tSN, t.In.Sent, t.In.burst}
	return p
}

// cut notes the length by which the next data-in of a task is cut, if it is a new
// one.
func (k *retention) cut(t *Task, segment uint32) {
	p := k.planOf(t)
	if p.segment == segment {
		return
	}
	if p.segment == 0 {
		p.acked = p.sent
	}
	p.segment, p.from = segment, p.sent
}

// solicit has a Data-In of a task ask for a DataACK if it is one that does.
func (k *retention) solicit(t *Task, h *pdu.Header, s Segment) {
	p := &k.plans[t.index]
	if s.Final && !s.Last && !p.asks {
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

// tagged says whether a R-Data SNACK was taken for a task.
func (k *retention) tagged(t *Task) bool { return k != nil && k.plans[t.index].tag != 0 }

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
