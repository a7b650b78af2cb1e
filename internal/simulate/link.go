package simulate

import (
	"encoding/binary"

	"lunar/digest"
	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
	"lunar/reactor/fake"
)

// link is one connection of an initiator: bytes on their way in both directions, and
// what the connection may still say.
type link struct {
	host *host
	cid  pdu.CID
	peer *fake.Peer
	// out is what was sent and has not arrived; visible is how much of what the target
	// sent has arrived, seen how much of that was looked at.
	out           []byte
	visible, seen int
	phase         phase
	// leading: its login asks for a new session.
	leading bool
	// joined says that it was one of its session.
	joined bool
	// asked counts the logouts of it.
	asked int
	// next is the number of the next status of the target, statSN of the one its
	// initiator acts upon next: with recovery they differ, and said are all there were.
	// exp and last are the window this connection showed.
	next, statSN serial.StatSN
	said         map[serial.StatSN]*said
	exp, last    serial.CmdSN
	// anything says that every answer may come again; snacks and statusSNACKs are those
	// under way, the last of them sent at snackedAt; acked is when it acted upon an answer last, drained when all that the
	// target had sent had come; stuck that an answer is not to be had any more.
	anything             bool
	snacks, statusSNACKs int
	snackedAt            int64
	acked, drained       int64
	stuck                bool
	// recv is what we take in one data segment, maxSend what the target takes.
	recv, maxSend int
	// old is the connection in whose place it is.
	old    *link
	header bool
	data   bool
	// broke is when it was broken, 0 before.
	broke int64
	// quiet keeps bytes from moving until these steps.
	quietIn, quietOut int
	// excuse is why the target may close the connection.
	excuse string
	heard  int64
	began  int64
	// swept says that what was under way when it died has been dealt with; sweeping that
	// a logout or login about that is under way.
	swept, sweeping bool
	texting         bool
	immediate       int // immediate requests under way
	functions       int
}

type phase int

const (
	loggingIn phase = iota
	full
	// leaving: a logout was sent; nothing may follow.
	leaving
	// doomed: nobody listens, the target will close it.
	doomed
	dead
)

// send puts a PDU on its way. Numbers of the connection are filled in here.
func (l *link) send(h *pdu.Header, data []byte, fault int) {
	w := l.host.w
	if l.phase != full && h.Opcode() != pdu.OpLoginReq {
		return // it broke meanwhile
	}
	h.SetDataBytes(len(data))
	pdu.Request{Header: h}.SetExpStatSN(l.statSN)
	if w.trace != nil {
		w.say("I%d.%d-> %s", l.host.n, l.cid, show(h))
	}
	start := len(l.out)
	l.append(h, data)
	switch fault {
	case flipData:
		if l.data && len(data) > 0 {
			at := start + pdu.HeaderBytes + w.dice.below(len(data))
			if l.header {
				at += pdu.DigestBytes
			}
			l.out[at] ^= 1 << w.dice.below(8)
			w.say("   a bit of the data is damaged")
		}
	case flipHeader:
		// A damaged AHS length would only have the target wait for more.
		if at := w.dice.below(pdu.HeaderBytes); l.header && at != 4 {
			l.out[start+at] ^= 1 << w.dice.below(8)
			l.breaks()
			l.excuse, l.host.shaken = "a damaged header", l.host.shaken || !w.parks()
			w.say("   a bit of the header is damaged")
		}
	case repeat:
		l.append(h, data)
		w.say("   and again")
	}
}

// append lays out a PDU (RFC 3720 §10.2).
func (l *link) append(h *pdu.Header, data []byte) {
	l.out = append(l.out, h[:]...)
	if l.header {
		l.out = binary.LittleEndian.AppendUint32(l.out, digest.Update(0, h[:]))
	}
	if len(data) == 0 {
		return
	}
	start := len(l.out)
	l.out = append(l.out, data...)
	l.out = append(l.out, make([]byte, pdu.PadBytes(len(data)))...)
	if l.data {
		l.out = binary.LittleEndian.AppendUint32(l.out, digest.Update(0, l.out[start:]))
	}
}

// deliver lets bytes arrive at the target.
func (l *link) deliver(n int) {
	if n == 0 {
		return
	}
	l.host.w.moved = true
	l.heard = l.host.w.clock()
	l.peer.Write(l.out[:n])
	l.out = append(l.out[:0], l.out[n:]...)
}

// receive lets bytes of the target arrive, and takes what they complete.
func (l *link) receive(most int) {
	w := l.host.w
	all := l.peer.Read()
	if n := min(len(all)-l.visible, most); n > 0 {
		w.moved = true
		l.visible += n
	}
	for l.phase < doomed && w.failure == nil {
		p := all[l.seen:l.visible]
		h, data, n := l.cut(p)
		if n == 0 {
			break
		}
		l.seen += n
		w.digest = mix(w.digest ^ binary.BigEndian.Uint64(h[16:]) ^ binary.BigEndian.Uint64(h[24:]) ^ uint64(h[0]))
		if w.trace != nil {
			w.say("T%d.%d-> %s", l.host.n, l.cid, show(&h))
		}
		l.take(&h, data)
	}
	if l.seen == len(all) {
		l.drained = w.clock()
	}
	if l.phase != dead && l.visible == len(all) && l.peer.Ended() {
		l.ended()
	}
}

// cut takes the first PDU off; n is 0 when it is not complete.
func (l *link) cut(p []byte) (h pdu.Header, data []byte, n int) {
	if len(p) < pdu.HeaderBytes {
		return h, nil, 0
	}
	copy(h[:], p)
	n = pdu.HeaderBytes + h.AHSBytes()
	if l.header {
		n += pdu.DigestBytes
	}
	bytes := h.DataBytes()
	end := n
	if bytes > 0 {
		end += bytes + pdu.PadBytes(bytes)
		if l.data {
			end += pdu.DigestBytes
		}
	}
	if len(p) < end {
		return h, nil, 0
	}
	data = p[n : n+bytes]
	l.check(p, n, end, &h)
	return h, data, end
}

// check judges the digests of a PDU.
func (l *link) check(p []byte, n, end int, h *pdu.Header) {
	if l.header && binary.LittleEndian.Uint32(p[n-pdu.DigestBytes:]) != digest.Update(0, p[:n-pdu.DigestBytes]) {
		l.host.w.fail("header digest", "%s", show(h))
	}
	if l.data && end > n && binary.LittleEndian.Uint32(p[end-pdu.DigestBytes:]) != digest.Update(0, p[n:end-pdu.DigestBytes]) {
		l.host.w.fail("data digest", "%s", show(h))
	}
}

// answerPing answers a ping of the target (RFC 3720 §10.19.1).
func (l *link) answerPing(h *pdu.Header) {
	p := pdu.AsNOPIn(h)
	if p.TTT() == pdu.NoTag {
		return
	}
	var r pdu.Header
	r.SetOpcode(pdu.OpNOPOut)
	r.SetImmediate()
	r.SetFlags(pdu.FlagFinal)
	r.SetITT(pdu.NoTag)
	r.SetLUN(h.LUN())
	pdu.AsNOPOut(&r).SetTTT(p.TTT())
	pdu.Request{Header: &r}.SetCmdSN(l.host.sn)
	l.send(&r, nil, 0)
}

// rejected takes a Reject (RFC 3720 §10.17): only damaged data has one, and the request
// is sent again if its number was not received.
func (l *link) rejected(h *pdu.Header, data []byte) {
	w := l.host.w
	if len(data) < pdu.HeaderBytes {
		w.fail("reject", "%s of %x", show(h), data)
		return
	}
	bad := pdu.Header(data[:pdu.HeaderBytes])
	if bad.Opcode() == pdu.OpSNACK {
		l.refused(h, &bad)
		return
	}
	t := l.host.find(bad.ITT())
	if t == nil || !t.hurt || pdu.AsReject(h).Reason() != pdu.RejectDataDigest {
		w.fail("reject", "%s of %s", show(h), show(&bad))
		return
	}
	if bad.Opcode() != pdu.OpDataOut && t.state == open {
		// What comes again is whole.
		t.flipped, t.bursts = false, nil
		if t.op.Now != 0 {
			// Without a number of its own it is now behind functions that it was before.
			t.mayVanish = t.mayVanish || l.host.ending(t)
			l.host.uncover(t)
		}
		l.host.transmit(t, l, 0)
	}
}

// ended takes the end of a connection that the target closed.
func (l *link) ended() {
	w := l.host.w
	now := w.clock()
	if l.phase == loggingIn && now-l.began >= loginNanos || now-l.heard >= pingNanos {
		l.excuse = "time"
	}
	if l.statSN != l.next && now-l.acked >= pingNanos {
		l.excuse = "nothing was acknowledged"
	}
	w.say("   connection %d.%d was closed, excuse %q", l.host.n, l.cid, l.excuse)
	if l.excuse == "" {
		w.fail("closed", "connection %d.%d was closed without a cause", l.host.n, l.cid)
	}
	l.die()
}

// die is the end of a connection for its initiator.
func (l *link) die() {
	if l.phase != dead {
		l.phase = dead
		l.out = nil
		l.host.lost(l)
	}
}

// cutOff breaks the connection after some of the bytes under way.
func (l *link) cutOff() {
	w := l.host.w
	l.breaks()
	l.deliver(w.dice.below(len(l.out) + 1))
	if w.dice.oneIn(2) {
		l.peer.Reset()
	} else {
		l.peer.Close()
	}
	w.say("   connection %d.%d is cut", l.host.n, l.cid)
	l.die()
}
