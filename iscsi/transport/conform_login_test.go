package transport

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"lunar/internal/conform"
	"lunar/iscsi/auth"
	"lunar/iscsi/login"
	"lunar/iscsi/pdu"
	"lunar/iscsi/text"
	"lunar/scsi/sam"
)

// opcodes are all that fit the field, but that of a Login Request.
func otherOpcodes() (all []pdu.Opcode) {
	for o := range pdu.Opcode(64) {
		if o != pdu.OpLoginReq {
			all = append(all, o)
		}
	}
	return all
}

func TestFirstPDU_OtherThanLogin_IsClosedSilently(t *testing.T) {
	conform.Covers(t, "R-3.2.3-4", "R-3.2.3-2")
	conform.Trap(t, 37)
	first := map[string][]byte{
		"HTTP": []byte("GET / HTTP/1.1\r\nHost: disk.example\r\n\r\n"),
		"TLS":  {0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03},
		"SSH":  []byte("SSH-2.0-OpenSSH_9.9\r\n"),
		"ones": []byte(strings.Repeat("\xff", 200)),
		"one":  {0},
	}
	for _, o := range otherOpcodes() {
		var h, immediate pdu.Header
		h.SetOpcode(o)
		immediate = h
		immediate.SetImmediate()
		first[fmt.Sprintf("opcode %02x", byte(o))] = h[:]
		first[fmt.Sprintf("opcode %02x, immediate", byte(o))] = immediate[:]
	}
	w := newWorld(t, options{})
	for name, b := range first {
		c := w.dial()
		c.peer.Write(b)
		w.settle()
		if len(c.peer.Read()) != 0 || !c.peer.Ended() {
			t.Errorf("%s: %d bytes answered, ended %v", name, len(c.peer.Read()), c.peer.Ended())
		}
	}
	if w.stack.Live() != 0 {
		t.Errorf("%d connections stay", w.stack.Live())
	}
}

// The I bit of a Login Request says nothing: it is always immediate.
func TestLogin_WithoutImmediateBit_Works(t *testing.T) {
	conform.Covers(t, "R-10.12-1", "R-10.12.8-1")
	conform.Trap(t, 37)
	w := newWorld(t, options{})
	c := w.dial()
	h, data := c.loginRequest()
	h.SetOpcode(pdu.OpLoginReq)
	if h.Immediate() {
		t.Fatal("the request is immediate")
	}
	c.send(h, data)
	a := c.one(pdu.OpLoginResp)
	if s := pdu.AsLoginResponse(&a.h).Status(); s != pdu.LoginSuccess {
		t.Fatalf("status %04x", uint16(s))
	}
	// The first command carries the CmdSN of the login.
	c.command([]byte{0, 0, 0, 0, 0, 0}, pdu.FlagFinal, 0, nil)
	c.one(pdu.OpSCSIResponse)
}

func TestLogin_AnotherPDUInBetween_Is020b(t *testing.T) {
	conform.Covers(t, "R-3.2.3-5", "R-3.2.3-2", "R-10.13.5-3")
	w := newWorld(t, options{})
	for _, o := range otherOpcodes() {
		c := w.dial()
		c.begin()
		var h pdu.Header
		h.SetOpcode(o)
		h.SetFlags(pdu.FlagFinal)
		c.send(&h, nil)
		c.refused(pdu.LoginInvalidDuringLogin)
	}
}

// begin opens a login and leaves it open.
func (c *client) begin() {
	c.w.Helper()
	h, data := c.loginRequest()
	pdu.AsLoginRequest(h).SetStages(pdu.OperationalStage, 0, false, false)
	c.send(h, data)
	a := c.one(pdu.OpLoginResp)
	if s := pdu.AsLoginResponse(&a.h).Status(); s != pdu.LoginSuccess {
		c.w.Fatalf("status %04x", uint16(s))
	}
}

// refused takes a refusal and the end of the connection; it returns the text.
func (c *client) refused(want pdu.LoginStatus) string {
	c.w.Helper()
	a := c.one(pdu.OpLoginResp)
	r := pdu.AsLoginResponse(&a.h)
	if r.Status() != want || !c.peer.Ended() || r.Transit() || r.Current() != 0 || r.Next() != 0 || r.TSIH() != 0 {
		c.w.Errorf("status %04x, want %04x; header % x; ended %v", uint16(r.Status()), uint16(want), a.h[:], c.peer.Ended())
	}
	return string(a.data)
}

// No second login on a connection: the session ends without an answer.
func TestLogin_InFullFeature_Closes(t *testing.T) {
	conform.Covers(t, "R-3.2.3-3")
	w := newWorld(t, options{})
	c := w.login()
	c.send(c.loginRequest())
	if a := c.answers(); len(a) != 0 || !c.peer.Ended() || w.stack.Live() != 0 {
		t.Errorf("answers %s, ended %v", names(a), c.peer.Ended())
	}
}

// Every refusal ends the connection, and nothing behind it is answered.
func TestLogin_Refused_ClosesBothWays(t *testing.T) {
	conform.Covers(t, "R-10.13.5-3", "R-5.3.1-5", "R-6.10-1")
	w := newWorld(t, options{})
	for _, s := range []pdu.LoginStatus{
		pdu.LoginForbidden, pdu.LoginNotFound, pdu.LoginTargetRemoved, pdu.LoginServiceUnavailable, pdu.LoginOutOfResources, pdu.LoginTargetError,
	} {
		w.access = func(login.Query) login.Access { return login.Access{Status: s} }
		c := w.dial()
		first, again := c.wire(c.loginRequest()), c.wire(c.loginRequest())
		c.peer.Write(append(first, again...))
		if said := c.refused(s); said != "" {
			t.Errorf("%04x says %q", uint16(s), said)
		}
	}
	if w.stack.Live() != 0 || w.stack.Stats().LoggedIn != 0 {
		t.Errorf("%d connections, %d sessions", w.stack.Live(), w.stack.Stats().LoggedIn)
	}
}

func TestLogin_Redirected_SaysWhere(t *testing.T) {
	conform.Covers(t, "R-10.13.5-1", "R-12.8-2", "R-12.8-1", "R-5.3.1-1")
	w := newWorld(t, options{})
	var asked []login.Query
	w.access = func(q login.Query) login.Access {
		asked = append(asked, q)
		return login.Access{Status: pdu.LoginMovedTemporarily, Addresses: []string{"192.0.2.9:3260", "[2001:db8::9]:3261"}}
	}
	c := w.dial()
	c.send(c.loginRequest())
	if said := c.refused(pdu.LoginMovedTemporarily); said != "TargetAddress=192.0.2.9:3260\x00TargetAddress=[2001:db8::9]:3261\x00" {
		t.Errorf("said %q", said)
	}
	if len(asked) != 1 || asked[0] != (login.Query{Initiator: "iqn.2026-11.test:a", Target: testTarget, Source: netip.MustParseAddr("192.0.2.77")}) {
		t.Errorf("asked %+v", asked)
	}
}

// However many bytes of a first PDU come, silence ends by the clock.
func TestLogin_SilenceAnywhere_EndsInTime(t *testing.T) {
	conform.Covers(t, "R-3.2.3-3")
	conform.Trap(t, 37)
	w := newWorld(t, options{limits: func(l *Limits) { l.Connections = 128 }})
	var all []*client
	for n := range 60 {
		c := w.dial()
		c.peer.Write(c.wire(c.loginRequest())[:n*2])
		all = append(all, c)
	}
	w.pass(w.stack.limits.LoginNanos * 9 / 10)
	for n, c := range all {
		if c.peer.Ended() {
			t.Errorf("%d bytes: closed before its time", n*2)
		}
	}
	w.pass(w.stack.limits.LoginNanos / 2)
	for n, c := range all {
		if !c.peer.Ended() || len(c.peer.Read()) != 0 {
			t.Errorf("%d bytes: ended %v, %d bytes answered", n*2, c.peer.Ended(), len(c.peer.Read()))
		}
	}
}

// While login lasts a data segment has at most 8192 bytes, and no additional header.
func TestLogin_SegmentLimit(t *testing.T) {
	conform.Covers(t, "R-5.3-13", "R-5.1-9")
	w := newWorld(t, options{})
	for n, wants := range map[int]bool{8192: true, 8196: false} {
		c := w.dial()
		h, data := c.loginRequest()
		pad := n - len(data) - len("X-a=\x00")
		data = append(data, "X-a="+strings.Repeat("v", pad)+"\x00"...)
		c.send(h, data)
		a := c.answers()
		if taken := len(a) == 1 && pdu.AsLoginResponse(&a[0].h).Status() == pdu.LoginSuccess; taken != wants || c.peer.Ended() == wants {
			t.Errorf("%d bytes: answers %s, ended %v", n, names(a), c.peer.Ended())
		}
	}
	c := w.dial()
	h, _ := c.loginRequest()
	h.SetAHSBytes(8)
	c.peer.Write(append(h[:], make([]byte, 8)...))
	if a := c.answers(); len(a) != 0 || !c.peer.Ended() {
		t.Errorf("with an additional header: answers %s", names(a))
	}
}

// A login in requests of few bytes, on a wire that cuts them anywhere.
func TestLogin_InManyParts(t *testing.T) {
	conform.Covers(t, "R-5.1-4", "R-5.2-2")
	conform.Trap(t, 18)
	for part := 1; part < 40; part += 3 {
		w := newWorld(t, options{cut: true, seed: uint64(part)})
		c := w.dial()
		h, data := c.loginRequest("X-long=" + strings.Repeat("ä", part*8))
		r := pdu.AsLoginRequest(h)
		for len(data) > part*8 {
			r.SetStages(pdu.OperationalStage, 0, false, true)
			c.send(h, data[:part*8-1])
			data = data[part*8-1:]
			a := c.one(pdu.OpLoginResp)
			if p := pdu.AsLoginResponse(&a.h); len(a.data) != 0 || p.Transit() || p.Continue() || p.Status() != 0 {
				t.Fatalf("C=1 was answered by % x %q", a.h[:], a.data)
			}
		}
		r.SetStages(pdu.OperationalStage, pdu.FullFeature, true, false)
		c.send(h, data)
		a := c.one(pdu.OpLoginResp)
		if pdu.AsLoginResponse(&a.h).TSIH() == 0 || !strings.Contains(string(a.data), "X-long=NotUnderstood\x00") {
			t.Errorf("parts of %d: %q", part*8-1, a.data)
		}
	}
}

// guard makes every target of the world demand a proof, of discovery too.
func (w *world) guard() {
	p := &auth.Policy{
		Users:  []auth.Credentials{{Name: "user", Secret: []byte("the user's own secret")}},
		Mutual: &auth.Credentials{Name: "target", Secret: []byte("the target's own secret")},
	}
	w.must(p.Check())
	w.access = func(login.Query) login.Access { return login.Access{Auth: p} }
	w.portal.Login.Node = auth.Node{Key: [16]byte{1}, Chance: func(b []byte) { copy(b, w.bytesOf(len(b))) }}
}

// say sends one Login Request and returns the answer.
func (c *client) say(current, next pdu.Stage, transit bool, data string) answer {
	c.w.Helper()
	h, _ := c.loginRequest()
	pdu.AsLoginRequest(h).SetStages(current, next, transit, false)
	c.send(h, []byte(data))
	return c.one(pdu.OpLoginResp)
}

const whoAndCHAP = "InitiatorName=iqn.2026-11.test:a\x00TargetName=" + testTarget + "\x00AuthMethod=CHAP\x00"

func value(data []byte, key string) string {
	for kv := range strings.SplitSeq(string(data), "\x00") {
		if k, v, _ := strings.Cut(kv, "="); k == key {
			return v
		}
	}
	return ""
}

func TestLogin_CHAP_OverTheWire(t *testing.T) {
	conform.Covers(t, "R-8.2.1-1", "R-3.2.3-1", "R-5.3-6", "R-5.3.2-2")
	w := newWorld(t, options{cut: true, seed: 9})
	w.guard()
	c := w.dial()
	c.say(0, 0, false, whoAndCHAP)
	a := c.say(0, 0, false, "CHAP_A=8,5\x00")
	id, _ := text.Number([]byte(value(a.data, "CHAP_I")))
	challenge, ok := text.Binary([]byte(value(a.data, "CHAP_C")), 1024)
	if !ok || value(a.data, "CHAP_A") != "8" {
		t.Fatalf("asked %q", a.data)
	}
	mine := strings.Repeat("\xc3", 1024)
	a = c.say(0, pdu.FullFeature, true, fmt.Sprintf("CHAP_N=user\x00CHAP_R=%s\x00CHAP_I=200\x00CHAP_C=%s\x00",
		text.Hex(auth.SHA3.Response(byte(id), []byte("the user's own secret"), challenge)), text.Hex([]byte(mine))))
	want := text.Hex(auth.SHA3.Response(200, []byte("the target's own secret"), []byte(mine)))
	if value(a.data, "CHAP_N") != "target" || value(a.data, "CHAP_R") != want || pdu.AsLoginResponse(&a.h).TSIH() == 0 {
		t.Fatalf("answer % x %q", a.h[:], a.data)
	}
	for range 4 {
		c.command([]byte{0, 0, 0, 0, 0, 0}, pdu.FlagFinal, 0, nil)
		if a := c.one(pdu.OpSCSIResponse); statusOf(&a) == sam.Good {
			return
		}
	}
	t.Error("the unit does not become ready")
}

// Authentication fails in the security stage, before it, and for lack of it: never a
// session, always the end of the connection (RFC 3720 appendix C).
func TestLogin_Unauthenticated_Closes(t *testing.T) {
	conform.Covers(t, "R-5.3.1-2", "R-8.2-3", "R-5.3.2-3", "R-10.13.5-3")
	w := newWorld(t, options{})
	w.guard()
	c := w.dial()
	c.send(c.loginRequest())
	c.refused(pdu.LoginAuthFailure)
	c = w.dial()
	c.say(0, 0, false, whoAndCHAP)
	c.say(0, 0, false, "CHAP_A=5\x00")
	h, _ := c.loginRequest()
	pdu.AsLoginRequest(h).SetStages(0, 1, true, false)
	c.send(h, []byte("CHAP_N=user\x00CHAP_R=0x00112233445566778899aabbccddeeff\x00"))
	c.refused(pdu.LoginAuthFailure)
	c = w.dial()
	c.say(0, 0, false, whoAndCHAP)
	c.read10(0, 1)
	c.refused(pdu.LoginInvalidDuringLogin)
	if w.stack.Stats().LoggedIn != 0 || w.stack.Live() != 0 {
		t.Errorf("%d sessions, %d connections", w.stack.Stats().LoggedIn, w.stack.Live())
	}
}

// Each connection has its own declared length, in each direction.
func TestDeclaredLength_BoundsEachConnection(t *testing.T) {
	conform.Covers(t, "R-12.12-1")
	w := newWorld(t, options{})
	small, large := w.login("MaxRecvDataSegmentLength=512"), w.login("MaxRecvDataSegmentLength=65536")
	for c, most := range map[*client]int{small: 512, large: 65536} {
		c.read10(0, 64)
		longest := 0
		for _, a := range c.answers() {
			longest = max(longest, len(a.data))
		}
		if longest > most || most == 65536 && longest <= 512 {
			t.Errorf("limit %d: a segment of %d bytes", most, longest)
		}
	}
}

// A negotiation in full feature phase is whole or not at all.
func TestText_FailedNegotiation_ChangesNothing(t *testing.T) {
	conform.Covers(t, "R-5.4-1", "R-6.10-2", "R-5.2-15")
	w := newWorld(t, options{})
	c := w.login("MaxRecvDataSegmentLength=4096")
	longest := func() (n int) {
		c.read10(0, 32)
		for _, a := range c.answers() {
			n = max(n, len(a.data))
		}
		return n
	}
	negotiate := func(keys string) pdu.Opcode {
		h := c.request(pdu.OpTextReq, true)
		pdu.AsTextRequest(h).SetTTT(pdu.NoTag)
		c.send(h, []byte(keys))
		a := c.answers()
		if len(a) != 1 {
			t.Fatalf("%q: answers %s", keys, names(a))
		}
		return a[0].h.Opcode()
	}
	for _, keys := range []string{
		"MaxRecvDataSegmentLength=512\x00MaxBurstLength=512\x00",
		"MaxRecvDataSegmentLength=512\x00MaxRecvDataSegmentLength=1024\x00",
		"MaxRecvDataSegmentLength=512\x00InitiatorAlias=Reject\x00",
		"MaxRecvDataSegmentLength=512\x00noKey=1\x00",
	} {
		if o := negotiate(keys); o != pdu.OpReject || longest() != 4096 {
			t.Errorf("%q: %v, then segments of %d bytes", keys, o, longest())
		}
	}
	if o := negotiate("MaxRecvDataSegmentLength=512\x00"); o != pdu.OpTextResp || longest() != 512 {
		t.Errorf("%v, then segments of %d bytes", o, longest())
	}
}
