package login

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
)

// directory is what the conversations run against.
type directory struct{}

func (directory) Find(initiator, target string) pdu.LoginStatus {
	switch {
	case target == "iqn.2026-11.lunar:removed":
		return pdu.LoginTargetRemoved
	case target != "iqn.2026-11.lunar:default":
		return pdu.LoginNotFound
	case initiator == "iqn.2026-11.test:stranger":
		return pdu.LoginForbidden
	}
	return pdu.LoginSuccess
}

func testConfig() *Config {
	return &Config{Offer: DefaultOffer(), Targets: directory{}, PortalGroupTag: 1, StatSN: serial.Stat(0xffffffff)}
}

// request builds a Login Request from a line such as
// "1>3 T itt=1 InitiatorName=a;TargetName=b".
func request(t *testing.T, where, line string) (*pdu.Header, []byte) {
	t.Helper()
	h := new(pdu.Header)
	h.SetOpcode(pdu.OpLoginReq)
	h.SetImmediate()
	h.SetITT(7)
	r := pdu.AsLoginRequest(h)
	r.SetISID(pdu.ISID{0x80, 1, 2, 3, 4, 5})
	r.SetCmdSN(serial.Cmd(123))
	var current, next int
	var transit, more bool
	var data string
	for i, w := range strings.Fields(line) {
		name, value, eq := strings.Cut(w, "=")
		n, _ := strconv.ParseUint(value, 0, 32)
		switch {
		case i == 0:
			if c, _ := fmt.Sscanf(w, "%d>%d", &current, &next); c < 1 {
				t.Fatalf("%s: stages %q", where, w)
			}
		case w == "T":
			transit = true
		case w == "C":
			more = true
		case eq && name == "itt":
			h.SetITT(pdu.ITT(n))
		case eq && name == "tsih":
			r.SetTSIH(pdu.TSIH(n))
		case eq && name == "cid":
			r.SetCID(pdu.CID(n))
		case eq && name == "min":
			r.SetVersions(byte(n), byte(n))
		default:
			data += strings.ReplaceAll(w, ";", "\x00")
			if !more {
				data += "\x00"
			}
		}
	}
	r.SetStages(pdu.Stage(current), pdu.Stage(next), transit, more)
	return h, []byte(data)
}

// show renders what the machine answered in the same notation.
func show(o Outcome, h *pdu.Header, data []byte) string {
	r := pdu.AsLoginResponse(h)
	if o == Refuse {
		return fmt.Sprintf("refuse %04x", uint16(r.Status()))
	}
	s := fmt.Sprintf("%d", r.Current())
	if r.Transit() {
		s += fmt.Sprintf(">%d T", r.Next())
	}
	s += fmt.Sprintf(" stat=%d", r.StatSN().Uint32())
	if r.TSIH() != 0 {
		s += fmt.Sprintf(" tsih=%d", r.TSIH())
	}
	if len(data) > 0 {
		s += " " + strings.ReplaceAll(strings.TrimSuffix(string(data), "\x00"), "\x00", ";")
	}
	if o == Done {
		s += " done"
	}
	return s
}

// TestConversations plays testdata/*.txt: "I-> " lines are requests, "T-> " lines
// the exact answers.
func TestConversations(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no conversations", err)
	}
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		var m *Machine
		var got []string
		title := ""
		sc := bufio.NewScanner(f)
		sc.Buffer(nil, 1<<20)
		for n := 1; sc.Scan(); n++ {
			line, where := sc.Text(), fmt.Sprintf("%s:%d", name, n)
			switch {
			case strings.HasPrefix(line, "== "):
				m, got, title = NewMachine(testConfig()), nil, line[3:]
			case strings.HasPrefix(line, "I-> "):
				h, data := request(t, where, line[4:])
				var resp pdu.Header
				o, answer := m.Step(pdu.AsLoginRequest(h), data, &resp)
				if o == Admit {
					o, answer = m.Admitted(pdu.LoginSuccess, 55, 32, &resp)
				}
				got = append(got, show(o, &resp, answer))
			case strings.HasPrefix(line, "T-> "):
				if len(got) == 0 {
					t.Fatalf("%s: no answer (%s)", where, title)
				}
				if got[0] != line[4:] {
					t.Errorf("%s: %s\n got %s\nwant %s", where, title, got[0], line[4:])
				}
				got = slices.Delete(got, 0, 1)
			}
		}
	}
}

func TestMachine_Final_CarriesHandleAndWindow(t *testing.T) {
	m := NewMachine(testConfig())
	h, data := request(t, "", "1>3 T InitiatorName=iqn.2026-11.test:a;TargetName=iqn.2026-11.lunar:default")
	var resp pdu.Header
	if o, _ := m.Step(pdu.AsLoginRequest(h), data, &resp); o != Admit {
		t.Fatalf("outcome %v", o)
	}
	m.Admitted(pdu.LoginSuccess, 55, 32, &resp)
	r := pdu.AsLoginResponse(&resp)
	// RFC 3720 §10.12.8 [R-10.12.8-1]: 123 → 123.
	if r.ExpCmdSN() != serial.Cmd(123) || r.MaxCmdSN() != serial.Cmd(154) || r.TSIH() != 55 {
		t.Fatalf("ExpCmdSN %v MaxCmdSN %v TSIH %d", r.ExpCmdSN(), r.MaxCmdSN(), r.TSIH())
	}
}

func TestMachine_NotAdmitted_Refuses(t *testing.T) {
	m := NewMachine(testConfig())
	h, data := request(t, "", "1>3 T InitiatorName=iqn.2026-11.test:a;TargetName=iqn.2026-11.lunar:default")
	var resp pdu.Header
	m.Step(pdu.AsLoginRequest(h), data, &resp)
	if o, _ := m.Admitted(pdu.LoginOutOfResources, 0, 0, &resp); o != Refuse || pdu.AsLoginResponse(&resp).Status() != pdu.LoginOutOfResources {
		t.Fatalf("outcome %v status %x", o, pdu.AsLoginResponse(&resp).Status())
	}
}

// TestMachine_ContinueAtEveryByte cuts one login text at each byte into two
// requests: a pair may span PDUs (RFC 3720 §5.1 [R-5.1-4]).
func TestMachine_ContinueAtEveryByte(t *testing.T) {
	h, data := request(t, "", "1>3 T InitiatorName=iqn.2026-11.test:a;TargetName=iqn.2026-11.lunar:default;MaxBurstLength=16384")
	for cut := range data {
		m := NewMachine(testConfig())
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
	for i := range 1500 {
		fmt.Fprintf(&b, "A%d=\x00", i)
	}
	h, _ := request(t, "", "1>3 T")
	m := NewMachine(testConfig())
	var resp pdu.Header
	if o, answer := m.Step(pdu.AsLoginRequest(h), []byte(b.String()), &resp); o != Refuse || len(answer) > maxReplyBytes {
		t.Fatalf("outcome %v, %d bytes", o, len(answer))
	}
}

func TestMachine_EndlessText_IsRefused(t *testing.T) {
	h, _ := request(t, "", "1 C")
	m := NewMachine(testConfig())
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

// FuzzMachine plays arbitrary requests: no panic, a reply that fits one PDU, and
// Done only out of Admit.
func FuzzMachine(f *testing.F) {
	f.Add(byte(0x87), byte(0), []byte("InitiatorName=iqn.a.b\x00TargetName=iqn.2026-11.lunar:default\x00"), byte(0x87), []byte(""))
	f.Add(byte(0x81), byte(0), []byte("InitiatorName=iqn.a.b\x00SessionType=Discovery\x00AuthMethod=CHAP,None\x00"), byte(0x87), []byte("HeaderDigest=CRC32C,None\x00"))
	f.Add(byte(0x44), byte(1), []byte("Initi"), byte(0x87), []byte("atorName=iqn.a.b\x00"))
	f.Fuzz(func(t *testing.T, flags1, version byte, data1 []byte, flags2 byte, data2 []byte) {
		m := NewMachine(testConfig())
		for i, d := range [][]byte{data1, data2} {
			var h, resp pdu.Header
			h.SetOpcode(pdu.OpLoginReq)
			h.SetFlags([]byte{flags1, flags2}[i])
			pdu.AsLoginRequest(&h).SetVersions(version, version)
			o, answer := m.Step(pdu.AsLoginRequest(&h), d, &resp)
			if len(answer) > maxReplyBytes || o == Done || o == 0 {
				t.Fatalf("outcome %v with %d bytes", o, len(answer))
			}
			if o == Admit && (m.Identity().Initiator == "" || m.Identity().Target == "" && !m.Identity().Discovery) {
				t.Fatal("admitted without names")
			}
			if o != Reply {
				return
			}
		}
	})
}
