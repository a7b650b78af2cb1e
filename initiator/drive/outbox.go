package drive

import "lunar/internal/buf"

// Outbox collects what a client has to send, in order: bytes that are copied into
// it, and memory that is sent from where it lies. Own and Lend may be used wherever
// the client keeps others out meanwhile; the rest is for the loop's goroutine.
type Outbox struct {
	// Own holds the copied bytes; append to it.
	Own  []byte
	lent []lent
	// handed numbers the queue that was handed out last, from 1 on; gone is the last
	// one that has left.
	handed, gone Ticket
}

// lent is memory that is sent in front of Own[at:].
type lent struct {
	at   int
	data []byte
}

// Ticket is a queue with lent memory; the zero Ticket is one that has left.
type Ticket uint64

// LendBytes is the least memory worth lending. At this size it was measured to cost
// as much as copying, which leaves the processor's cache to others; a piece of a
// send of its own costs the kernel more than copying less.
const LendBytes = 4 << 10

// Lend has data sent behind what Own holds now. It is heap memory that stays where
// it is, unchanged, until the ticket has left.
func (o *Outbox) Lend(data []byte) Ticket {
	o.lent = append(o.lent, lent{len(o.Own), data})
	return o.handed + 1
}

// Left says whether the kernel has taken everything that was lent with the ticket.
func (o *Outbox) Left(t Ticket) bool { return t <= o.gone }

// Swap hands out what was collected and keeps spent for what comes next. It is
// for Client.Queued.
func (o *Outbox) Swap(spent Queue) Queue {
	if len(o.Own) == 0 { // lent memory always has a header before it
		return spent
	}
	q := Queue{own: o.Own, lent: o.lent}
	o.Own, o.lent = spent.own, spent.lent
	o.handed++
	return q
}

// Sent counts the queue that was handed out as sent. It is for Client.Sent.
func (o *Outbox) Sent() { o.gone = o.handed }

// Abandon counts everything as sent, whatever becomes of it. It is for
// Client.Ended: the kernel holds nothing any more.
func (o *Outbox) Abandon() { o.gone = ^Ticket(0) }

// Queue is what an Outbox has handed out.
type Queue struct {
	own  []byte
	lent []lent
}

// empty says whether there is nothing to send.
func (q *Queue) empty() bool { return len(q.own) == 0 }

// reset forgets what was sent and keeps the memory of the lists.
func (q *Queue) reset() {
	clear(q.lent) // what was lent is its owner's again
	q.own, q.lent = q.own[:0], q.lent[:0]
}

// pieces appends the queue to iov as the kernel reads it.
func (q *Queue) pieces(iov []buf.Iovec) []buf.Iovec {
	at := 0
	for i := range q.lent {
		l := &q.lent[i]
		if l.at > at {
			iov = append(iov, buf.IovecOf(q.own[at:l.at]))
			at = l.at
		}
		iov = append(iov, buf.IovecOf(l.data))
	}
	if at < len(q.own) {
		iov = append(iov, buf.IovecOf(q.own[at:]))
	}
	return iov
}
