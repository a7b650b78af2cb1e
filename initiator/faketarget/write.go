package faketarget

import (
	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
	"lunar/scsi/sam"
)

// write is a WRITE on its way: what came, and what was asked for.
type write struct {
	h     pdu.Header
	off   int
	buf   []byte
	got   int
	asked int
	r2tSN uint32
	// bursts are the sequences to come, in order: the unsolicited one first.
	bursts []burst
}

type burst struct {
	tag    pdu.TTT
	at, to int
	dataSN uint32
	// open says that the sequence may end before to: the unsolicited one.
	open bool
}

// startWrite takes a WRITE with its immediate data and expects what its F bit and
// the agreed parameters announce (RFC 3720 §10.3.1, §12.10-12.14).
func (c *Conn) startWrite(q pdu.SCSICommand, data []byte) {
	off, n := extent(q.CDB())
	if n != int(q.EDTL()) || off+n > len(c.t.disk) {
		c.t.fault("write of %d bytes at %d, EDTL %d", n, off, q.EDTL())
		return
	}
	w := &write{h: *q.Header, off: off, buf: make([]byte, n)}
	first := min(n, c.number("FirstBurstLength", 65536))
	switch {
	case len(data) > 0 && c.agreed["ImmediateData"] == "No":
		c.t.fault("immediate data although No was agreed")
	case len(data) > first:
		c.t.fault("%d bytes of immediate data, FirstBurstLength allows %d", len(data), first)
	case len(data) > c.receives():
		c.t.fault("%d bytes of immediate data, a segment holds %d", len(data), c.receives())
	}
	w.got = copy(w.buf, data)
	w.asked = w.got
	if !q.Final() {
		if c.agreed["InitialR2T"] != "No" {
			c.t.fault("unsolicited data although InitialR2T=Yes was agreed")
		}
		w.bursts = append(w.bursts, burst{tag: pdu.NoTag, at: w.got, to: first, open: true})
		w.asked = first
	}
	c.writes[q.ITT()] = w
	c.advance(w)
}

func (c *Conn) receives() int { return c.number("MaxRecvDataSegmentLength", 8192) }

// dataOut takes one Data-Out of the sequence that is due.
func (c *Conn) dataOut(d pdu.DataOut, data []byte) {
	w := c.writes[d.ITT()]
	if w == nil || len(w.bursts) == 0 {
		c.t.fault("Data-Out that nothing asked for, ITT %x", d.ITT())
		return
	}
	b := &w.bursts[0]
	switch {
	case d.TTT() != b.tag:
		c.t.fault("Data-Out with tag %x instead of %x", d.TTT(), b.tag)
	case d.DataSN().Uint32() != b.dataSN:
		c.t.fault("Data-Out with DataSN %v instead of %d", d.DataSN(), b.dataSN)
	case int(d.BufferOffset()) != b.at || b.at+len(data) > b.to:
		c.t.fault("Data-Out %d+%d in a sequence %d..%d", d.BufferOffset(), len(data), b.at, b.to)
	case len(data) > c.receives():
		c.t.fault("Data-Out of %d bytes, a segment holds %d", len(data), c.receives())
	case d.Final() != (b.at+len(data) == b.to):
		c.t.fault("Data-Out F=%v at %d of %d..%d", d.Final(), b.at+len(data), b.at, b.to)
	default:
		w.got += copy(w.buf[b.at:], data)
		b.at += len(data)
		b.dataSN++
	}
	if d.Final() {
		w.bursts = w.bursts[1:]
		c.advance(w)
	}
}

// advance asks for more, or ends the command when it has all.
func (c *Conn) advance(w *write) {
	if w.got == len(w.buf) {
		c.t.mu.Lock()
		copy(c.t.disk[w.off:], w.buf)
		c.t.mu.Unlock()
		delete(c.writes, w.h.ITT())
		c.Status(&w.h, sam.Good, 0, 0, nil)
		return
	}
	if len(w.bursts) > 0 && w.bursts[0].open {
		return
	}
	most := min(max(c.t.cfg.R2Ts, 1), c.number("MaxOutstandingR2T", 1))
	for len(w.bursts) < most && w.asked < len(w.buf) {
		c.askFor(w)
	}
}

func (c *Conn) askFor(w *write) {
	n := min(len(w.buf)-w.asked, c.number("MaxBurstLength", 262144))
	if c.t.cfg.R2TBytes > 0 {
		n = min(n, c.t.cfg.R2TBytes)
	}
	c.tag++
	w.bursts = append(w.bursts, burst{tag: c.tag, at: w.asked, to: w.asked + n})
	var h pdu.Header
	r := pdu.AsR2T(&h)
	h.SetOpcode(pdu.OpR2T)
	h.SetFlags(pdu.FlagFinal)
	h.SetLUN(w.h.LUN())
	h.SetITT(w.h.ITT())
	r.SetTTT(c.tag)
	r.SetR2TSN(serial.Data(w.r2tSN))
	r.SetBufferOffset(uint32(w.asked))
	r.SetDesiredBytes(uint32(n))
	w.asked += n
	w.r2tSN++
	c.Send(&h, nil, false)
}
