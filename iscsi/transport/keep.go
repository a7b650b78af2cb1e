package transport

import (
	"lunar/internal/buf"
	"lunar/iscsi/serial"
	"lunar/iscsi/session"
)

// A session with recovery keeps the data-in it has sent until that is acknowledged
// (RFC 3720 §6.1.3 [R-6.1.3-1]): the buffers it was sent from, so that what goes out
// again is what went out first, whatever the medium holds by now (adr/0016).

// stagedShare is the part of the memory for reads that kept data may take of all
// connections together: a quarter.
const stagedShare = 4

// keep is the data-in that a connection keeps. Its lists are those of tasks
// (progress.kept) and of answers, by their place in the session.
type keep struct {
	pieces []piece
	// free is the first free piece; here and in all lists 0 is none, and a number one
	// more than an index.
	free  int32
	slots []int32
	// acked is how far answers were acknowledged when last looked at.
	acked serial.StatSN
	bytes int
}

// piece is one buffer and the range of its transfer.
type piece struct {
	buf         *buf.Buf
	offset, end uint32
	next        int32
}

// A piece of the chunks here is one of the session there.
const _ = uint(session.PieceBytes-chunkBytes) + uint(chunkBytes-session.PieceBytes)

// renewKeep is an empty keep for so many answers, in the memory of one that was given
// up, if that fits.
func renewKeep(old *keep, answers int, acked serial.StatSN) *keep {
	if old != nil && len(old.slots) == answers {
		old.acked = acked
		return old
	}
	k := &keep{pieces: make([]piece, 2*answers), slots: make([]int32, answers), acked: acked}
	for i := range k.pieces {
		k.pieces[i] = piece{next: k.free}
		k.free = int32(i + 1)
	}
	return k
}

// fits says whether a piece of n bytes may be kept as things are.
func (c *Conn) fits(n int) bool {
	k, s := c.keep, c.stack
	return k.free != 0 && k.bytes+n <= s.limits.KeepBytes && s.kept+n <= s.mayKeep
}

// room makes room to keep n bytes more: what is oldest goes, here or, when all
// connections together keep too much, anywhere. It is false where there is none.
func (c *Conn) room(n int) bool {
	k, s := c.keep, c.stack
	for k.free == 0 || k.bytes+n > s.limits.KeepBytes {
		if !c.yield() {
			return false
		}
	}
	for s.kept+n > s.mayKeep {
		if !s.evict() {
			return false
		}
	}
	return true
}

// keepPiece keeps a buffer of a task that was laid out to be sent, if there is room.
func (c *Conn) keepPiece(t *task, b *buf.Buf, offset, end uint32) {
	k, n := c.keep, len(b.Bytes())
	if !c.fits(n) && !c.room(n) {
		return
	}
	i := k.free
	p := &k.pieces[i-1]
	k.free = p.next
	p.buf, p.offset, p.end, p.next = b, offset, end, 0
	b.Retain()
	k.bytes += n
	c.stack.kept += n
	at := &t.kept
	for *at != 0 {
		at = &k.pieces[*at-1].next
	}
	*at = i
}

// drop gives the first piece of a list back.
func (c *Conn) drop(list *int32) {
	k := c.keep
	i := *list
	p := &k.pieces[i-1]
	n := len(p.buf.Bytes())
	p.buf.Release()
	k.bytes -= n
	c.stack.kept -= n
	*list, p.next, k.free = p.next, k.free, i
}

// dropBefore gives the pieces of a list back that end at an offset or before.
func (c *Conn) dropBefore(list *int32, offset uint32) {
	for *list != 0 && c.keep.pieces[*list-1].end <= offset {
		c.drop(list)
	}
}

func (c *Conn) dropList(list *int32) { c.dropBefore(list, ^uint32(0)) }

// yield gives up the oldest piece: of an answer, else of a task. It is false when
// there is none.
func (c *Conn) yield() bool {
	k := c.keep
	if k == nil || k.bytes == 0 {
		return false
	}
	for n := k.acked; n != c.sess.StatSN(); n = n.Next() {
		if list := &k.slots[c.sess.Slot(n)]; *list != 0 {
			c.drop(list)
			return true
		}
	}
	for i := range c.tasks {
		if list := &c.tasks[i].kept; *list != 0 {
			c.drop(list)
			return true
		}
	}
	return false
}

// evict gives up a piece of one connection after the other. It is false when none keeps
// anything.
func (s *Stack) evict() bool {
	for range s.conns {
		s.evicted = (s.evicted + 1) % len(s.conns)
		if s.conns[s.evicted].yield() {
			return true
		}
	}
	return false
}

// borrow is a buffer of the staged memory; what connections keep makes room for it.
func (s *Stack) borrow(n int) *buf.Buf {
	b := s.staged.Get(n)
	for b == nil && s.kept > 0 && s.evict() {
		b = s.staged.Get(n)
	}
	return b
}

// concluded gives what is kept of a task to its answer, which was laid out last.
func (c *Conn) concluded(t *task) {
	if t.kept == 0 {
		return
	}
	c.keep.slots[c.sess.Slot(c.sess.StatSN().Add(^uint32(0)))] = t.kept
	t.kept = 0
}

// dropKept gives everything back that answers keep.
func (c *Conn) dropKept() {
	for i := range c.keep.slots {
		c.dropList(&c.keep.slots[i])
	}
}

// acknowledged gives back what the header that came last acknowledges, and has go out
// what it lets or asks for.
func (c *Conn) acknowledged() {
	k := c.keep
	for exp := c.sess.ExpStatSN(); k.acked != exp; k.acked = k.acked.Next() {
		for list := &k.slots[c.sess.Slot(k.acked)]; *list != 0; {
			c.drop(list)
		}
	}
	if f, ok := c.sess.Freed(); ok {
		list := &k.slots[f.Slot]
		if f.Task != nil {
			list = &c.tasks[f.Task.Index()].kept
		}
		c.dropBefore(list, f.Offset)
	}
	if c.stalledAt != 0 && !c.sess.Full() {
		c.stalledAt = 0
		c.stack.touch(c)
	}
	if c.sess.Resending() {
		c.stack.touch(c)
	}
}
