package session

import (
	"fmt"
	"strings"
	"testing"

	"lunar/iscsi/pdu"
)

// said renders a PDU of the target: its name with its flags, then fields.
func (p *play) said(h *pdu.Header, data []byte) {
	r := pdu.Response{Header: h}
	s := fmt.Sprintf("%s itt=%d stat=%d win=%d..%d", strings.ReplaceAll(strings.ToLower(h.Opcode().String()), " ", "-"),
		int32(h.ITT()), r.StatSN().Uint32(), r.ExpCmdSN().Uint32(), r.MaxCmdSN().Uint32())
	if h.DataBytes() != len(data) {
		panic("DataSegmentLength and the data differ")
	}
	p.listenClosely(h)
	flags := ""
	for _, f := range []struct {
		bit  byte
		name string
	}{{0x80, "F"}, {0x40, "A"}, {0x10, "o"}, {0x08, "u"}, {0x04, "O"}, {0x02, "U"}, {0x01, "S"}} {
		if h.Flags()&f.bit != 0 {
			flags += f.name
		}
	}
	s += " flags=" + flags + fmt.Sprintf(" len=%d", len(data))
	switch h.Opcode() {
	case pdu.OpDataIn:
		d := pdu.AsDataIn(h)
		s += fmt.Sprintf(" dsn=%d off=%d res=%d status=%d ttt=%x", d.DataSN().Uint32(), d.BufferOffset(), d.Residual(), d.Status(), uint32(d.TTT()))
	case pdu.OpSCSIResponse:
		d := pdu.AsSCSIResponse(h)
		s += fmt.Sprintf(" response=%d status=%d res=%d bidi=%d expdsn=%d tag=%x", d.ServiceResponse(), d.Status(), d.Residual(), d.BidiResidual(), d.ExpDataSN().Uint32(), d.SNACKTag())
		if len(data) > 2+13 {
			s += fmt.Sprintf(" sense=%x/%02x%02x", data[2+2]&0xf, data[2+12], data[2+13])
		}
	case pdu.OpR2T:
		d := pdu.AsR2T(h)
		s += fmt.Sprintf(" r2tsn=%d off=%d want=%d ttt=%x lun=%d", d.R2TSN().Uint32(), d.BufferOffset(), d.DesiredBytes(), uint32(d.TTT()), h.LUN()>>48)
	case pdu.OpReject:
		s += fmt.Sprintf(" reason=%d of=%x datasn=%d", pdu.AsReject(h).Reason(), data[0]&0x3f, pdu.AsReject(h).DataSN().Uint32())
		if pdu.Opcode(data[0]&0x3f) == pdu.OpSCSICommand {
			s += fmt.Sprintf(" ofsn=%d", pdu.Request{Header: (*pdu.Header)(data)}.CmdSN().Uint32())
		}
	case pdu.OpTaskResponse:
		s += fmt.Sprintf(" result=%d", pdu.AsTaskResponse(h).Result())
	case pdu.OpLogoutResp:
		wait, retain := pdu.AsLogoutResponse(h).Times()
		s += fmt.Sprintf(" result=%d times=%d/%d", pdu.AsLogoutResponse(h).Result(), wait, retain)
	case pdu.OpTextResp:
		s += fmt.Sprintf(" ttt=%x text=%s", uint32(pdu.AsTextResponse(h).TTT()), strings.ReplaceAll(string(data), "\x00", ";"))
	case pdu.OpNOPIn:
		s += fmt.Sprintf(" ttt=%x", uint32(pdu.AsNOPIn(h).TTT()))
	default:
	}
	p.out = append(p.out, s)
}

// check looks at what must always hold: every place of the slab is free or live.
func (p *play) check(t *testing.T) {
	t.Helper()
	s := p.c
	if len(p.faults) > 0 {
		t.Fatal(p.faults)
	}
	live := 0
	for i := range s.tasks {
		if s.tasks[i].Kind != KindFree {
			live++
			if found, ok := s.Find(s.tasks[i].ITT); !ok || found != &s.tasks[i] {
				t.Fatalf("live task %d is not in the directory", i)
			}
		}
	}
	if live+len(s.free) != len(s.tasks) || live != s.Live() {
		t.Fatalf("%d live and %d free of %d tasks", live, len(s.free), len(s.tasks))
	}
	if s.functions+s.others > s.immediate || len(p.c.rejects) > maxRejects {
		t.Fatal("a limit is exceeded")
	}
	// RFC 3720 §3.2.2.1 [R-3.2.2.1-6]: never MaxCmdSN < ExpCmdSN-1.
	w := &s.window
	if w.last.Next().Less(w.exp) || w.last.Uint32()-w.exp.Uint32()+1 > uint32(len(w.early)) {
		t.Fatalf("window %v..%v", w.exp, w.last)
	}
}
