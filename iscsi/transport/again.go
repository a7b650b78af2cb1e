package transport

import (
	"lunar/internal/buf"
	"lunar/iscsi/pdu"
	"lunar/iscsi/session"
)

// again lays out the next PDU that a SNACK asks for. It is false when there is none.
func (c *Conn) again(b *batch) bool {
	if b.full() || !c.sess.Resending() {
		return false
	}
	var h pdu.Header
	a, ok := c.sess.EmitAgain(&h, b.scratch())
	if !ok {
		return false
	}
	list := &c.keep.slots[a.Slot]
	var t *task
	if a.Task != nil {
		t = &c.tasks[a.Task.Index()]
		list = &t.kept
	}
	switch {
	case a.Lost:
		c.unserved()
	case a.Rewind:
		if !c.hasKept(t, *list, a.Offset, a.Offset+a.Bytes) {
			c.unserved()
			break
		}
		c.sess.Rewind(a.Task)
		t.rewound = true
		c.enqueue(t)
	case a.Bytes > 0:
		src, offset, _ := c.keptAt(t, *list, a.Offset)
		if src == nil {
			c.unserved()
			break
		}
		b.add(&h, src.Bytes()[a.Offset-offset:][:a.Bytes], nil, c.framer.HeaderDigest, c.framer.DataDigest)
		src.Retain()
		b.hold(src, 0)
	default:
		b.add(&h, a.Inline, a.Text, c.framer.HeaderDigest, c.framer.DataDigest)
	}
	return true
}

// unserved refuses what cannot be sent again, and ends its command if that has had no
// status.
func (c *Conn) unserved() {
	if s := c.sess.Unserved(); s != nil {
		c.progress(&c.tasks[s.Index()])
	}
}

// keptAt finds the buffer of data-in at an offset, and the range of the transfer in
// it: kept, or of a task that still holds it. It is nil when it is gone.
func (c *Conn) keptAt(t *task, list int32, offset uint32) (b *buf.Buf, first, end uint32) {
	for i := list; i != 0; {
		p := &c.keep.pieces[i-1]
		if offset >= p.offset && offset < p.end {
			return p.buf, p.offset, p.end
		}
		i = p.next
	}
	if t == nil {
		return nil, 0, 0
	}
	if t.buffer != nil {
		return t.buffer, 0, t.s.In.Total
	}
	for i := range t.count {
		if k := t.chunkAt(i); k.done && offset >= k.offset && offset < k.end() {
			return k.buf, k.offset, k.end()
		}
	}
	return nil, 0, 0
}

// hasKept says whether a whole range is there.
func (c *Conn) hasKept(t *task, list int32, from, to uint32) bool {
	for from < to {
		b, _, end := c.keptAt(t, list, from)
		if b == nil {
			return false
		}
		from = end
	}
	return true
}

// emitKept lays out the next Data-In of a transfer that went back. It is false when
// the transfer is where it was before, or has failed because something is not there
// any more.
func (c *Conn) emitKept(t *task, b *batch) bool {
	at := t.s.In.Sent
	if t.buffer != nil || t.count > 0 && at >= t.chunkAt(0).offset {
		t.rewound = false
		return false
	}
	src, first, end := c.keptAt(t, t.kept, at)
	if src == nil {
		// Others needed its memory meanwhile.
		t.rewound = false
		c.sess.Spoil(t.s)
		c.progress(t)
		return false
	}
	var h pdu.Header
	s, _, _ := c.sess.EmitDataIn(t.s, &h, end)
	b.add(&h, src.Bytes()[at-first:][:s.Bytes], nil, c.framer.HeaderDigest, c.framer.DataDigest)
	src.Retain()
	b.hold(src, 0)
	return true
}

// mayAnswer says whether an answer may be given: there is room to keep it, or it is the
// last.
func (c *Conn) mayAnswer() bool { return c.keep == nil || !c.sess.Full() || c.sess.LoggingOut() }

// stall asks an initiator that acknowledges nothing for an acknowledgement. No answer
// is given until it comes, so no command ends and the command window stays where it
// is.
func (c *Conn) stall(b *batch) {
	if c.stalledAt != 0 || b.full() {
		return
	}
	c.stalledAt = max(c.stack.loop.Now(), 1)
	var h pdu.Header
	c.sess.EmitPing(&h, true)
	b.add(&h, nil, nil, c.framer.HeaderDigest, c.framer.DataDigest)
}

// watch is the tick of a connection with recovery. It is false when the connection has
// ended.
func (c *Conn) watch(now int64) (alive bool) {
	if c.stalledAt != 0 && now-c.stalledAt >= c.stack.limits.PingNanos {
		c.lost("it acknowledges nothing")
		return false
	}
	quiet := c.sess.Quiet()
	for i := range c.tasks {
		t := &c.tasks[i]
		if t.s.Kind == session.KindSCSI && t.s.Out.Owed() && !c.receivesInto(t) && c.sess.Late(t.s, quiet) {
			c.progress(t)
		}
	}
	// RFC 3720 §6.1.4.2 [R-6.1.4.2-1]: a status that was not acknowledged for a tick may
	// be lost; a NOP-In shows the next StatSN. One for each status, so that an initiator
	// that does not mind is not asked again and again.
	if exp, next := c.sess.ExpStatSN(), c.sess.StatSN(); exp != next && exp == c.ackedBefore && next != c.shown {
		c.shown, c.wantsPing = next, true
		c.stack.touch(c)
	}
	c.ackedBefore = c.sess.ExpStatSN()
	return true
}
