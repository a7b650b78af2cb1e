package transport

import (
	"testing"

	"lunar/internal/conform"
	"lunar/iscsi/pdu"
	"lunar/scsi/sam"
)

func TestConn_FirstPDUIsNoLogin_ClosesWithoutAnswer(t *testing.T) {
	conform.Covers(t, "R-3.2.3-4")
	for name, first := range map[string][]byte{
		"HTTP":    []byte("GET / HTTP/1.1\r\nHost: a.very.long.host.name.example\r\n\r\n"),
		"command": make([]byte, 48),
	} {
		w := newWorld(t, options{})
		c := w.dial()
		c.peer.Write(first)
		w.settle()
		if len(c.peer.Read()) != 0 || !c.peer.Ended() {
			t.Errorf("%s: %d bytes answered, ended %v", name, len(c.peer.Read()), c.peer.Ended())
		}
	}
}

func TestConn_AnotherPDUDuringLogin_IsRefused(t *testing.T) {
	conform.Covers(t, "R-3.2.3-5", "R-3.2.4-1", "R-3.2.3-2")
	w := newWorld(t, options{})
	c := w.dial()
	h, text := c.loginRequest()
	pdu.AsLoginRequest(h).SetStages(pdu.OperationalStage, 0, false, false)
	c.send(h, text)
	c.one(pdu.OpLoginResp)
	c.read10(0, 1)
	a := c.one(pdu.OpLoginResp)
	if pdu.AsLoginResponse(&a.h).Status() != pdu.LoginInvalidDuringLogin || !c.peer.Ended() {
		t.Error("a command during login")
	}
}

// Half a header and then silence ends by the clock; so does a login that never
// gets anywhere.
func TestConn_LoginTimeout(t *testing.T) {
	conform.Covers(t, "R-7.1.2-1")
	for n := range 3 {
		w := newWorld(t, options{})
		c := w.dial()
		h, text := c.loginRequest()
		pdu.AsLoginRequest(h).SetStages(pdu.OperationalStage, 0, false, false)
		c.peer.Write(c.wire(h, text)[:n*40])
		w.pass(w.stack.limits.LoginNanos * 9 / 10)
		if c.peer.Ended() {
			t.Fatal("closed before its time")
		}
		w.pass(w.stack.limits.LoginNanos / 2)
		if !c.peer.Ended() || w.stack.Live() != 0 {
			t.Fatal("a login without end")
		}
	}
}

func TestConn_SilentPeer_IsAskedThenDropped(t *testing.T) {
	conform.Covers(t, "R-6.12-1", "R-10.19-2", "N-15")
	w := newWorld(t, options{})
	c := w.login()
	for range 3 {
		w.pass(w.stack.limits.PingNanos + w.stack.limits.AbortNanos)
		a := c.one(pdu.OpNOPIn)
		p := pdu.AsNOPIn(&a.h)
		if p.TTT() == pdu.NoTag || p.ITT() != pdu.NoTag || len(a.data) != 0 {
			t.Fatalf("ping with TTT %x ITT %x and %d bytes", p.TTT(), p.ITT(), len(a.data))
		}
		h := c.request(pdu.OpNOPOut, true)
		h.SetITT(pdu.NoTag)
		pdu.AsNOPOut(h).SetTTT(p.TTT())
		c.send(h, nil)
		if a := c.answers(); len(a) != 0 {
			t.Fatalf("an answer was answered: %s", names(a))
		}
	}
	w.pass(w.stack.limits.PingNanos + w.stack.limits.AbortNanos)
	c.one(pdu.OpNOPIn)
	w.pass(w.stack.limits.PingNanos + w.stack.limits.AbortNanos)
	if !c.peer.Ended() {
		t.Error("a dead peer stays")
	}
}

// However often a connection needs its clock, it has one timer.
func TestConn_OneTimerEach(t *testing.T) {
	w := newWorld(t, options{})
	c := w.login("InitialR2T=Yes")
	for range 50 {
		itt := c.write10(0, 32, nil, true)
		r2t := c.one(pdu.OpR2T)
		c.manage(sam.AbortTask, itt, c.cmdSN-1)
		w.settle()
		c.answerR2T(&r2t, make([]byte, 16384), 16384)
		c.one(pdu.OpTaskResponse)
	}
	expired := 0
	w.ring.Advance(w.stack.limits.PingNanos)
	for range 100 {
		done, err := w.loop.Turn()
		w.must(err)
		for _, x := range done {
			if x.Timer {
				expired++
			}
			w.stack.Complete(x)
		}
		w.stack.Flush()
	}
	if expired > 3 {
		t.Errorf("%d timers of one connection expired at once", expired)
	}
}

// Login and the first command in one segment: the command is served under what
// the login agreed to.
func TestConn_PipelinedCommandBehindLogin(t *testing.T) {
	conform.Covers(t, "R-12.1-2")
	for _, cut := range []bool{false, true} {
		w := newWorld(t, options{cut: cut, seed: 3})
		c := w.dial()
		keys := []string{"HeaderDigest=CRC32C", "DataDigest=CRC32C"}
		first := c.wire(c.loginRequest(keys...))
		h := c.request(pdu.OpNOPOut, true)
		pdu.AsNOPOut(h).SetTTT(pdu.NoTag)
		c.digests(keys)
		second := c.wire(h, []byte("hello"))
		c.peer.Write(append(first, second...))
		w.settle()
		all := c.peer.Read()
		// The Login Response travels without digests.
		text := int(all[6])<<8 | int(all[7])
		c.read = 48 + text + pdu.PadBytes(text)
		if a := c.one(pdu.OpNOPIn); string(a.data) != "hello" {
			t.Errorf("answer %q", a.data)
		}
	}
}

// With commands in flight a logout waits for the medium, answers last and closes
// (RFC 3720 §10.14 [R-10.14-1], [R-10.14-3]).
func TestLogout_CommandsInFlight(t *testing.T) {
	conform.Covers(t, "R-10.14-1", "R-10.14-3", "R-10.15-1")
	w := newWorld(t, options{slow: true})
	c := w.login("InitialR2T=Yes")
	w.queue.held = true
	for i := range 5 {
		c.read10(i, 8)
	}
	c.write10(0, 8, w.bytesOf(4096), true)
	c.write10(16, 32, nil, true)
	c.one(pdu.OpR2T)
	c.logout()
	if a := c.answers(); len(a) != 0 || c.peer.Ended() {
		t.Fatalf("answers %s while the medium works", names(a))
	}
	w.queue.held = false
	a := c.one(pdu.OpLogoutResp)
	if pdu.AsLogoutResponse(&a.h).Result() != pdu.LogoutDone || !c.peer.Ended() || w.stack.Live() != 0 {
		t.Error("the connection stays")
	}
}

// Without markers a header digest error ends the connection (RFC 3720 §6.7
// [R-6.7-2]).
func TestConn_HeaderDigestError_Closes(t *testing.T) {
	conform.Covers(t, "R-6.7-2", "R-6.1.4-1")
	w := newWorld(t, options{})
	c := w.login("HeaderDigest=CRC32C")
	h := c.request(pdu.OpNOPOut, true)
	wire := c.wire(h, nil)
	wire[50] ^= 4
	c.peer.Write(wire)
	if a := c.answers(); len(a) != 0 || !c.peer.Ended() {
		t.Errorf("answers %s, ended %v", names(a), c.peer.Ended())
	}
}

// A peer that does not read costs at most ReadBytes, and others go on.
func TestConn_SlowReader_IsBounded(t *testing.T) {
	conform.Trap(t, 39)
	w := newWorld(t, options{limits: func(l *Limits) { l.ReadBytes = 1 << 20 }})
	c, other := w.login(), w.login()
	w.ring.SendLimit = func(int) int { return 1 }
	for i := range 20 {
		c.read10(i, 1024)
	}
	for range 300 {
		w.turn()
		if held := w.staged.Bytes() - w.staged.Free(); held > 2<<20 {
			t.Fatalf("%d bytes held for a peer that does not read", held)
		}
	}
	w.ring.SendLimit = nil
	if n := len(dataIn(c.answers())); n != 20*1024*512 {
		t.Errorf("%d bytes came in the end", n)
	}
	other.check(0, w.medium[:4096])
}

// A connection may be cut behind each byte of a write: nothing stays.
func TestConn_CutAtEveryByte(t *testing.T) {
	for _, slow := range []bool{false, true} {
		w := newWorld(t, options{slow: slow})
		step := 1
		if testing.Short() {
			step = 7
		}
		for cut := 0; ; cut += step {
			c := w.login("DataDigest=CRC32C", "HeaderDigest=CRC32C", "InitialR2T=No", "FirstBurstLength=1024")
			data := w.bytesOf(2048)
			itt := c.write10(0, 4, data[:512], false)
			c.dataOut(itt, pdu.NoTag, 0, 512, data[512:1024], true)
			r2t := c.one(pdu.OpR2T)
			wire := c.wire(dataOutHeader(itt, pdu.AsR2T(&r2t.h).TTT(), 0, 1024, true), data[1024:])
			if cut > len(wire) {
				break
			}
			w.queue.held = cut%2 == 0
			c.peer.Write(wire[:cut])
			w.settle()
			if cut%3 == 0 {
				c.peer.Reset()
			} else {
				c.peer.Close()
			}
			w.settle()
			w.queue.held = false
			w.checkEnd()
			if t.Failed() {
				t.Fatalf("cut at byte %d, slow %v", cut, slow)
			}
		}
	}
}

// What sessions may send unasked always finds memory: a login that would promise
// more than there is gets no session (RFC 3720 §10.13.5: 0302).
func TestLogin_UnaskedMemory_IsNeverPromisedTwice(t *testing.T) {
	w := newWorld(t, options{limits: func(l *Limits) { l.Connections = 64 }})
	var all []*client
	refused := 0
	for range 40 {
		c := w.dial()
		c.send(c.loginRequest("InitialR2T=No", "FirstBurstLength=8192"))
		a := c.one(pdu.OpLoginResp)
		switch pdu.AsLoginResponse(&a.h).Status() {
		case pdu.LoginSuccess:
			all = append(all, c)
		case pdu.LoginOutOfResources:
			refused++
		default:
			t.Fatal("status", pdu.AsLoginResponse(&a.h).Status())
		}
	}
	if len(all) == 0 || refused == 0 {
		t.Fatalf("%d sessions, %d refused", len(all), refused)
	}
	// Every session sends as much as it may: commands wait behind a gap.
	for _, c := range all {
		c.gap()
		for range w.stack.limits.Session.Window - 1 {
			itt := c.write10(0, 64, make([]byte, 4096), false)
			c.dataOut(itt, pdu.NoTag, 0, 4096, make([]byte, 4096), true)
		}
		w.settle()
		if c.peer.Ended() {
			t.Fatal("no memory for what was agreed to")
		}
	}
}

// A text that is left waiting behind a gap while another exchange ends belongs to
// nothing any more (RFC 3720 §10.11.4 [R-10.11.4-2]).
func TestText_ExchangeReplacedMeanwhile(t *testing.T) {
	conform.Covers(t, "R-10.11.4-2")
	w := newWorld(t, options{})
	c := w.login()
	text := func(itt pdu.ITT, ttt pdu.TTT, immediate, final bool, data string) {
		h := c.request(pdu.OpTextReq, immediate)
		if !final {
			h.SetFlags(0)
		}
		h.SetITT(itt)
		pdu.AsTextRequest(h).SetTTT(ttt)
		c.send(h, []byte(data))
	}
	text(70, pdu.NoTag, false, false, "")
	first := c.one(pdu.OpTextResp)
	ttt := pdu.AsTextResponse(&first.h).TTT()
	missing := c.gap()
	text(70, ttt, false, true, "SendTargets=\x00")
	text(71, pdu.NoTag, true, true, "SendTargets=\x00")
	if a := c.one(pdu.OpTextResp); a.h.ITT() != 71 {
		t.Fatal("tag", a.h.ITT())
	}
	c.manage(sam.AbortTask, 0x4711, missing)
	a := c.answers()
	if len(a) != 2 || a[0].h.Opcode() != pdu.OpReject && a[1].h.Opcode() != pdu.OpReject {
		t.Fatalf("answers %s", names(a))
	}
}

// Pings that wait behind a gap hold their data in memory; a peer that sends more
// of it than any honest one is dropped, and its neighbour goes on.
func TestConn_PingData_IsBounded(t *testing.T) {
	w := newWorld(t, options{})
	c, other := w.login("MaxRecvDataSegmentLength=262144"), w.login()
	c.gap()
	sent := 0
	for !c.peer.Ended() && sent < 10*maxTextBytes {
		c.send(c.request(pdu.OpNOPOut, false), make([]byte, 256<<10))
		sent += 256 << 10
		w.settle()
	}
	if sent < maxTextBytes || sent > 2*maxTextBytes {
		t.Errorf("dropped after %d bytes, limit %d", sent, maxTextBytes)
	}
	other.check(0, w.medium[:4096])
	for range 3 * maxTextBytes >> 18 {
		other.send(other.request(pdu.OpNOPOut, false), make([]byte, 256<<10))
		other.one(pdu.OpNOPIn)
	}
}
