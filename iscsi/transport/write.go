package transport

import (
	"lunar/iscsi/session"
	"lunar/lun/blk"
	"lunar/scsi"
	"lunar/scsi/sam"
)

// placeFor finds the memory for a data segment. It is false when there is none,
// which the reservation at login and the order of R2Ts exclude.
func (c *Conn) placeFor(d session.Disposition) bool {
	t := &c.tasks[d.Task.Index()]
	if t.buffer != nil {
		c.place = t.buffer.Bytes()[d.Offset:][:d.Bytes]
		return true
	}
	// Data that comes unasked starts at 0, and only then is there no memory for it
	// yet: a piece that is complete may have gone to the medium already.
	// The start of it may be missing.
	unasked := d.Task.Phase == session.Receiving || d.Task.Out.Unsolicited()
	if unasked && d.Task.Out.Received == 0 && t.count == 0 && !c.firstChunk(t, d) {
		return false
	}
	for i := range t.count {
		k := t.chunkAt(i)
		at := int64(d.Offset) - int64(k.offset)
		if at >= 0 && at+int64(d.Bytes) <= int64(len(k.buf.Bytes())) && d.Offset < max(k.end(), k.offset+1) {
			c.place = k.buf.Bytes()[at:][:d.Bytes]
			return true
		}
	}
	return false
}

// firstChunk takes memory for everything that may come unasked.
func (c *Conn) firstChunk(t *task, d session.Disposition) bool {
	n := d.Bytes
	if d.Task.Out.Unsolicited() {
		n = d.Task.Out.Limit()
	}
	// Pieces meet at whole blocks: when unasked data ends inside one, the first R2T
	// completes it. Buffers hold whole pages, so there is always room.
	n = min((n+minUnasked-1)&^(minUnasked-1), d.Task.Out.Total)
	b := c.unaskedBuffer(int(n))
	if b == nil {
		return false
	}
	t.push(b, 0, n)
	return true
}

// write starts a write or comparison whose extent is known.
func (c *Conn) write(t *task) {
	if total := int64(t.s.Out.Total); total < t.s.Extent.Bytes && total%int64(t.unit.Info().BlockBytes) != 0 {
		// The initiator sends less than the command takes, and no whole blocks: a part
		// of one cannot be written, and GOOD would say that it was (SPC-4 0Eh/03h).
		scsi.FailExpected(&t.s.Command)
		c.conclude(t)
		return
	}
	if t.count > 0 {
		// What the initiator announced may be more than the command takes.
		k := t.chunkAt(0)
		k.bytes = min(k.bytes, t.s.Out.Total)
	}
	c.progress(t)
}

// progressWrite hands full pieces to the medium, asks for more, and ends the task
// when all of it is there.
func (c *Conn) progressWrite(t *task) {
	how := writing
	switch {
	case t.s.Action == sam.CompareMedium:
		how = comparing
	case t.s.Extent.Or:
		how = merging
	}
	for i := range t.count {
		k := t.chunkAt(i)
		// A piece goes to the medium only when it is complete and every PDU in it was
		// right (architecture §7).
		if !k.moving && !k.done && t.s.Out.Received >= k.end() {
			c.move(t, i, how)
		}
	}
	for t.count > 0 && t.chunkAt(0).done && !t.chunkAt(0).moving && !c.receivesInto(t) {
		release(t.pop())
	}
	switch {
	case t.s.Out.Complete() && t.moving == 0 && t.allMoved():
		t.s.Status = sam.Good
		c.conclude(t)
	case t.s.Out.MayAsk(c.sess.Params.MaxOutstandingR2T):
		c.enqueue(t)
	}
}

// allMoved says that no piece waits for its data.
func (t *task) allMoved() bool {
	for i := range t.count {
		if !t.chunkAt(i).done {
			return false
		}
	}
	return true
}

// receivesInto says whether the PDU being received belongs to t.
func (c *Conn) receivesInto(t *task) bool { return c.current.Task == t.s }

// nextChunk reserves memory for the next bursts before they are asked for, so
// that data which comes always has its place.
func (c *Conn) nextChunk(t *task) bool {
	if t.count == maxChunks {
		return false
	}
	offset := max(t.tail(), t.s.Out.Asked())
	n := min(t.s.Out.Total-offset, chunkBytes)
	b := c.stack.borrow(int(max(n, 1)))
	if b == nil {
		c.stack.starve(c)
		return false
	}
	t.push(b, offset, n)
	return true
}

// burst is how many bytes the next R2T may ask for; 0 when memory is missing.
func (c *Conn) burst(t *task) uint32 {
	out := &t.s.Out
	asked := out.Asked()
	limit := c.sess.Params.MaxBurstLength
	if t.buffer != nil {
		return out.Within(min(out.Total-asked, limit))
	}
	if t.s.Action == sam.Execute {
		return 0
	}
	if asked >= t.tail() && !c.nextChunk(t) {
		return 0
	}
	return out.Within(min(t.tail()-asked, limit))
}

// movedOut takes the end of what was done with the piece in a place.
func (c *Conn) movedOut(t *task, place uint8) {
	k := &t.chunks[place]
	i := (place + maxChunks - t.first) % maxChunks
	switch {
	case k.Result == blk.OK && t.s.Extent.Or && !k.merged:
		k.merged = true
		c.move(t, i, writing)
		return
	case k.Result == blk.OK && t.s.Extent.Verify && !k.written:
		// WRITE AND VERIFY (SBC-3 §5.45): it is compared where it lies.
		k.written = true
		c.move(t, i, comparing)
		return
	case k.Result == blk.OK:
		t.s.Moved(k.Length)
	case k.Result == blk.Differs:
		scsi.FailCompare(&t.s.Command, uint64(k.offset)+uint64(k.Progress))
		t.s.FailData(t.s.Sense)
	default:
		c.failMedium(t, k)
	}
	c.progress(t)
}
