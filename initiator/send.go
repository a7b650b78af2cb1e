package initiator

import (
	"encoding/binary"

	"lunar/initiator/drive"
	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
)

// maxCDBBytes is the longest CDB an additional header segment can carry (RFC 3720
// §10.2.2.3).
const maxCDBBytes = 260

// send gives a task the next CmdSN and puts it on the wire, with the data that may go
// along (RFC 3720 §10.3). Numbers are drawn and PDUs queued under one lock, so that each
// connection has its commands in order (§3.2.2.1 [R-3.2.2.1-20]). mu is held.
func (l *link) send(t *task) {
	t.sent, t.link = true, l
	l.busy++
	t.cmdSN = l.s.cmdSN
	l.s.cmdSN = l.s.cmdSN.Next()
	l.transmit(t)
}

// transmit puts the command of a task on the wire under its number. mu is held.
func (l *link) transmit(t *task) {
	r := t.req
	h := l.blank()
	c := pdu.AsSCSICommand(h)
	h.SetOpcode(pdu.OpSCSICommand)
	h.SetLUN(r.LUN)
	h.SetITT(t.itt)
	c.SetCmdSN(t.cmdSN)
	copy(c.CDB()[:], r.CDB)
	flags := byte(r.Attribute)
	if len(r.In) > 0 {
		flags |= pdu.CommandRead
		c.SetEDTL(uint32(len(r.In)))
	}
	immediate, unsolicited := l.firstBurst(len(r.Out))
	if len(r.Out) > 0 {
		flags |= pdu.CommandWrite
		c.SetEDTL(uint32(len(r.Out)))
	}
	// RFC 3720 §10.3.1: F=0 announces unsolicited Data-Out behind the command.
	if unsolicited == immediate {
		flags |= pdu.FlagFinal
	}
	h.SetFlags(flags)
	l.putData(t, h, r.segments(), r.Out[:immediate])
	if unsolicited > immediate {
		l.sendData(t, pdu.NoTag, immediate, unsolicited)
	}
	t.wrote = unsolicited
}

// firstBurst says how many bytes of n go with the command and how many have gone
// before the first R2T (RFC 3720 §12.10, §12.11, §12.14).
func (l *link) firstBurst(n int) (immediate, unsolicited int) {
	p := &l.params
	if p.ImmediateData {
		immediate = min(n, int(p.FirstBurst), int(p.MaxSendDataSegmentLength))
	}
	if p.InitialR2T {
		return immediate, immediate
	}
	return immediate, min(n, int(p.FirstBurst))
}

// segments are the additional header segments: the CDB beyond 16 bytes, and how
// much a bidirectional command reads (RFC 3720 §10.2.2.3, §10.2.2.4).
func (r *Request) segments() []byte {
	var ahs []byte
	if n := len(r.CDB); n > pdu.CDBFieldBytes {
		rest := append([]byte{0}, r.CDB[pdu.CDBFieldBytes:]...)
		ahs = pdu.AppendAHS(ahs, pdu.AHS{Type: pdu.AHSExtendedCDB, Specific: rest})
	}
	if len(r.In) > 0 && len(r.Out) > 0 {
		size := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(r.In)))
		ahs = pdu.AppendAHS(ahs, pdu.AHS{Type: pdu.AHSBidiRead, Specific: size})
	}
	return ahs
}

// sendData sends Out[from:to] as one sequence of Data-Out PDUs: DataSN from 0, F on
// the last (RFC 3720 §3.2.2.3 [R-3.2.2.3-2], §10.7.1).
func (l *link) sendData(t *task, tag pdu.TTT, from, to int) {
	for sn := uint32(0); from < to; sn++ {
		n := min(to-from, int(l.params.MaxSendDataSegmentLength))
		h := l.blank()
		d := pdu.AsDataOut(h)
		h.SetOpcode(pdu.OpDataOut)
		if from+n == to {
			h.SetFlags(pdu.FlagFinal)
		}
		// RFC 3720 §10.7.4 [R-10.7.4-1]: with a tag the LUN is that of the R2T.
		if tag != pdu.NoTag {
			h.SetLUN(t.req.LUN)
		}
		h.SetITT(t.itt)
		d.SetTTT(tag)
		d.SetDataSN(serial.Data(sn))
		d.SetBufferOffset(uint32(from))
		l.putData(t, h, nil, t.req.Out[from:from+n])
		from += n
	}
}

// blank is the connection's own header, cleared: one of each send's would escape to
// the heap by way of Config.Mangle. mu is held until put has encoded it.
func (l *link) blank() *pdu.Header {
	l.scratch = pdu.Header{}
	return &l.scratch
}

// put queues one PDU, a copy of its data in it. mu is held.
func (l *link) put(h *pdu.Header, ahs, data []byte) {
	l.complete(h, ahs, data)
	if l.s.cfg.Mangle != nil {
		l.mangled(h, ahs, data)
		return
	}
	l.out.Own = appendPDU(l.out.Own, h, ahs, data, l.params.HeaderDigest, l.params.DataDigest)
}

// putData queues one PDU with data of a command, which is sent from where it lies
// when that pays. mu is held.
func (l *link) putData(t *task, h *pdu.Header, ahs, data []byte) {
	if len(data) < drive.LendBytes || !l.lends || l.s.cfg.Mangle != nil {
		l.put(h, ahs, data)
		return
	}
	l.complete(h, ahs, data)
	l.out.Own = appendHead(l.out.Own, h, ahs, l.params.HeaderDigest)
	t.lent = l.out.Lend(data)
	l.out.Own = appendTail(l.out.Own, data, l.params.DataDigest)
}

// complete writes the fields of a header that every request has. Each acknowledges
// what was received before it (RFC 3720 §3.2.2.2).
func (l *link) complete(h *pdu.Header, ahs, data []byte) {
	h.SetAHSBytes(len(ahs))
	h.SetDataBytes(len(data))
	pdu.Request{Header: h}.SetExpStatSN(l.nextStatSN)
}
