package transport

import (
	"syscall"

	"lunar/digest"
	"lunar/internal/buf"
	"lunar/iscsi/login"
	"lunar/iscsi/pdu"
	"lunar/iscsi/session"
	"lunar/lun"
	"lunar/reactor"
)

// directBytes is the least rest of a data segment that is received straight into
// its place. Below it the bytes that have come anyway are copied: a receive of
// its own would cost more than the copy.
const directBytes = 32 << 10

// arm has the connection receive again at the end of this turn, behind what it has to
// send: the initiator waits for that, and not for us to listen.
func (c *Conn) arm() {
	if !c.arming {
		c.arming = true
		c.stack.arming = append(c.stack.arming, c)
	}
}

// listen asks for what comes next: the rest of a large data segment straight into
// its place, else whatever arrives.
func (c *Conn) listen() {
	c.arming = false
	if c.receiving || c.held != nil || c.phase == closing || c.phase == parked || c.phase == gone || c.phase == admitting {
		return
	}
	op := reactor.Op{Code: reactor.Recv, Token: c.token(KindRecv), FD: c.fd}
	if n := c.framer.DataLeft(); n >= directBytes && len(c.place) == n {
		op.Data, c.direct = c.place, c.place
	}
	c.receiving = true
	c.stack.loop.Submit(op)
}

// received takes the end of a receive.
func (c *Conn) received(x reactor.Completion) {
	c.receiving = false
	direct := c.direct
	c.direct = nil
	switch {
	case c.phase == parked:
		c.stack.recycle(x.Buffer)
		c.vacate()
		return
	case c.phase == closing || x.Result <= 0:
		c.stack.recycle(x.Buffer)
		// The end of the stream in the middle of anything is a connection failure; below
		// level 2 its commands end with it (RFC 3720 §6.12 [R-6.12-2]).
		c.lost(endOfStream(x.Result))
		return
	case direct != nil:
		c.bytesIn += uint64(x.Result)
		c.heard, c.pinged = c.stack.loop.Now(), false
		c.placed(direct[:x.Result])
		c.budget = turnPDUs
		c.parse(nil)
		c.knock()
	default:
		c.bytesIn += uint64(x.Result)
		c.heard, c.pinged = c.stack.loop.Now(), false
		c.held, c.heldBuffer = c.stack.loop.Received(x), x.Buffer
		c.greet()
		c.resumeParse()
	}
	c.arm()
}

// syscallError names a negative errno.
func syscallError(result int32) string { return syscall.Errno(-result).Error() }

func endOfStream(result int32) string {
	if result == 0 {
		return "closed by the initiator"
	}
	return "connection lost: " + syscallError(result)
}

// turnPDUs is how many PDUs of what a connection received a turn looks at, so that
// one with a deep queue does not keep the others waiting. One that does not fill
// it loses nothing, and neither does one alone: fewer would make more sends.
const turnPDUs = 32

// resumeParse goes on with bytes that were received, unless they must wait.
func (c *Conn) resumeParse() {
	if c.phase == admitting || c.held == nil {
		return
	}
	c.budget = turnPDUs
	rest := c.parse(c.held)
	c.knock()
	switch {
	case len(rest) == 0 || c.phase != admitting && c.budget > 0:
		c.dropHeld()
	case c.phase == admitting:
		c.held = rest
	default:
		c.held = rest
		c.stack.postpone(c)
	}
}

func (c *Conn) dropHeld() {
	c.stack.recycle(c.heldBuffer)
	c.held, c.heldBuffer = nil, reactor.NoBuffer
}

func (s *Stack) recycle(b int32) {
	if b != reactor.NoBuffer {
		s.loop.Recycle(b)
	}
}

// parse cuts p into PDUs, as many as the turn allows, and returns what it could not
// look at yet.
func (c *Conn) parse(p []byte) (rest []byte) {
	// RFC 3720 §10.14 [R-10.14-7]: nothing may come behind a Logout Request; what
	// does is thrown away.
	for c.budget > 0 && (c.phase == loggingIn || c.phase == fullFeature && !c.goodbye && !c.sess.LoggingOut()) {
		ev, used := c.framer.Next(p)
		p = p[used:]
		switch ev {
		case pdu.EventMore:
			return nil
		case pdu.EventHeader:
			c.header()
		case pdu.EventPiece:
			c.piece(c.framer.Piece())
		case pdu.EventEnd:
			c.end()
		}
	}
	return p
}

// header takes a complete header.
func (c *Conn) header() {
	h := c.framer.Header()
	c.crc, c.place, c.text, c.segment = 0, nil, nil, h.DataBytes() > 0
	if c.phase == loggingIn {
		c.loginHeader(h)
		return
	}
	if c.framer.HeaderDigest && digest.Update(0, c.framer.Covered()) != c.framer.HeaderCRC() {
		// DEVIATION [D-5]: RFC 3720 §6.7 [R-6.7-2]: with the header wrong its lengths
		// are too, and without markers nothing tells where the next PDU starts.
		c.lost("header digest error")
		return
	}
	d := c.sess.Header(h, c.framer.AHS())
	c.current = d
	if len(c.fences) > 0 {
		c.pass()
	}
	if c.lingering > 0 {
		c.reclaim()
	}
	if c.keep != nil {
		c.acknowledged()
	}
	switch d.Verdict {
	case session.Drop:
		c.violated("format error: " + h.Opcode().String())
		return
	case session.Place:
		if !c.placeFor(d) {
			c.close("no place for data")
			return
		}
	case session.Collect:
		// Pings and texts are rare and small, so their data is on the heap, within a
		// bound: a peer may send them and read no answer.
		if c.textBytes += int(d.Bytes); c.textBytes > maxTextBytes {
			c.close("too much unanswered ping and text data")
			return
		}
		c.text = make([]byte, 0, d.Bytes)
	case session.Skip:
	}
	if h.DataBytes() == 0 {
		c.end()
	}
}

// greet looks at the first byte of a connection. What is no Login Request is no
// initiator; its other bytes say nothing, not even where its header ends.
func (c *Conn) greet() {
	if c.greeted {
		return
	}
	c.greeted = true
	first := pdu.Header{c.held[0]}
	if first.Opcode() != pdu.OpLoginReq {
		// RFC 3720 §3.2.3 [R-3.2.3-4]: closed at once, without an answer.
		c.close("first PDU is no Login Request")
	}
}

// loginHeader checks the first rules of a login before its text is read.
func (c *Conn) loginHeader(h *pdu.Header) {
	switch {
	case h.Opcode() != pdu.OpLoginReq:
		var resp pdu.Header
		c.answerLogin(&resp, func() (login.Outcome, []byte) { return c.machine.Interrupted(&resp) })
	case h.DataBytes() > login.DefaultMaxRecvDataSegmentLength || h.AHSBytes() > 0:
		// §5.3 [R-5.3-13]: the default length holds during login, and a Login Request
		// has no additional header. The text is not read.
		c.close("Login Request too long")
	default:
		c.head = *h
		c.text = make([]byte, 0, h.DataBytes())
		if h.DataBytes() == 0 {
			c.end()
		}
	}
}

// maxTextBytes bounds the data of pings and texts that wait for their answers on
// one connection.
const maxTextBytes = 4 << 20

// piece takes bytes of a data segment where they lie.
func (c *Conn) piece(p []byte) {
	if c.text != nil {
		c.text = append(c.text, p...)
	}
	n := min(len(c.place), len(p))
	if c.framer.DataDigest {
		// One pass copies and computes; what has no place is only computed.
		c.crc = digest.Update(digest.Copy(c.crc, c.place, p[:n]), p[n:])
	} else {
		buf.Copy(c.place, p[:n])
	}
	c.place = c.place[n:]
}

// placed takes bytes that were received straight into place. The place may have
// been taken away meanwhile; the bytes count all the same.
func (c *Conn) placed(p []byte) {
	if c.framer.DataDigest {
		c.crc = digest.Update(c.crc, p)
	}
	if c.place != nil {
		c.place = c.place[len(p):]
	}
	c.framer.Placed(len(p))
}

// end takes the end of a PDU.
func (c *Conn) end() {
	if c.phase == loggingIn {
		c.loginRequest()
		return
	}
	intact := true
	if c.framer.DataDigest && c.segment {
		// The digest covers the padding too (RFC 3720 §12.1 [R-12.1-3]).
		intact = digest.Update(c.crc, c.framer.Padding()) == c.framer.DataCRC()
	}
	c.budget--
	d := c.current
	c.current = session.Disposition{}
	c.place = nil
	if d.Verdict == session.Collect {
		d.Task.Text = c.text
	}
	if q := c.sess.Shared(); q != nil && !q.OneCore() && d.Task != nil && d.Task.Kind == session.KindSCSI && d.Task.Phase == session.Receiving {
		d.Task.Alone = lun.Alone(&d.Task.Command)
	}
	if c.sess.End(intact) == session.Drop {
		c.violated("too many errors")
		return
	}
	if d.Task != nil {
		c.arrived(&c.tasks[d.Task.Index()])
	}
	c.start()
	if c.phase == fullFeature && c.sess.Rejecting() {
		c.stack.touch(c)
	}
}
