package transport

import (
	"fmt"
	"strings"
	"testing"

	"lunar/internal/conform"
	"lunar/iscsi/pdu"
	"lunar/lun"
	"lunar/scsi/sam"
)

// text sends a Text Request of an exchange and returns its answer.
func (c *client) text(itt pdu.ITT, ttt pdu.TTT, final bool, text string) *answer {
	c.w.Helper()
	h := c.request(pdu.OpTextReq, true)
	if !final {
		h.SetFlags(0)
	}
	h.SetITT(itt)
	pdu.AsTextRequest(h).SetTTT(ttt)
	c.send(h, []byte(text))
	a := c.answers()
	if len(a) != 1 {
		c.w.Fatalf("answers %s to %q", names(a), text)
	}
	return &a[0]
}

// long is an answer to SendTargets of n records.
func long(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "TargetName=iqn.2026-11.lunar:%05d\x00TargetAddress=192.0.2.1:3260,1\x00", i)
	}
	return b.String()
}

// readOut asks for the rest of a long answer until it ends; between does what it
// likes between two parts.
func (c *client) readOut(itt pdu.ITT, most int, between func()) (whole string) {
	c.w.Helper()
	ttt := pdu.TTT(pdu.NoTag)
	text := "SendTargets=\x00"
	if c.w.stack.conns[0].sess.Identity.Discovery {
		text = "SendTargets=All\x00"
	}
	for range 4000 {
		a := c.text(itt, ttt, true, text)
		p := pdu.AsTextResponse(&a.h)
		if a.h.Opcode() != pdu.OpTextResp || len(a.data) > most || p.Continue() {
			c.w.Fatalf("%v, %d bytes, flags %#x", a.h.Opcode(), len(a.data), a.h.Flags())
		}
		if len(a.data) > 0 && a.data[len(a.data)-1] != 0 {
			c.w.Fatalf("a part ends inside a pair: %q", a.data[len(a.data)-20:])
		}
		if a.h.Final() != (p.TTT() == pdu.NoTag) {
			c.w.Fatalf("F %v with TTT %x", a.h.Final(), p.TTT())
		}
		whole += string(a.data)
		if a.h.Final() {
			return whole
		}
		ttt, text = p.TTT(), ""
		between()
	}
	c.w.Fatal("an answer without end")
	return ""
}

// Four thousand targets go out in parts between pairs, each asked for by the tag of
// the last; the tag of the exchange may be used again (appendix D, script D4).
func TestText_FourThousandTargets(t *testing.T) {
	conform.Covers(t, "R-10.10.4-2", "R-10.11.1-1", "R-10.11.2-1", "R-10.11.4-1", "R-10.11.6-1", "R-5.4-2", "R-5.4-3", "R-10.11.1-2", "MS-8")
	conform.Trap(t, 25)
	w := newWorld(t, options{})
	w.records = long(4000)
	c := w.discover()
	for range 2 { // the same tag twice
		if got := c.readOut(7, 8192, func() {}); got != w.records {
			t.Fatalf("%d of %d bytes", len(got), len(w.records))
		}
	}
	a := c.text(7, 0x80010001, true, "")
	if a.h.Opcode() != pdu.OpReject || pdu.AsReject(&a.h).Reason() != pdu.RejectInvalidField {
		t.Errorf("a stale tag: %v", a.h.Opcode())
	}
}

// A long answer in a normal session, with reads and writes between its parts.
func TestText_InterleavedWithCommands(t *testing.T) {
	conform.Covers(t, "MS-1", "R-3.2.4.1-2")
	conform.Trap(t, 25)
	w := newWorld(t, options{})
	w.records = long(500)
	c := w.login()
	n := 0
	got := c.readOut(7, 8192, func() {
		n++
		data := w.bytesOf(512)
		c.write10(n, 1, data, true)
		c.one(pdu.OpSCSIResponse)
		c.check(n, data)
	})
	if got != w.records || n < 3 {
		t.Errorf("%d of %d bytes, %d parts", len(got), len(w.records), n)
	}
}

// A new MaxRecvDataSegmentLength is used from the end of its exchange on, and not
// when the exchange is refused.
func TestText_MaxRecvDataSegmentLength(t *testing.T) {
	conform.Covers(t, "R-5.4-4", "R-5.4-5", "R-5.4-6", "R-5.4-3", "R-10.11.1-2", "R-10.11.1-3", "MS-1", "MS-7", "MS-9")
	conform.Trap(t, 25)
	w := newWorld(t, options{})
	c := w.login()
	segment := func() int {
		c.read10(0, 64)
		return len(c.answers()[0].data)
	}
	before := c.numbers.stat
	if a := c.text(5, pdu.NoTag, true, "MaxRecvDataSegmentLength=1024\x00MaxRecvDataSegmentLength=2048\x00"); a.h.Opcode() != pdu.OpReject || pdu.AsReject(&a.h).Reason() != pdu.RejectProtocolError {
		t.Errorf("a key twice: %v", a.h.Opcode())
	}
	if c.numbers.stat != before.Next() {
		t.Error("a Reject consumes no StatSN")
	}
	a := c.text(5, pdu.NoTag, false, "MaxRecvDataSegmentLength=1024\x00")
	p := pdu.AsTextResponse(&a.h)
	if a.h.Opcode() != pdu.OpTextResp || a.h.Final() || p.TTT() == pdu.NoTag {
		t.Fatalf("F=0 is answered by %v, flags %#x, TTT %x", a.h.Opcode(), a.h.Flags(), p.TTT())
	}
	if n := segment(); n != 8192 {
		t.Errorf("in the middle: segments of %d bytes", n)
	}
	a = c.text(5, p.TTT(), true, "MaxRecvDataSegmentLength=2048\x00") // again: refused as a whole
	if a.h.Opcode() != pdu.OpReject || segment() != 8192 {
		t.Errorf("the key again in the next request: %v", a.h.Opcode())
	}
	a = c.text(5, pdu.NoTag, true, "MaxRecvDataSegmentLength=1024\x00")
	if a.h.Opcode() != pdu.OpTextResp || !a.h.Final() || len(a.data) != 0 {
		t.Errorf("%v, flags %#x, %q", a.h.Opcode(), a.h.Flags(), a.data)
	}
	if n := segment(); n != 1024 {
		t.Errorf("afterwards: segments of %d bytes", n)
	}
	if a := c.text(6, pdu.NoTag, true, "X-org.example.a=1\x00"); string(a.data) != "X-org.example.a=NotUnderstood\x00" {
		t.Errorf("an unknown key: %q", a.data)
	}
}

// A tag comes with a LUN that there is, and without a tag there is none.
func TestText_TagsHaveALUN(t *testing.T) {
	conform.Covers(t, "R-10.10.4-2")
	w := newWorld(t, options{})
	w.units = lun.NewMap(sam.Path{}, []lun.Entry{{}, {Unit: w.unit}}, lun.NewAbsent(1))
	c := w.dial()
	c.send(c.loginRequest())
	c.one(pdu.OpLoginResp)
	a := c.text(5, pdu.NoTag, false, "SendTargets=\x00")
	if p := pdu.AsTextResponse(&a.h); p.TTT() == pdu.NoTag || p.LUN() != sam.LUNOf(1) {
		t.Errorf("TTT %x, LUN %x", p.TTT(), uint64(p.LUN()))
	}
	a = c.text(5, pdu.AsTextResponse(&a.h).TTT(), true, "")
	if p := pdu.AsTextResponse(&a.h); p.TTT() != pdu.NoTag || p.LUN() != 0 {
		t.Errorf("TTT %x, LUN %x", p.TTT(), uint64(p.LUN()))
	}
}

// A key that comes twice in a login ends it (0200), in full feature phase only its
// exchange.
func TestLogin_AKeyTwice(t *testing.T) {
	conform.Covers(t, "MS-3")
	w := newWorld(t, options{})
	c := w.dial()
	c.send(c.loginRequest("MaxBurstLength=512", "MaxBurstLength=1024"))
	a := c.one(pdu.OpLoginResp)
	if pdu.AsLoginResponse(&a.h).Status() != pdu.LoginInitiatorError || !c.peer.Ended() {
		t.Errorf("status %04x, ended %v", uint16(pdu.AsLoginResponse(&a.h).Status()), c.peer.Ended())
	}
	c = w.login()
	if a := c.text(5, pdu.NoTag, true, "MaxRecvDataSegmentLength=512\x00MaxRecvDataSegmentLength=512\x00"); a.h.Opcode() != pdu.OpReject || pdu.AsReject(&a.h).Reason() != pdu.RejectProtocolError {
		t.Errorf("%v", a.h.Opcode())
	}
	c.check(0, w.medium[:512])
}

// A text without end costs a bounded amount of memory, and others go on.
func TestText_AFloodIsBounded(t *testing.T) {
	conform.Covers(t, "R-10.10.4-3", "R-10.11.4-1")
	w := newWorld(t, options{})
	c, other := w.login(), w.login()
	ttt, refused := pdu.TTT(pdu.NoTag), 0
	for range 2000 {
		h := c.request(pdu.OpTextReq, true)
		h.SetFlags(pdu.FlagContinue)
		h.SetITT(9)
		pdu.AsTextRequest(h).SetTTT(ttt)
		c.send(h, make([]byte, 4096))
		a := c.answers()
		switch {
		case len(a) == 1 && a[0].h.Opcode() == pdu.OpTextResp && len(a[0].data) == 0:
			ttt = pdu.AsTextResponse(&a[0].h).TTT()
		case len(a) == 1 && a[0].h.Opcode() == pdu.OpReject && pdu.AsReject(&a[0].h).Reason() == pdu.RejectLongOperation:
			ttt = pdu.NoTag
			refused++
		default:
			t.Fatalf("answers %s", names(a))
		}
		if n := w.stack.conns[0].textBytes; n > 4096 {
			t.Fatalf("%d bytes are kept", n)
		}
	}
	if refused == 0 {
		t.Error("two thousand requests of one text were all taken")
	}
	other.check(0, w.medium[:512])
}
