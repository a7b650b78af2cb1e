package session

import (
	"lunar/iscsi/pdu"
	"lunar/scsi/sam"
)

// ping takes the header of a NOP-Out (RFC 3720 §10.18).
func (c *Conn) ping(h *pdu.Header, ahs []byte) Disposition {
	if h.ITT() == pdu.NoTag {
		// §10.18.1 [R-10.18.1-2]: an answer to our ping, or only an ExpStatSN; nothing
		// answers it (RFC 7143 [N-15]).
		if len(c.terminations) > 0 {
			c.terminated(pdu.AsNOPOut(h))
		}
		return Disposition{Verdict: Skip}
	}
	t, d := c.request(KindPing, h, ahs)
	if t == nil {
		return d
	}
	if h.DataBytes() == 0 {
		return Disposition{Verdict: Skip}
	}
	return Disposition{Verdict: Collect, Task: t, Bytes: uint32(h.DataBytes())}
}

// pingResponse echoes the ping data up to what the initiator can receive
// (§10.19 [R-10.19-1]).
func (c *Conn) pingResponse(t *Task, h *pdu.Header) []byte {
	c.begin(h, pdu.OpNOPIn, t.ITT)
	p := pdu.AsNOPIn(h)
	// Without a tag the LUN is reserved, so that of the request is not repeated
	// (§10 [R-10-1]).
	p.SetTTT(pdu.NoTag)
	data := t.Text[:min(len(t.Text), int(c.Params.MaxSend))]
	h.SetDataBytes(len(data))
	c.Release(t)
	c.status(p.Response)
	c.kept.attach(data)
	return data
}

// EmitPing writes a NOP-In of our own: a question with a tag, or only numbers
// (RFC 3720 §10.19 [R-10.19-2], [R-10.19.1-1]). It consumes no StatSN
// ([R-10.19.2-1]). The tag lies outside those of R2Ts.
func (c *Conn) EmitPing(h *pdu.Header, ask bool) {
	c.begin(h, pdu.OpNOPIn, pdu.NoTag)
	p := pdu.AsNOPIn(h)
	p.SetTTT(pdu.NoTag)
	if ask {
		p.SetTTT(pingTTT)
		h.SetLUN(c.LUN)
	}
	c.numbers(p.Response)
}

const pingTTT = pdu.TTT(MaxTasks << tttIndexShift)

// EmitLogoutRequest asks the initiator, on the connection that is to end, to log
// out within so many seconds (RFC 3720 §10.9.1 [R-10.9.1-1]).
func (c *Conn) EmitLogoutRequest(h *pdu.Header, seconds uint16) {
	c.State, _ = c.State.Next(T11)
	c.emitAsync(h, pdu.EventLogoutRequest, 0, 0, seconds)
}

// EmitDropping announces that this connection ends, and with it, nothing being
// retained at level 0, its tasks (RFC 3720 §10.9.1 [R-10.9.1-3]).
func (c *Conn) EmitDropping(h *pdu.Header) {
	c.emitAsync(h, pdu.EventDropping, uint16(c.CID), uint16(c.Params.DefaultTime2Wait), 0)
}

// EmitDropped announces on this connection that another one of the session is gone, and
// for how long its commands wait (RFC 3720 §10.9.1 [R-10.9.1-3], §6.1.4.3 [R-6.1.4.3-1]).
func (c *Conn) EmitDropped(h *pdu.Header, cid pdu.CID) {
	p := &c.Params
	c.emitAsync(h, pdu.EventDropping, uint16(cid), uint16(p.DefaultTime2Wait), uint16(p.DefaultTime2Retain))
}

// EmitRenegotiation asks the initiator for a Text Request within so many seconds
// (RFC 3720 §10.9.1 [R-10.9.1-4]). Its answer declares that we take data segments of
// up to maxRecv bytes from the end of that exchange on.
func (c *Conn) EmitRenegotiation(h *pdu.Header, seconds uint16, maxRecv uint32) {
	c.newRecv = maxRecv
	c.emitAsync(h, pdu.EventRenegotiate, 0, 0, seconds)
}

// emitAsync writes an Async Message (RFC 3720 §10.9).
func (c *Conn) emitAsync(h *pdu.Header, e pdu.AsyncEvent, p1, p2, p3 uint16) {
	c.begin(h, pdu.OpAsync, pdu.NoTag)
	p := pdu.AsAsync(h)
	p.SetEvent(e, 0)
	p.SetParameters(p1, p2, p3)
	// §10.9 [R-10.9-1]: it consumes a StatSN.
	c.status(p.Response)
}

// emitAsyncAbout writes an Async Message about a logical unit (RFC 7143 §11.9.3).
func (c *Conn) emitAsyncAbout(h *pdu.Header, e pdu.AsyncEvent, l sam.LUN) {
	c.begin(h, pdu.OpAsync, pdu.NoTag)
	h.SetLUN(l)
	p := pdu.AsAsync(h)
	p.SetEvent(e, 0)
	c.status(p.Response)
}
