package engine

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"lunar/initiator"
	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
	"lunar/scsi/sam"
)

// raw is a connection that says what a test wants, at the level of PDUs.
type raw struct {
	t     *testing.T
	conn  *initiator.Conn
	isid  pdu.ISID
	cid   pdu.CID
	cmdSN uint32
	itt   uint32
}

const rawInitiator = "iqn.2026-11.host:raw"

// dialRaw connects to a portal of the engine, by its number.
func dialRaw(t *testing.T, e *Engine, portal int) *raw {
	t.Helper()
	conn, err := initiator.Connect(t.Context(), e.Portals()[portal])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return &raw{t: t, conn: conn, isid: pdu.ISID{0x80, 1, 2, 3, 4, 5}, cmdSN: 123, itt: 1}
}

// login sends one Login Request from the operational stage to full feature phase.
func (r *raw) login(tsih pdu.TSIH, keys ...string) pdu.LoginResponse {
	r.t.Helper()
	h, text := r.loginRequest(tsih, keys...)
	r.send(h, text)
	p := r.receive(pdu.OpLoginResp)
	return pdu.AsLoginResponse(&p.Header)
}

func (r *raw) loginRequest(tsih pdu.TSIH, keys ...string) (h *pdu.Header, text []byte) {
	h = new(pdu.Header)
	h.SetOpcode(pdu.OpLoginReq)
	h.SetImmediate()
	q := pdu.AsLoginRequest(h)
	q.SetStages(pdu.OperationalStage, pdu.FullFeature, true, false)
	q.SetISID(r.isid)
	q.SetTSIH(tsih)
	q.SetCID(r.cid)
	q.SetCmdSN(serial.Cmd(r.cmdSN))
	return h, []byte("InitiatorName=" + rawInitiator + "\x00" + strings.Join(keys, "\x00") + "\x00")
}

// in logs in to a target and expects success.
func (r *raw) in(target string) pdu.TSIH {
	r.t.Helper()
	l := r.login(0, "TargetName="+target)
	if l.Status() != pdu.LoginSuccess || l.TSIH() == 0 {
		r.t.Fatalf("login: %v, TSIH %d", l.Status(), l.TSIH())
	}
	return l.TSIH()
}

func (r *raw) send(h *pdu.Header, data []byte) {
	r.t.Helper()
	if err := r.conn.Send(h, nil, data); err != nil {
		r.t.Fatal(err)
	}
}

func (r *raw) receive(o pdu.Opcode) *initiator.PDU {
	r.t.Helper()
	p, err := r.conn.Receive()
	if err != nil || p.Header.Opcode() != o {
		r.t.Fatalf("want %v, got %v, %v", o, p.Header.Opcode(), err)
	}
	return &p
}

// closed expects the end of the connection, behind PDUs of the kind that may come.
func (r *raw) closed(may pdu.Opcode) {
	r.t.Helper()
	for {
		p, err := r.conn.Receive()
		if err != nil {
			return
		}
		if p.Header.Opcode() != may {
			r.t.Fatalf("%v instead of the end", p.Header.Opcode())
		}
	}
}

// request starts a PDU with the next tag and number.
func (r *raw) request(o pdu.Opcode) *pdu.Header {
	h := new(pdu.Header)
	h.SetOpcode(o)
	h.SetFlags(pdu.FlagFinal)
	r.itt++
	h.SetITT(pdu.ITT(r.itt))
	q := pdu.Request{Header: h}
	q.SetCmdSN(serial.Cmd(r.cmdSN))
	if o != pdu.OpDataOut && o != pdu.OpSNACK {
		r.cmdSN++
	}
	return h
}

// ask sends a whole text and collects the whole answer, in its parts.
func (r *raw) ask(text string) (answer string, parts int) {
	r.t.Helper()
	h := r.request(pdu.OpTextReq)
	pdu.AsTextRequest(h).SetTTT(pdu.NoTag)
	r.send(h, []byte(text+"\x00"))
	for {
		p := r.receive(pdu.OpTextResp)
		x := pdu.AsTextResponse(&p.Header)
		answer += string(p.Data)
		parts++
		if p.Header.Final() != (x.TTT() == pdu.NoTag) || len(p.Data) > 8192 {
			r.t.Fatalf("final %v with tag %x, %d bytes", p.Header.Final(), uint32(x.TTT()), len(p.Data))
		}
		if p.Header.Final() {
			return strings.ReplaceAll(strings.TrimSuffix(answer, "\x00"), "\x00", " "), parts
		}
		more := r.request(pdu.OpTextReq)
		more.SetITT(h.ITT())
		pdu.AsTextRequest(more).SetTTT(x.TTT())
		more.SetLUN(p.Header.LUN())
		r.send(more, nil)
	}
}

// rejects sends a PDU that is refused with a reason, the connection going on.
func (r *raw) rejects(h *pdu.Header, data []byte, want pdu.RejectReason) {
	r.t.Helper()
	o := h.Opcode()
	r.send(h, data)
	p := r.receive(pdu.OpReject)
	if got := pdu.AsReject(&p.Header).Reason(); got != want || len(p.Data) < pdu.HeaderBytes || pdu.Opcode(p.Data[0]&0x3f) != o {
		r.t.Errorf("%v: reason %v, want %v; header % x", o, got, want, p.Data)
	}
	// The number of a refused command is not received.
	if o != pdu.OpDataOut && o != pdu.OpSNACK {
		r.cmdSN--
	}
}

// refusesText sends a text that is refused for what it says. Its number was received
// (deviation D-10).
func (r *raw) refusesText(text string) {
	r.t.Helper()
	h := r.request(pdu.OpTextReq)
	pdu.AsTextRequest(h).SetTTT(pdu.NoTag)
	r.rejects(h, []byte(text), pdu.RejectProtocolError)
	r.cmdSN++
}

// write10 begins a write of blocks of 512 bytes without data, and returns the R2T.
func (r *raw) write10(blocks byte) pdu.R2T {
	r.t.Helper()
	h := r.request(pdu.OpSCSICommand)
	h.SetFlags(pdu.FlagFinal | pdu.CommandWrite | byte(sam.Simple))
	c := pdu.AsSCSICommand(h)
	c.SetEDTL(uint32(blocks) * 512)
	copy(c.CDB()[:], []byte{0x2a, 0, 0, 0, 0, 0, 0, 0, blocks})
	r.send(h, nil)
	return pdu.AsR2T(&r.receive(pdu.OpR2T).Header)
}

// testReady is the sense code of a TEST UNIT READY.
func (r *raw) testReady(lun uint16) uint16 {
	r.t.Helper()
	h := r.request(pdu.OpSCSICommand)
	h.SetLUN(sam.LUNOf(lun))
	h.SetFlags(pdu.FlagFinal | byte(sam.Simple))
	r.send(h, nil)
	p := r.receive(pdu.OpSCSIResponse)
	if len(p.Data) < 16 {
		return 0
	}
	return uint16(p.Data[2+12])<<8 | uint16(p.Data[2+13])
}

// records splits the answer to SendTargets.
func records(answer string) []string {
	if answer == "" {
		return nil
	}
	var s []string
	for _, r := range strings.Split(answer, "TargetName=")[1:] {
		s = append(s, strings.TrimSpace(r))
	}
	return s
}

func (r *raw) String() string { return fmt.Sprintf("%x/%d", r.isid, r.cid) }
