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

// send puts a task's SCSI Command on the wire, with the data that may go along
// (RFC 3720 §10.3). mu is held.
func (s *Session) send(t *task) {
	r := t.req
	t.sent = true
	t.cmdSN = s.cmdSN
	s.cmdSN = s.cmdSN.Next()

	h := s.blank()
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
	immediate, unsolicited := s.firstBurst(len(r.Out))
	if len(r.Out) > 0 {
		flags |= pdu.CommandWrite
		c.SetEDTL(uint32(len(r.Out)))
	}
	// RFC 3720 §10.3.1: F=0 announces unsolicited Data-Out behind the command.
	if unsolicited == immediate {
		flags |= pdu.FlagFinal
	}
	h.SetFlags(flags)
	s.putData(t, h, r.segments(), r.Out[:immediate])
	if unsolicited > immediate {
		s.sendData(t, pdu.NoTag, immediate, unsolicited)
	}
	t.wrote = unsolicited
}

// firstBurst says how many bytes of n go with the command and how many have gone
// before the first R2T (RFC 3720 §12.10, §12.11, §12.14).
func (s *Session) firstBurst(n int) (immediate, unsolicited int) {
	p := &s.params
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
func (s *Session) sendData(t *task, tag pdu.TTT, from, to int) {
	for sn := uint32(0); from < to; sn++ {
		n := min(to-from, int(s.params.MaxSendDataSegmentLength))
		h := s.blank()
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
		s.putData(t, h, nil, t.req.Out[from:from+n])
		from += n
	}
}

// blank is the session's own header, cleared: one of each send's would escape to
// the heap by way of Config.Mangle. mu is held until put has encoded it.
func (s *Session) blank() *pdu.Header {
	s.scratch = pdu.Header{}
	return &s.scratch
}

// put queues one PDU, a copy of its data in it. mu is held.
func (s *Session) put(h *pdu.Header, ahs, data []byte) {
	s.complete(h, ahs, data)
	if s.cfg.Mangle != nil {
		s.mangled(h, ahs, data)
		return
	}
	s.out.Own = appendPDU(s.out.Own, h, ahs, data, s.params.HeaderDigest, s.params.DataDigest)
}

// putData queues one PDU with data of a command, which is sent from where it lies
// when that pays. mu is held.
func (s *Session) putData(t *task, h *pdu.Header, ahs, data []byte) {
	if len(data) < drive.LendBytes || !s.lends || s.cfg.Mangle != nil {
		s.put(h, ahs, data)
		return
	}
	s.complete(h, ahs, data)
	s.out.Own = appendHead(s.out.Own, h, ahs, s.params.HeaderDigest)
	t.lent = s.out.Lend(data)
	s.out.Own = appendTail(s.out.Own, data, s.params.DataDigest)
}

// complete writes the fields of a header that every request has. Each acknowledges
// what was received before it (RFC 3720 §3.2.2.2).
func (s *Session) complete(h *pdu.Header, ahs, data []byte) {
	h.SetAHSBytes(len(ahs))
	h.SetDataBytes(len(data))
	pdu.Request{Header: h}.SetExpStatSN(s.nextStatSN)
}
