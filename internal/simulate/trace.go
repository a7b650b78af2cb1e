package simulate

import (
	"fmt"

	"lunar/iscsi/pdu"
)

// trace is the conversation of a run, one line for each PDU and event.
type trace struct{ lines []string }

// say adds a line, if anyone listens.
func (w *world) say(format string, args ...any) {
	if w.trace != nil {
		w.trace.lines = append(w.trace.lines, fmt.Sprintf("%6d ", w.step)+fmt.Sprintf(format, args...))
	}
}

// show describes a PDU in the words of the conversations of iscsi/session.
func show(h *pdu.Header) string {
	s := fmt.Sprintf("%s itt=%x flags=%02x", h.Opcode(), h.ITT(), h.Flags())
	if h.Immediate() {
		s += " I"
	}
	req, resp := pdu.Request{Header: h}, pdu.Response{Header: h}
	switch h.Opcode() {
	case pdu.OpSCSICommand:
		c := pdu.AsSCSICommand(h)
		s += fmt.Sprintf(" sn=%d edtl=%d cdb=%x lun=%x", req.CmdSN().Uint32(), c.EDTL(), c.CDB()[:], uint64(h.LUN())>>48)
	case pdu.OpDataOut:
		p := pdu.AsDataOut(h)
		s += fmt.Sprintf(" ttt=%x dsn=%d off=%d", uint32(p.TTT()), p.DataSN().Uint32(), p.BufferOffset())
	case pdu.OpTaskRequest:
		p := pdu.AsTaskRequest(h)
		s += fmt.Sprintf(" sn=%d fn=%d ref=%x refsn=%d lun=%x", req.CmdSN().Uint32(), p.Function(), p.ReferencedTag(), p.RefCmdSN().Uint32(), uint64(h.LUN())>>48)
	case pdu.OpLogoutReq:
		p := pdu.AsLogoutRequest(h)
		s += fmt.Sprintf(" sn=%d reason=%d cid=%d", req.CmdSN().Uint32(), p.Reason(), p.CID())
	case pdu.OpLoginReq:
		p := pdu.AsLoginRequest(h)
		s += fmt.Sprintf(" sn=%d tsih=%d cid=%d", req.CmdSN().Uint32(), p.TSIH(), p.CID())
	case pdu.OpSNACK:
		p := pdu.AsSNACK(h)
		first, count := p.Run()
		s += fmt.Sprintf(" type=%d tag=%x first=%d count=%d ack=%d", p.Type(), p.Tag(), first, count, req.ExpStatSN().Uint32())
	case pdu.OpNOPOut, pdu.OpTextReq:
		s += fmt.Sprintf(" sn=%d", req.CmdSN().Uint32())
	case pdu.OpDataIn:
		p := pdu.AsDataIn(h)
		s += fmt.Sprintf(" dsn=%d off=%d", p.DataSN().Uint32(), p.BufferOffset())
	case pdu.OpR2T:
		p := pdu.AsR2T(h)
		s += fmt.Sprintf(" ttt=%x r2tsn=%d off=%d want=%d", uint32(p.TTT()), p.R2TSN().Uint32(), p.BufferOffset(), p.DesiredBytes())
	case pdu.OpSCSIResponse:
		s += fmt.Sprintf(" status=%d", pdu.AsSCSIResponse(h).Status())
	case pdu.OpTaskResponse:
		s += fmt.Sprintf(" result=%d", pdu.AsTaskResponse(h).Result())
	case pdu.OpLogoutResp:
		s += fmt.Sprintf(" result=%d", pdu.AsLogoutResponse(h).Result())
	case pdu.OpLoginResp:
		p := pdu.AsLoginResponse(h)
		s += fmt.Sprintf(" status=%04x tsih=%d", uint16(p.Status()), p.TSIH())
	case pdu.OpReject:
		s += fmt.Sprintf(" reason=%d", pdu.AsReject(h).Reason())
	case pdu.OpNOPIn, pdu.OpTextResp, pdu.OpAsync:
	}
	if h.Opcode() >= pdu.OpNOPIn {
		s += fmt.Sprintf(" stat=%d win=%d..%d", resp.StatSN().Uint32(), resp.ExpCmdSN().Uint32(), resp.MaxCmdSN().Uint32())
	}
	if n := h.DataBytes(); n > 0 {
		s += fmt.Sprintf(" len=%d", n)
	}
	return s
}
