package login

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"lunar/internal/conform"
	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
	"lunar/iscsi/text"
)

const names = "InitiatorName=iqn.2026-11.test:a;TargetName=iqn.2026-11.lunar:default"

// A refusal says nothing but why: stages and numbers are reserved.
func TestRefusal_Header(t *testing.T) {
	conform.Covers(t, "R-5.3.1-5", "R-10.13.4-1", "R-10.13.1-1")
	m := newMachine()
	h, data := request(t, "", "0>1 T itt=4711 tsih=0 "+names)
	var resp pdu.Header
	m.Step(pdu.AsLoginRequest(h), data, &resp)
	h, data = request(t, "", "0>1 T itt=4711 MaxBurstLength=512")
	o, answer := m.Step(pdu.AsLoginRequest(h), data, &resp)
	want := new(pdu.Header)
	want.SetOpcode(pdu.OpLoginResp)
	want.SetITT(4711)
	w := pdu.AsLoginResponse(want)
	w.SetISID(pdu.ISID{0x80, 1, 2, 3, 4, 5})
	w.SetStatus(pdu.LoginInitiatorError)
	if o != Refuse || len(answer) != 0 || resp != *want {
		t.Errorf("outcome %v, %q\n got % x\nwant % x", o, answer, resp[:], want[:])
	}
}

// Whatever versions a request names, our answers name 0 and 0; those of later
// requests of a login are not looked at.
func TestVersions_AreThoseOfTheFirstRequest(t *testing.T) {
	conform.Covers(t, "R-10.12.4-1", "R-10.13.1-1", "R-10.13.2-1", "R-10.13.2-2")
	for _, v := range [][2]byte{{0, 0}, {1, 0}, {255, 0}, {1, 1}, {255, 7}} {
		m := newMachine()
		want := Reply
		if v[1] > 0 {
			want = Refuse
		}
		for i, line := range []string{"0 " + names, "0", "0>1 T"} {
			h, data := request(t, "", line)
			r := pdu.AsLoginRequest(h)
			if r.SetVersions(v[0], v[1]); i > 0 {
				r.SetVersions(9, 8)
			}
			resp := pdu.Header{}
			o, _ := m.Step(r, data, &resp)
			a := pdu.AsLoginResponse(&resp)
			if o != want || a.VersionMax() != 0 || a.Version() != 0 || want == Refuse && a.Status() != pdu.LoginUnsupportedVersion {
				t.Fatalf("%v, request %d: outcome %v, %04x, versions %d %d", v, i, o, uint16(a.Status()), a.VersionMax(), a.Version())
			}
			if o == Refuse {
				break
			}
		}
	}
}

// CmdSN of a leading login is the number of the first command, StatSN counts the
// answers, and neither the I bit nor ExpStatSN changes anything.
func TestNumbers_OfALogin(t *testing.T) {
	conform.Covers(t, "R-10.12-1", "R-10.12.8-1", "R-10.12.9-1", "R-10.13.3-1", "R-10.13.4-1")
	conform.Trap(t, 37)
	for _, immediate := range []bool{true, false} {
		m := newMachine()
		for i, line := range []string{"0>1 T " + names, "1", "1>3 T"} {
			h, data := request(t, "", line)
			if !immediate {
				h.SetOpcode(pdu.OpLoginReq)
			}
			r := pdu.AsLoginRequest(h)
			r.SetCmdSN(serial.Cmd(0xfffffff0))
			r.SetExpStatSN(serial.Stat(uint32(i) * 12345))
			var resp pdu.Header
			o, _ := m.Step(r, data, &resp)
			a := pdu.AsLoginResponse(&resp)
			wantTSIH, wantMax := pdu.TSIH(0), serial.Cmd(0xfffffff0)
			if i == 2 {
				if o != Admit {
					t.Fatalf("outcome %v", o)
				}
				m.Admitted(pdu.LoginSuccess, 77, m.CmdSN(), m.CmdSN().Add(31), &resp)
				wantTSIH, wantMax = 77, serial.Cmd(0x0f)
			}
			if a.StatSN() != serial.Stat(uint32(0xffffffff+i)) || a.ExpCmdSN() != serial.Cmd(0xfffffff0) || a.MaxCmdSN() != wantMax || a.TSIH() != wantTSIH {
				t.Errorf("answer %d: StatSN %v ExpCmdSN %v MaxCmdSN %v TSIH %d", i, a.StatSN(), a.ExpCmdSN(), a.MaxCmdSN(), a.TSIH())
			}
		}
	}
}

// standard are the keys of RFC 3720 §12 and appendix A, RFC 7143 §13 and RFC 7144
// that an initiator may offer in a login, with a value each.
var standard = []string{
	"SessionType=Normal", "InitiatorAlias=x", "HeaderDigest=None", "DataDigest=CRC32C", "MaxConnections=1", "InitialR2T=Yes", "ImmediateData=Yes",
	"MaxRecvDataSegmentLength=512", "MaxBurstLength=16777215", "FirstBurstLength=512", "DefaultTime2Wait=0", "DefaultTime2Retain=0",
	"MaxOutstandingR2T=65535", "DataPDUInOrder=No", "DataSequenceInOrder=No", "ErrorRecoveryLevel=2", "OFMarker=No", "IFMarker=No",
	"OFMarkInt=1~65535", "IFMarkInt=1~65535", "TaskReporting=RFC3720,ResponseFence,FastAbort", "iSCSIProtocolLevel=2", "X#NodeArchitecture=x",
}

func TestStandardKeys_AreUnderstood_OneAtATime(t *testing.T) {
	conform.Covers(t, "R-10.12.10-1", "R-5.2-9", "R-9.3-1", "N-11", "N-20", "R-5.3.3-1")
	m := newMachine()
	if o, _, _ := step(t, m, "1 "+names); o != Reply {
		t.Fatal(o)
	}
	for _, kv := range standard {
		o, s, answer := step(t, m, "1 "+kv)
		key, _, _ := strings.Cut(kv, "=")
		if o != Reply || strings.Contains(answer, text.NotUnderstood) {
			t.Errorf("%s: outcome %v %04x %q", key, o, uint16(s), answer)
		}
	}
	if o, _, _ := step(t, m, "1>3 T"); o != Admit {
		t.Errorf("outcome %v", o)
	}
}

// What nobody says keeps its default, though we would offer something else.
func TestResults_ComeFromWhatWasSaid(t *testing.T) {
	conform.Covers(t, "R-5.2-5", "R-5.2-11")
	for _, line := range []string{"0>3 T " + names, "1>3 T " + names + ";MaxBurstLength=1;FirstBurstLength=x;InitialR2T=no;MaxOutstandingR2T=0"} {
		m := newMachine()
		if o, _, _ := step(t, m, line); o != Admit {
			t.Fatal(o)
		}
		// The defaults of RFC 3720 §12, of which our offer has others.
		want := Params{
			MaxConnections: 1, InitialR2T: true, ImmediateData: true, MaxBurstLength: 262144, FirstBurstLength: 65536,
			DefaultTime2Wait: 2, DefaultTime2Retain: 20, MaxOutstandingR2T: 1, DataPDUInOrder: true, DataSequenceInOrder: true,
			ProtocolLevel: 1, MaxSend: 8192, MaxRecv: m.Params().MaxRecv, // what we say of ourselves
		}
		if m.Params() != want {
			t.Errorf("%s: %+v", line, m.Params())
		}
	}
}

// Rules that bind several keys hold once all are in, in whatever order they came.
func TestIntegrity_IsCheckedAtTheEnd(t *testing.T) {
	conform.Covers(t, "R-5.2-16", "R-12.14-1", "R-12.19-2")
	conform.Trap(t, 21)
	cfg := testConfig()
	cfg.Offer.ErrorRecoveryLevel = 1
	m := NewMachine(cfg, testSource)
	for _, line := range []string{"1 " + names, "1 FirstBurstLength=65536;MaxOutstandingR2T=8", "1 MaxBurstLength=4096"} {
		step(t, m, line)
	}
	if o, _, _ := step(t, m, "1>3 T ErrorRecoveryLevel=1"); o != Admit {
		t.Fatal(o)
	}
	if p := m.Params(); p.FirstBurstLength != 4096 || p.MaxBurstLength != 4096 || p.MaxOutstandingR2T != 1 || p.ErrorRecoveryLevel != 1 {
		t.Errorf("%+v", p)
	}
	m = newMachine()
	if o, _, _ := step(t, m, "1>3 T "+names+";MaxBurstLength=512"); o != Admit || m.Params().FirstBurstLength != 512 {
		t.Errorf("outcome %v, FirstBurstLength %d, which nobody offered", o, m.Params().FirstBurstLength)
	}
}

// A simple value has at most 255 bytes; a list and the text as a whole have more.
func TestLengths_OfText(t *testing.T) {
	conform.Covers(t, "R-5.1-8", "R-5.1-9", "R-3.2.6.1-2")
	zeros := strings.Repeat("0", 252)
	long := "iqn.2026-11.lunar:" + strings.Repeat("x", 205)
	for line, want := range map[string]pdu.LoginStatus{
		names + ";MaxBurstLength=0x" + zeros + "8":                    pdu.LoginSuccess,
		names + ";MaxBurstLength=0x0" + zeros + "8":                   pdu.LoginInitiatorError,
		names + ";InitiatorAlias=" + strings.Repeat("x", 255):         pdu.LoginSuccess,
		names + ";InitiatorAlias=" + strings.Repeat("x", 256):         pdu.LoginInitiatorError,
		names + ";HeaderDigest=" + strings.Repeat("Z-x,", 500):        pdu.LoginSuccess,
		names + ";X-a=" + strings.Repeat("x", 7000):                   pdu.LoginSuccess,
		"InitiatorName=" + long + ";TargetName=" + long:               pdu.LoginNotFound, // understood
		"InitiatorName=" + long + "x;" + strings.Split(names, ";")[1]: pdu.LoginInitiatorError,
	} {
		if _, s, _ := step(t, newMachine(), "1>3 T "+line); s != want {
			t.Errorf("%.60s…: %04x, want %04x", line, uint16(s), uint16(want))
		}
	}
}

// 8192 bytes are taken in however many requests, and are one text.
func TestContinue_8192BytesInParts(t *testing.T) {
	conform.Covers(t, "R-5.1-4", "R-5.1-9", "R-5.2-2", "R-5.3.1-1")
	conform.Trap(t, 18)
	whole := strings.ReplaceAll(names, ";", "\x00") + "\x00X-long="
	whole += strings.Repeat("v", 8192-len(whole)-len("\x00MaxBurstLength=512\x00")) + "\x00MaxBurstLength=512\x00"
	for _, part := range []int{8192, 4096, 1000, 257} {
		m := newMachine()
		for at := 0; at < len(whole); at += part {
			last := at+part >= len(whole)
			line := "1 C"
			if last {
				line = "1>3 T"
			}
			h, _ := request(t, "", line)
			var resp pdu.Header
			o, answer := m.Step(pdu.AsLoginRequest(h), []byte(whole[at:min(at+part, len(whole))]), &resp)
			if !last && (o != Reply || answer != nil) || last && (o != Admit || m.Params().MaxBurstLength != 512) {
				t.Fatalf("%d bytes each, at %d: outcome %v %q", part, at, o, answer)
			}
		}
	}
}

func TestText_WithoutNUL_IsRefused(t *testing.T) {
	conform.Covers(t, "R-5.1-2")
	h, data := request(t, "", "1>3 T "+names)
	var resp pdu.Header
	if o, _ := newMachine().Step(pdu.AsLoginRequest(h), data[:len(data)-1], &resp); o != Refuse || pdu.AsLoginResponse(&resp).Status() != pdu.LoginInitiatorError {
		t.Errorf("outcome %v", o)
	}
}

func TestLogin_WithoutEnd_IsRefused(t *testing.T) {
	conform.Covers(t, "R-5.2-17", "R-6.10-1")
	m := newMachine()
	line := "1 " + names
	for i := 1; ; i++ {
		o, s, _ := step(t, m, line)
		line = "1"
		if o == Refuse {
			if i != MaxExchanges+1 || s != pdu.LoginInitiatorError {
				t.Errorf("refused by %04x after %d", uint16(s), i)
			}
			return
		}
		if i > MaxExchanges {
			t.Fatal("it never ends")
		}
	}
}

// Whatever is offered, an answer is the result of the key's rule on both sides, is
// inside the offer, and needs no answer itself; and it is what is used.
func TestAnswers_AreInsideTheOffer(t *testing.T) {
	conform.Covers(t, "R-5.2.1-4", "R-5.2.2-1", "R-5.2.2-3", "R-5.2.2-5", "R-12-2", "R-5.3-10", "R-10.13.6-1", "R-10.13.7-1")
	r := rand.New(rand.NewPCG(3, 5))
	for range 3000 {
		m := newMachine()
		offered := map[string]string{}
		line := "1>3 T " + names
		for i := range keys {
			if v := offer(r, &keys[i]); v != "" && r.IntN(2) == 0 {
				offered[keys[i].name] = v
				line += ";" + keys[i].name + "=" + v
			}
		}
		h, data := request(t, "", line)
		var resp pdu.Header
		if o, _ := m.Step(pdu.AsLoginRequest(h), data, &resp); o != Admit {
			t.Fatalf("%s: outcome %v", line, o)
		}
		_, answer := m.Admitted(pdu.LoginSuccess, 1, m.CmdSN(), m.CmdSN().Add(31), &resp)
		if pdu.AsLoginResponse(&resp).Continue() {
			t.Fatal("C with T")
		}
		judgeAnswers(t, m.Params(), offered, string(answer))
	}
}

// offer makes up a value that a key allows, "" for keys that are not offered.
func offer(r *rand.Rand, k *Key) string {
	switch {
	case k.when&inOperational == 0:
	case k.kind == kindList:
		list := append(slices.Clone(k.choices), "Z-x", "y")
		r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		return strings.Join(list[:1+r.IntN(len(list))], ",")
	case k.kind == kindAnd, k.kind == kindOr:
		return text.YesNo(r.IntN(2) == 0)
	case k.kind == kindMin, k.kind == kindMax:
		return strconv.Itoa(int(pick(r, k.min, k.max, k.min+r.Uint32N(k.max-k.min+1))))
	}
	return ""
}

func judgeAnswers(t *testing.T, p Params, offered map[string]string, answer string) {
	t.Helper()
	for kv := range strings.SplitSeq(strings.TrimSuffix(answer, "\x00"), "\x00") {
		name, v, _ := strings.Cut(kv, "=")
		if name == "MaxRecvDataSegmentLength" || name == "TargetPortalGroupTag" {
			continue // stated, and needing no answer
		}
		theirs, asked := offered[name]
		if delete(offered, name); !asked {
			t.Fatalf("%s was never offered", kv)
		}
		if why := wrong(p, name, theirs, v); why != "" {
			t.Fatalf("%s=%s was answered %s: %s", name, theirs, v, why)
		}
	}
	if len(offered) > 0 {
		t.Fatalf("no answer to %v", offered)
	}
}

// wrong says what is wrong with an answer.
func wrong(p Params, name, theirs, v string) string {
	k, _ := find([]byte(name))
	n, isNumber := text.Number([]byte(v))
	x, _ := text.Number([]byte(theirs))
	switch k.kind {
	case kindList:
		usable := slices.ContainsFunc(strings.Split(theirs, ","), func(s string) bool { return slices.Contains(k.choices, s) })
		if v == text.Reject && !usable || v != text.Reject && slices.Contains(strings.Split(theirs, ","), v) {
			return ""
		}
		return "not of the list"
	case kindAnd, kindOr:
		if k.kind == kindAnd && theirs == text.No && v != text.No || k.kind == kindOr && theirs == text.Yes && v != text.Yes {
			return "no result of the rule"
		}
		if name != "OFMarker" && name != "IFMarker" && *k.flag(&p) != (v == text.Yes) {
			return "something else is used"
		}
	case kindMin, kindMax:
		if !isNumber || k.kind == kindMin && n > x || k.kind == kindMax && n < x || n < uint64(k.min) || n > uint64(k.max) {
			return "no result of the rule"
		}
		if uint64(*k.number(&p)) != n {
			return fmt.Sprintf("%d is used", *k.number(&p))
		}
	default:
	}
	return ""
}
