package session

import (
	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
)

// What is here follows the data of a write where recovery R2Ts ask again for what
// was damaged or is missing (RFC 3720 §6.1.4.1, §10.8 [R-10.8-7]).

// maxAttempts is how often the same data is asked for again before the command
// fails.
const maxAttempts = 5

// hole is one range of a write that has to come again. Because data comes in order
// and one R2T is in flight (§12.19 [R-12.19-2]), everything before it has come, and
// what has come behind it is one range too: a second fault makes the hole longer,
// and right data between the two comes twice.
type hole struct {
	// end is where the hole that starts at DataOut.Received ends, reached how far
	// right data behind it goes. There is no hole when end is not beyond Received.
	end, reached uint32
	// attempts are recovery R2Ts since data last came; idle is how long the burst has
	// been silent.
	attempts, idle uint8
	// lapsed: unsolicited data that still comes belongs to a burst that is over.
	lapsed bool
	// damaged says that the fault seen last was a digest, not a gap.
	damaged bool
}

// gap says whether there is a hole.
func (d *DataOut) gap() bool { return d.hole.end > d.Received }

// Reached is how far right data goes, beyond a hole too, in bytes.
func (d *DataOut) Reached() uint32 {
	if d.gap() {
		return d.hole.reached
	}
	return d.Received
}

// Within cuts the next R2T, which may ask for n bytes, to the hole if there is one.
func (d *DataOut) Within(n uint32) uint32 {
	if d.gap() {
		return min(n, d.hole.end-d.Received)
	}
	return n
}

// miss notes that the bytes from lo to hi have to come again.
func (d *DataOut) miss(lo, hi uint32, damaged bool) {
	if lo >= hi {
		return
	}
	d.hole.damaged = damaged
	if hi > d.hole.end {
		// Behind it all, or behind a hole: the answer to a recovery R2T never gets
		// beyond the hole, which stays as it is.
		d.hole.end, d.hole.reached = hi, hi
	}
}

// take notes that n bytes at an offset have come.
func (d *DataOut) take(offset, n uint32) {
	switch {
	case n == 0:
	case offset == d.Received:
		gap := d.gap()
		d.Received += n
		d.hole.attempts = 0
		if gap && !d.gap() {
			d.Received = max(d.Received, d.hole.reached)
		}
	case d.gap() && offset == d.hole.reached:
		d.hole.reached += n
	}
}

// follow takes the header of a Data-Out of a burst whose next PDU is to have the
// number *sn, begin at an offset and stay below end.
func (c *Conn) follow(t *Task, p pdu.DataOut, sn *uint32, at, end uint32) Disposition {
	offset, n := p.BufferOffset(), uint32(p.DataBytes())
	next := serial.Data(*sn)
	if p.DataSN().Less(next) {
		// It has come already. Its F has too, or the time of the burst runs out.
		return Disposition{Verdict: Skip}
	}
	c.open.kind, c.open.task, c.open.offset = openData, t, offset
	t.Out.hole.idle = 0
	if offset < at || n > end-min(end, offset) {
		if t.Out.unsolicited && offset >= at {
			t.FailData(senseUnexpectedData)
		} else {
			t.FailData(senseAmountOfData)
		}
	}
	// §6.3 [R-6.3-5]: the number counts whatever becomes of the data.
	*sn = p.DataSN().Next().Uint32()
	if t.failed || t.Phase == Aborting || n == 0 {
		return Disposition{Verdict: Skip, Task: t}
	}
	t.Out.miss(at, offset, false)
	if p.DataSN() != next && offset == at {
		// §6.8 [R-6.8-1]: a number is missing and no data; something is wrong with what
		// is here.
		t.Out.miss(offset, offset+n, false)
		return Disposition{Verdict: Skip, Task: t}
	}
	return c.put(t, offset, n)
}

// followSolicited takes a Data-Out that answers the R2T in flight.
func (c *Conn) followSolicited(t *Task, p pdu.DataOut) Disposition {
	b := t.Out.current()
	d := c.follow(t, p, &b.sn, b.offset+b.got, b.offset+b.bytes)
	if d.Task == nil {
		return d
	}
	b.got = max(b.got, p.BufferOffset()+uint32(p.DataBytes())-b.offset)
	if b.got == b.bytes && !p.Final() {
		// §10.8 [R-10.8-2]: all of it is here and the burst goes on.
		t.FailData(senseAmountOfData)
		c.open.bytes = 0
		return Disposition{Verdict: Skip, Task: t}
	}
	return d
}

// lapse ends a burst, by its F or because its time is up: what did not come of it is
// missing, and is asked for as long as there are attempts left.
func (c *Conn) lapse(t *Task) {
	o := &t.Out
	if o.unsolicited {
		// Appendix E.2.3 [R-E.2.3-1]: the rest of a first burst that ends early is asked
		// for like all the rest.
		o.unsolicited = false
	} else if o.count > 0 {
		b := o.current()
		if !t.failed {
			o.miss(b.offset+b.got, b.offset+b.bytes, false)
		}
		o.endBurst()
	}
	o.hole.idle = 0
	if o.gap() && o.Received < o.Total && o.hole.attempts == maxAttempts {
		if o.hole.damaged {
			t.FailData(senseServiceCRC)
		}
		t.FailData(senseAmountOfData)
	}
}

// A burst that is silent for this long is over: ticks of the transport, of which one
// in which no data came for any command counts as much as four others, when the
// initiator has something else to send.
const (
	lateTicks = 12
	quietTick = 4
)

// Quiet says whether no Data-Out came since it was asked last.
func (c *Conn) Quiet() bool {
	quiet := !c.dataCame
	c.dataCame = false
	return quiet
}

// Late is told of each tick in which a task owed data and none of it was being
// received. It is true when that was one too many: then its burst is over, and what is
// missing is asked for again, or the task has failed (RFC 3720 §6.1.4.1
// [R-6.1.4.1-1], §10.8 [R-10.8-5]).
func (c *Conn) Late(t *Task, quiet bool) bool {
	o := &t.Out
	if t.Kind != KindSCSI || t.Phase == Aborting || !o.Owed() || c.remedy(lateData) != askAgain {
		return false
	}
	o.hole.idle++
	if quiet {
		o.hole.idle += quietTick - 1
	}
	if o.hole.idle < lateTicks {
		return false
	}
	o.hole.lapsed = o.hole.lapsed || o.unsolicited
	c.lapse(t)
	return true
}
