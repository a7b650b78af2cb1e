package faketarget

import (
	"encoding/binary"

	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
	"lunar/scsi/sam"
)

// handle answers one request; false ends the connection.
func (c *Conn) handle(h *pdu.Header, data []byte) bool {
	if !c.full {
		return h.Opcode() == pdu.OpLoginReq && c.login(h, data)
	}
	if c.t.cfg.Lost != nil && c.t.cfg.Lost(h) {
		return true
	}
	c.t.mu.Lock()
	c.t.seen[h.Opcode()]++
	c.t.mu.Unlock()
	c.judge(h)
	if c.t.cfg.Request != nil && c.t.cfg.Request(c, h, data) {
		return true
	}
	switch h.Opcode() {
	case pdu.OpSCSICommand:
		c.command(pdu.AsSCSICommand(h), data)
	case pdu.OpDataOut:
		c.dataOut(pdu.AsDataOut(h), data)
	case pdu.OpNOPOut:
		if h.ITT() != pdu.NoTag {
			c.Answer(h, pdu.OpNOPIn, data)
		}
	case pdu.OpTaskRequest:
		c.Answer(h, pdu.OpTaskResponse, nil)
	case pdu.OpTextReq:
		c.text(h, data)
	case pdu.OpSNACK:
		c.snack(pdu.AsSNACK(h))
	case pdu.OpLogoutReq:
		c.Answer(h, pdu.OpLogoutResp, nil)
		return false
	default:
		c.t.fault("%v in the full feature phase", h.Opcode())
	}
	return true
}

// judge checks the numbers of a request (RFC 3720 §3.2.2.1, §3.2.2.2).
func (c *Conn) judge(h *pdu.Header) {
	c.mu.Lock()
	defer c.mu.Unlock()
	q := pdu.Request{Header: h}
	if c.statSN.Less(q.ExpStatSN()) {
		c.t.fault("%v acknowledges StatSN %v, next is %v", h.Opcode(), q.ExpStatSN(), c.statSN)
	}
	if h.Opcode() == pdu.OpDataOut || h.Opcode() == pdu.OpSNACK {
		return
	}
	late := h.Immediate() && c.t.cfg.Lost != nil && c.cmdSN.Less(q.CmdSN())
	if q.CmdSN() != c.cmdSN && !late {
		c.t.fault("%v with CmdSN %v instead of %v", h.Opcode(), q.CmdSN(), c.cmdSN)
	}
	if h.Immediate() {
		return
	}
	if c.closed {
		c.t.fault("CmdSN %v is beyond the window", q.CmdSN())
	}
	c.cmdSN = c.cmdSN.Next()
}

// Answer sends a plain answer to a request other than a SCSI command.
func (c *Conn) Answer(h *pdu.Header, op pdu.Opcode, data []byte) {
	var r pdu.Header
	r.SetOpcode(op)
	r.SetFlags(pdu.FlagFinal)
	r.SetITT(h.ITT())
	if op == pdu.OpNOPIn {
		pdu.AsNOPIn(&r).SetTTT(pdu.NoTag)
	}
	c.Send(&r, data, true)
}

func (c *Conn) command(q pdu.SCSICommand, data []byte) {
	cdb := q.CDB()
	switch cdb[0] {
	case 0x88:
		off, n := extent(cdb)
		c.read(q, off, n)
	case 0x8a:
		c.startWrite(q, data)
	case 0x9e:
		var b [32]byte
		binary.BigEndian.PutUint64(b[:], uint64(c.t.cfg.Blocks-1))
		binary.BigEndian.PutUint32(b[8:], BlockBytes)
		c.dataIn(q, b[:min(len(b), int(q.EDTL()))])
	case 0x12:
		c.dataIn(q, make([]byte, min(36, int(q.EDTL()))))
	case 0x00, 0x91:
		c.Status(q.Header, sam.Good, 0, 0, nil)
	default: // ILLEGAL REQUEST, 20h/00h
		c.Status(q.Header, sam.CheckCondition, pdu.ResidualUnderflow, q.EDTL(), []byte{0x70, 0, 5, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x20, 0, 0, 0, 0, 0})
	}
}

// extent is what a READ(16) or WRITE(16) names, in bytes.
func extent(cdb *[16]byte) (off, n int) {
	return int(binary.BigEndian.Uint64(cdb[2:])) * BlockBytes, int(binary.BigEndian.Uint32(cdb[10:])) * BlockBytes
}

func (c *Conn) read(q pdu.SCSICommand, off, n int) {
	if off+n > len(c.t.disk) || n != int(q.EDTL()) {
		c.t.fault("read of %d bytes at %d, EDTL %d", n, off, q.EDTL())
		n = 0
	}
	c.t.mu.Lock()
	c.medium = append(c.medium[:0], c.t.disk[off:off+n]...)
	c.t.mu.Unlock()
	c.dataIn(q, c.medium)
}

// dataIn sends data and GOOD, cut as Config and the agreed limits say.
func (c *Conn) dataIn(q pdu.SCSICommand, data []byte) {
	part := c.number("SendBytes", 8192)
	if c.t.cfg.DataInBytes > 0 {
		part = min(part, c.t.cfg.DataInBytes)
	}
	missing := q.EDTL() - uint32(len(data))
	flags := byte(0)
	if missing > 0 {
		flags = pdu.ResidualUnderflow
	}
	burst, limit := 0, c.number("MaxBurstLength", 262144)
	c.sent = 0
	part = min(part, limit)
	for sn, off := uint32(0), 0; off < len(data); sn++ {
		n := min(part, len(data)-off, limit-burst)
		burst += n
		var h pdu.Header
		d := pdu.AsDataIn(&h)
		h.SetOpcode(pdu.OpDataIn)
		h.SetITT(q.ITT())
		d.SetTTT(pdu.NoTag)
		d.SetDataSN(serial.Data(sn))
		d.SetBufferOffset(uint32(off))
		last := off+n == len(data)
		if last || burst == limit {
			h.SetFlags(pdu.FlagFinal)
			burst = 0
		}
		if last && !c.t.cfg.SeparateStatus {
			h.SetFlags(pdu.FlagFinal | pdu.DataStatus | flags)
			d.SetResidual(missing)
		}
		c.Send(&h, data[off:off+n], last && !c.t.cfg.SeparateStatus)
		c.sent++
		off += n
	}
	if c.t.cfg.SeparateStatus || len(data) == 0 {
		c.Status(q.Header, sam.Good, flags, missing, nil)
	}
	c.sent = 0
}

// Status sends a SCSI Response to the request h, with sense when there is any.
func (c *Conn) Status(h *pdu.Header, st sam.Status, flags byte, residual uint32, sense []byte) {
	var r pdu.Header
	p := pdu.AsSCSIResponse(&r)
	r.SetOpcode(pdu.OpSCSIResponse)
	r.SetFlags(pdu.FlagFinal | flags)
	r.SetITT(h.ITT())
	p.SetStatus(st)
	p.SetResidual(residual)
	p.SetExpDataSN(serial.Data(c.sent))
	var data []byte
	if len(sense) > 0 {
		data = append(binary.BigEndian.AppendUint16(nil, uint16(len(sense))), sense...)
	}
	c.Send(&r, data, true)
}
