package transport

import (
	"lunar/iscsi/pdu"
	"lunar/iscsi/session"
	"lunar/reactor"
)

// flush sends what a connection has to say, unless a send is under way.
func (c *Conn) flush() bool {
	if c.phase == closing || c.phase == gone || c.phase == parked || c.flying != nil {
		return false
	}
	if c.phase == fullFeature {
		c.knock()
		c.pump()
	}
	if c.build == nil || c.build.n == 0 {
		return false
	}
	c.flying, c.build = c.build, nil
	c.send()
	return true
}

func (c *Conn) send() {
	b := c.flying
	c.stack.loop.Submit(reactor.Op{
		Code: reactor.Send, Token: c.token(KindSend), FD: c.fd, Iov: b.iov[b.sent:b.v],
	})
}

// sent takes the end of a send: what is left of it goes on, else the next batch.
func (c *Conn) sent(result int32) {
	b := c.flying
	if result > 0 && c.phase != closing && c.phase != parked {
		c.bytesOut += uint64(result)
		n := uint64(result)
		for b.sent < b.v && n >= b.iov[b.sent].Len {
			n -= b.iov[b.sent].Len
			b.sent++
		}
		if b.sent < b.v {
			b.iov[b.sent].Advance(int(n))
			c.send()
			return
		}
	}
	c.flying = nil
	hadRead := len(b.bufs) > 0
	b.drop(c)
	c.stack.putBatch(b)
	switch {
	case c.phase == parked:
		c.vacate()
	case result <= 0 || c.phase == closing:
		c.lost("connection lost: " + syscallError(result))
	case c.phase == leaving && c.removing:
		c.park("removed for recovery")
	case c.phase == leaving && (c.build == nil || c.build.n == 0):
		c.close("done")
	default:
		if c.coldReset && len(c.queue) == 0 && (c.build == nil || c.build.n == 0) {
			// The answer is out; now every session ends, this one too.
			c.askColdReset()
		}
		c.stack.touch(c)
		if hadRead && c.hungry {
			c.resume()
		}
	}
}

// pump lays out everything that may be said now.
func (c *Conn) pump() {
	b := c.batch()
	if b == nil {
		return
	}
	var h pdu.Header
	hd, dd := c.framer.HeaderDigest, c.framer.DataDigest
	if c.keep != nil {
		for c.again(b) {
		}
	}
	for !b.full() && c.sess.Rejecting() && c.mayAnswer() {
		data, _ := c.sess.EmitReject(&h)
		b.add(&h, nil, data, hd, dd)
	}
	if c.wantsPing && !b.full() {
		c.wantsPing = false
		c.sess.EmitPing(&h, true)
		b.add(&h, nil, nil, hd, dd)
	}
	if c.wantsLogout && !b.full() && c.mayAnswer() {
		c.wantsLogout = false
		c.sess.EmitLogoutRequest(&h, logoutSeconds)
		b.add(&h, nil, nil, hd, dd)
	}
	if c.newRecv != 0 && !b.full() && c.mayAnswer() {
		c.sess.EmitRenegotiation(&h, renegotiateSeconds, c.newRecv)
		c.newRecv = 0
		b.add(&h, nil, nil, hd, dd)
	}
	for len(c.dropped) > 0 && !b.full() && c.mayAnswer() {
		c.sess.EmitDropped(&h, c.dropped[0])
		c.dropped = c.dropped[1:]
		b.add(&h, nil, nil, hd, dd)
	}
	for c.sess.Terminating() && !b.full() && c.mayAnswer() {
		c.sess.EmitTermination(&h)
		b.add(&h, nil, nil, hd, dd)
	}
	n := 0
	for n < len(c.queue) && !b.full() && c.mayAnswer() {
		t := c.queue[n]
		if !c.emit(t, b) {
			// The batch is full; the task goes on in the next one.
			break
		}
		t.queued = false
		n++
		if t.ended {
			t.ended = false
			c.over(t)
		}
	}
	c.queue = append(c.queue[:0], c.queue[n:]...)
	if b.n == 0 && c.sess.WindowUntold() {
		c.sess.EmitPing(&h, false)
		b.add(&h, nil, nil, hd, dd)
	}
	if !c.mayAnswer() {
		c.stall(b)
	}
	if len(c.fences) > 0 {
		c.pass()
	}
	c.farewells(b)
}

// farewells puts the last words of a connection into the batch.
func (c *Conn) farewells(b *batch) {
	if c.goodbye && !b.full() {
		var h pdu.Header
		c.sess.EmitDropping(&h)
		b.add(&h, nil, nil, c.framer.HeaderDigest, c.framer.DataDigest)
		c.goodbye = false
		c.leave()
	}
	if c.sess.LoggedOut() {
		// RFC 3720 §10.14 [R-10.14-3]: the Logout Response, then FIN.
		c.leave()
	}
}

// askColdReset has every session of the target closed (RFC 3720 §10.5.1
// [R-10.5.1-12]).
func (c *Conn) askColdReset() {
	c.coldReset = false
	c.stack.keeper.ColdReset(c.sess.Identity.Target)
}

// emit writes what a task has to say: R2Ts, data, its response. It is false when
// the batch is full before the task has said it all; ended is set when the task
// has said its last.
func (c *Conn) emit(t *task, b *batch) bool {
	var h pdu.Header
	hd, dd := c.framer.HeaderDigest, c.framer.DataDigest
	if t.s.Phase == session.Aborting || c.sess.Fences() && t.s.Phase == session.Responding && !c.mayPass(t) {
		return true
	}
	for t.s.Phase == session.Running && t.s.Action != 0 && !t.s.Failed() && t.s.Out.MayAsk(c.sess.Params.MaxOutstandingR2T) {
		if b.full() {
			return false
		}
		n := c.burst(t)
		if n == 0 {
			break
		}
		c.sess.EmitR2T(t.s, &h, n)
		b.add(&h, nil, nil, hd, dd)
	}
	if !c.emitData(t, b) {
		return false
	}
	if t.ended || !t.s.MayRespond() {
		return true
	}
	if b.full() {
		return false
	}
	kind := t.s.Kind
	data := c.sess.EmitResponse(t.s, &h, b.scratch())
	c.concluded(t)
	if t.fenced {
		c.fencedOut(t)
	}
	if kind == session.KindSCSI {
		b.add(&h, data, nil, hd, dd)
	} else {
		b.add(&h, nil, data, hd, dd)
	}
	t.ended = true
	return true
}

// emitData writes the Data-In PDUs that are ready.
func (c *Conn) emitData(t *task, b *batch) bool {
	if t.s.Phase == session.Responding && t.s.Status != 0 {
		return true
	}
	hd, dd := c.framer.HeaderDigest, c.framer.DataDigest
	var h pdu.Header
	for t.s.In.Sent < t.ready {
		if b.full() {
			return false
		}
		if t.rewound {
			if c.emitKept(t, b) {
				continue
			}
			if t.s.Failed() {
				return true
			}
		}
		data, end := t.source(t.s.In.Sent)
		s, done, _ := c.sess.EmitDataIn(t.s, &h, min(end, t.ready))
		b.add(&h, data[:s.Bytes], nil, hd, dd)
		if t.s.In.Sent == end {
			c.handOver(t, b)
		}
		if done {
			c.concluded(t)
			t.ended = true
			return true
		}
	}
	return true
}

// handOver gives the memory of data that was laid out to the batch, and lets a
// long read ask for its next piece.
func (c *Conn) handOver(t *task, b *batch) {
	if t.buffer != nil {
		if c.keep != nil {
			c.keepPiece(t, t.buffer, 0, t.s.In.Total)
		}
		b.hold(t.buffer, 0)
		t.buffer = nil
		return
	}
	n := t.chunkAt(0).read
	if k := t.chunkAt(0); c.keep != nil {
		c.keepPiece(t, k.buf, k.offset, k.end())
	}
	b.hold(t.pop(), n)
	if t.s.Phase == session.Running {
		c.progressRead(t)
	}
}
