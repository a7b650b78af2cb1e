package session

import (
	"testing"

	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
	"lunar/scsi/sam"
)

// FuzzConn plays any PDUs: no panic, no limit exceeded, and every place of the
// slab is free or live.
func FuzzConn(f *testing.F) {
	f.Add([]byte("\x01\x11\x01\x02"), byte(0))
	f.Add([]byte("\x01\x30\x01\x02\x05\x01\x01\x00\x05\x11\x01\x00"), byte(1))
	f.Add([]byte("\x04\x04\x02\x00\x04\x05\x02\x00\x04\x14\x03\x00"), byte(2))
	f.Add([]byte("\x02\x00\x01\x02\x06\x00\x03\x00\x01\x08\x05\x01"), byte(3))
	f.Add([]byte("\x41\x28\x01\x01\x41\x28\x02\x01\x42\x01\x03\x01\x00\x02\x04\x00"), byte(4))
	f.Add([]byte("\x01\x50\x01\x08\x10\x00\x01\x10\x10\x43\x01\x00\x10\x01\x07\xff"), byte(0x43))
	f.Add([]byte("\x01\x30\x21\x10\x05\x11\x01\x38\x05\x01\x01\x00\x10\x00\x01\x00"), byte(0x41))
	f.Fuzz(func(t *testing.T, script []byte, config byte) {
		s := defaults()
		s.window, s.immediate = 4, 3
		s.params.InitialR2T, s.params.ImmediateData = config&1 != 0, config&2 != 0
		s.params.FirstBurstLength, s.params.MaxBurstLength, s.params.MaxSend = 1024, 2048, 512
		s.params.MaxOutstandingR2T = uint32(config>>2&3) + 1
		s.discovery = config&16 != 0
		if config&64 != 0 && !s.discovery {
			s.params.ErrorRecoveryLevel = 1
		}
		s.records = 6
		if config&32 != 0 {
			s.cmdSN = 0xfffffffe
		}
		p := newPlay(s)
		for n := 0; len(script) >= 4 && n < 200; n++ {
			p.fuzzed(script[:4], s.cmdSN)
			script = script[4:]
			p.check(t)
			p.out = nil
		}
	})
}

var fuzzTexts = []string{"", "SendTargets=All\x00", "SendTargets=\x00", "MaxRecvDataSegmentLength=512\x00", "Send", "x", "A=b\x00"}

// fuzzed plays one PDU drawn from four bytes, near enough to the right ones that
// it gets somewhere.
func (p *play) fuzzed(b []byte, first uint32) {
	if b[0] == 0x3f && !p.dropped && !p.c.LoggingOut() {
		p.wait(b[1]&1 != 0)
		return
	}
	h := new(pdu.Header)
	h.SetOpcode(pdu.Opcode(b[0] & 0x1f))
	if b[0]&0x40 != 0 {
		h.SetImmediate()
	}
	h.SetFlags(b[1] & 0xe3)
	if b[1]&0x10 == 0 {
		h.SetFlags(h.Flags() | pdu.FlagFinal)
	}
	h.SetITT(pdu.ITT(b[2] & 7))
	size := int(b[1]>>2&3) * 512
	data := make([]byte, size)
	if h.Opcode() == pdu.OpTextReq {
		data = []byte(fuzzTexts[int(b[3])%len(fuzzTexts)])
	}
	r := pdu.Request{Header: h}
	if h.Opcode() != pdu.OpDataOut {
		// Around the expected number, with gaps and repetitions.
		r.SetCmdSN(serial.Cmd(p.c.window.exp.Uint32() + uint32(b[2]>>3&3) - uint32(b[3]>>7)))
	}
	switch h.Opcode() {
	case pdu.OpSCSICommand:
		pdu.AsSCSICommand(h).SetEDTL(uint32(b[3]) * 64)
		bytes := int64(b[3]&0x3f) * 128
		p.devices[h.ITT()] = []device{
			{action: sam.Complete},
			{action: sam.ReadMedium, bytes: bytes},
			{action: sam.WriteMedium, bytes: bytes},
			{action: sam.Execute, bytes: bytes},
			{action: sam.Execute, in: bytes},
			{action: sam.Complete, sense: 0x2400},
		}[int(b[2]>>5)%6]
		p.held[h.ITT()] = b[3]&0x40 != 0
	case pdu.OpTaskRequest:
		q := pdu.AsTaskRequest(h)
		q.SetFunction(sam.Function(b[1] & 15))
		q.SetReferencedTag(pdu.ITT(b[3] & 7))
		q.SetRefCmdSN(serial.Cmd(p.c.window.exp.Uint32() + uint32(b[3]>>3&7) - 2))
	case pdu.OpDataOut:
		q := pdu.AsDataOut(h)
		q.SetTTT(pdu.NoTag)
		if t, ok := p.c.Find(h.ITT()); ok {
			q.SetBufferOffset(t.Out.Received + uint32(b[3]>>6)*512)
			if t.Out.count > 0 && b[3]&1 == 0 {
				q.SetTTT(t.Out.current().ttt)
				q.SetDataSN(serial.Data(t.Out.current().sn))
			}
		}
	case pdu.OpSNACK:
		q := pdu.AsSNACK(h)
		q.SetType(pdu.SNACKType(b[1] & 3))
		q.SetTag([]uint32{uint32(pdu.NoTag), 7, 1, 0x10001}[b[1]>>6])
		q.SetRun(uint32(b[3]&7), uint32(b[3]>>3&3))
		if q.Type() == pdu.SNACKStatus && b[3]&0x80 != 0 {
			q.SetRun(p.c.expStatSN.Uint32()+uint32(b[3]&7), uint32(b[3]>>3&3))
		}
		if b[2]&7 == 7 {
			h.SetITT(pdu.NoTag)
		}
		r.SetExpStatSN(p.c.statSN.Add(-uint32(b[2] >> 4)))
	case pdu.OpNOPOut, pdu.OpTextReq:
		pdu.AsNOPOut(h).SetTTT(pdu.NoTag)
		if h.Opcode() == pdu.OpTextReq && b[3]&0x40 != 0 {
			pdu.AsTextRequest(h).SetTTT(p.c.text.ttt)
		}
	default:
	}
	p.take(h, nil, data, b[3]&0x38 != 0x38)
	if b[3]&0x20 != 0 && !p.dropped {
		p.release(pdu.ITT(b[2] >> 2 & 7))
	}
}
