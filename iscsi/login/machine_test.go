package login

import (
	"fmt"
	"strings"
	"testing"

	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
)

func TestMachine_Final_CarriesHandleAndWindow(t *testing.T) {
	m := newMachine()
	h, data := request(t, "", "1>3 T InitiatorName=iqn.2026-11.test:a;TargetName=iqn.2026-11.lunar:default")
	var resp pdu.Header
	if o, _ := m.Step(pdu.AsLoginRequest(h), data, &resp); o != Admit {
		t.Fatalf("outcome %v", o)
	}
	m.Admitted(pdu.LoginSuccess, 55, m.CmdSN(), m.CmdSN().Add(31), &resp)
	r := pdu.AsLoginResponse(&resp)
	// RFC 3720 §10.12.8 [R-10.12.8-1]: 123 → 123.
	if r.ExpCmdSN() != serial.Cmd(123) || r.MaxCmdSN() != serial.Cmd(154) || r.TSIH() != 55 {
		t.Fatalf("ExpCmdSN %v MaxCmdSN %v TSIH %d", r.ExpCmdSN(), r.MaxCmdSN(), r.TSIH())
	}
}

func TestMachine_NotAdmitted_Refuses(t *testing.T) {
	m := newMachine()
	h, data := request(t, "", "1>3 T InitiatorName=iqn.2026-11.test:a;TargetName=iqn.2026-11.lunar:default")
	var resp pdu.Header
	m.Step(pdu.AsLoginRequest(h), data, &resp)
	if o, _ := m.Admitted(pdu.LoginOutOfResources, 0, m.CmdSN(), m.CmdSN(), &resp); o != Refuse || pdu.AsLoginResponse(&resp).Status() != pdu.LoginOutOfResources {
		t.Fatalf("outcome %v status %x", o, pdu.AsLoginResponse(&resp).Status())
	}
}

// TestMachine_ContinueAtEveryByte cuts one login text at each byte into two
// requests: a pair may span PDUs (RFC 3720 §5.1 [R-5.1-4]).
func TestMachine_ContinueAtEveryByte(t *testing.T) {
	h, data := request(t, "", "1>3 T InitiatorName=iqn.2026-11.test:a;TargetName=iqn.2026-11.lunar:default;MaxBurstLength=16384")
	for cut := range data {
		m := newMachine()
		var resp pdu.Header
		first := *h
		pdu.AsLoginRequest(&first).SetStages(pdu.OperationalStage, 0, false, true)
		if o, answer := m.Step(pdu.AsLoginRequest(&first), data[:cut], &resp); o != Reply || answer != nil {
			t.Fatalf("cut %d: C=1 answered %v %q", cut, o, answer)
		}
		if o, _ := m.Step(pdu.AsLoginRequest(h), data[cut:], &resp); o != Admit || m.Params().MaxBurstLength != 16384 {
			t.Fatalf("cut %d: outcome %v MaxBurstLength %d", cut, o, m.Params().MaxBurstLength)
		}
	}
}

// TestMachine_ManyUnknownKeys_StayBounded is the amplification attack: an 8 KiB
// request of tiny unknown keys must not grow into a reply of any size.
func TestMachine_ManyUnknownKeys_StayBounded(t *testing.T) {
	var b strings.Builder
	b.WriteString("InitiatorName=iqn.2026-11.test:a\x00TargetName=iqn.2026-11.lunar:default\x00")
	for i := range 2048 {
		fmt.Fprintf(&b, "A%d=\x00", i)
	}
	h, _ := request(t, "", "1>3 T")
	m := newMachine()
	var resp pdu.Header
	if o, answer := m.Step(pdu.AsLoginRequest(h), []byte(b.String()), &resp); o != Refuse || len(answer) > maxReplyBytes {
		t.Fatalf("outcome %v, %d bytes", o, len(answer))
	}
}

func TestMachine_EndlessText_IsRefused(t *testing.T) {
	h, _ := request(t, "", "1 C")
	m := newMachine()
	var resp pdu.Header
	for i := range 10 {
		o, _ := m.Step(pdu.AsLoginRequest(h), make([]byte, 4096), &resp)
		if o == Refuse {
			if i < MaxSegmentBytes/4096 {
				t.Fatalf("refused after %d", i)
			}
			return
		}
	}
	t.Fatal("text of any length is collected")
}
