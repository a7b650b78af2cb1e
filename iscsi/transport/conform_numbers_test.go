package transport

import (
	"testing"

	"lunar/internal/conform"
	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
	"lunar/scsi/sam"
)

// numbers are what the target told last.
type numbers struct {
	stat     serial.StatSN // the next one
	exp, max serial.CmdSN
}

// consumes says whether a PDU takes its StatSN: all that carry a status or an
// answer, and the two the target sends of its own (RFC 3720 §3.2.2.2).
func consumes(h *pdu.Header) bool {
	switch h.Opcode() {
	case pdu.OpR2T:
		return false
	case pdu.OpDataIn:
		return h.Flags()&pdu.DataStatus != 0
	case pdu.OpNOPIn:
		return h.ITT() != pdu.NoTag
	default:
		return true
	}
}

// follow checks the numbers of each PDU that comes in any test: StatSN without a
// gap but for what is sent again, a window that never moves back.
func (c *client) follow(h *pdu.Header) {
	c.w.Helper()
	r := pdu.Response{Header: h}
	if h.Opcode() == pdu.OpLoginResp && pdu.AsLoginResponse(h).Status() != pdu.LoginSuccess {
		return // the numbers mean nothing (§10.13.4)
	}
	if c.numbers == nil {
		c.numbers = &numbers{r.StatSN(), r.ExpCmdSN(), r.MaxCmdSN()}
	}
	n := c.numbers
	switch {
	case h.Opcode() == pdu.OpDataIn && !consumes(h):
	case c.acks != nil && consumes(h) && c.acks().AtMost(r.StatSN()) && r.StatSN().Less(n.stat):
		// It comes again, under its own number.
	case r.StatSN() != n.stat:
		c.w.Errorf("%v: StatSN %v, want %v", h.Opcode(), r.StatSN(), n.stat)
	case consumes(h):
		n.stat = n.stat.Next()
	}
	if r.ExpCmdSN().Less(n.exp) || r.MaxCmdSN().Less(n.max) || r.MaxCmdSN().Next().Less(r.ExpCmdSN()) {
		c.w.Errorf("%v: window %v..%v after %v..%v", h.Opcode(), r.ExpCmdSN(), r.MaxCmdSN(), n.exp, n.max)
	}
	n.exp, n.max = r.ExpCmdSN(), r.MaxCmdSN()
}

// Every PDU there is, in one session: those that consume a StatSN and those that
// only show it. Client.follow looks at each.
func TestNumbers_OfEveryPDU(t *testing.T) {
	conform.Covers(t, "R-3.2.2.2-1", "R-10.8.3-1", "R-10.19.2-1", "R-10.7.3-1", "R-10.9-1", "R-3.2.2.1-6")
	conform.Trap(t, 4)
	w := newWorld(t, options{})
	c := w.login("MaxRecvDataSegmentLength=512", "InitialR2T=Yes")
	start := c.numbers.stat
	seen := map[pdu.Opcode]int{}
	note := func(all []answer) {
		for i := range all {
			seen[all[i].h.Opcode()]++
		}
	}
	c.write10(0, 8, nil, true)
	r2t := c.one(pdu.OpR2T)
	note(c.got)
	c.read10(0, 4)
	note(c.answers()) // three Data-In without a status, one with
	h := c.request(pdu.OpTextReq, true)
	pdu.AsTextRequest(h).SetTTT(pdu.NoTag)
	c.send(h, []byte("SendTargets=\x00"))
	note(c.answers())
	c.send(c.request(pdu.Opcode(0x1c), true), nil)
	note(c.answers())
	c.manage(sam.ClearACA, pdu.NoTag, 0)
	note(c.answers())
	w.pass(w.stack.limits.PingNanos + w.stack.limits.AbortNanos)
	note(c.answers()) // our ping
	note([]answer{*c.ping()})
	c.answerR2T(&r2t, make([]byte, 4096), 4096)
	note(c.answers())
	w.stack.Drain()
	note(c.answers())
	c.logout()
	note(c.answers())
	for o, n := range map[pdu.Opcode]int{
		pdu.OpR2T: 1, pdu.OpDataIn: 4, pdu.OpTextResp: 1, pdu.OpReject: 1, pdu.OpTaskResponse: 1,
		pdu.OpNOPIn: 2, pdu.OpSCSIResponse: 1, pdu.OpAsync: 1, pdu.OpLogoutResp: 1,
	} {
		if seen[o] != n {
			t.Errorf("%d of %v, want %d", seen[o], o, n)
		}
	}
	// Data with status, text, Reject, function, ping, status, Async, logout.
	if c.numbers.stat != start.Add(8) {
		t.Errorf("StatSN went from %v to %v", start, c.numbers.stat)
	}
}

// Two sessions use the same tags and numbers at once: what belongs to a command
// travels on its connection (RFC 3720 §3.2.4.1).
func TestAllegiance_EachConnectionItsOwn(t *testing.T) {
	conform.Covers(t, "R-3.2.4.1-1", "R-3.2.4.1-2", "R-3.2.4.1-3", "R-3.2.4.1-4", "R-3.2.4.1-5")
	w := newWorld(t, options{slow: true, seed: 5})
	a, b := w.login("InitialR2T=Yes"), w.login("InitialR2T=Yes")
	b.nextT, b.cmdSN = a.nextT, a.cmdSN
	da, db := w.bytesOf(8192), w.bytesOf(8192)
	copy(w.medium[1<<20:], da)
	copy(w.medium[2<<20:], db)
	ia, ib := a.write10(0, 16, nil, true), b.write10(64, 16, nil, true)
	ra, rb := a.read10(2048, 16), b.read10(4096, 16)
	if ia != ib || ra != rb {
		t.Fatal("the tags differ")
	}
	for _, k := range []struct {
		c    *client
		out  []byte
		in   []byte
		itt  pdu.ITT
		read pdu.ITT
	}{{a, db, da, ia, ra}, {b, da, db, ib, rb}} {
		all := k.c.answers()
		if got := dataIn(all); string(got) != string(k.in) {
			t.Fatalf("%d bytes of another's read", len(got))
		}
		for i := range all {
			if all[i].h.Opcode() == pdu.OpR2T {
				k.c.answerR2T(&all[i], k.out, 2048)
			}
		}
		if s := k.c.one(pdu.OpSCSIResponse); s.h.ITT() != k.itt || statusOf(&s) != sam.Good {
			t.Errorf("ITT %x, status %d", s.h.ITT(), statusOf(&s))
		}
	}
	a.check(0, db)
	b.check(64, da)
	h := a.request(pdu.OpSNACK, true)
	pdu.AsSNACK(h).SetType(pdu.SNACKStatus)
	a.send(h, nil)
	if r := a.one(pdu.OpReject); pdu.AsReject(&r.h).Reason() != pdu.RejectSNACK {
		t.Error("reason", pdu.AsReject(&r.h).Reason())
	}
	if other := b.answers(); len(other) != 0 {
		t.Errorf("a SNACK is answered elsewhere: %s", names(other))
	}
}
