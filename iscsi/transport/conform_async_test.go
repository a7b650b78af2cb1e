package transport

import (
	"testing"

	"lunar/internal/conform"
	"lunar/iscsi/pdu"
)

// asked stops the target and takes the question to log out.
func (c *client) asked() pdu.Async {
	c.w.Helper()
	before := pdu.AsAsync(&c.ping().h).StatSN()
	c.w.stack.Drain()
	a := c.one(pdu.OpAsync)
	p := pdu.AsAsync(&a.h)
	p1, p2, p3 := p.Parameters()
	if p.Event() != pdu.EventLogoutRequest || p1 != 0 || p2 != 0 || p3 != logoutSeconds || a.h.ITT() != pdu.NoTag || len(a.data) != 0 {
		c.w.Fatalf("event %d, parameters %d %d %d, ITT %x", p.Event(), p1, p2, p3, a.h.ITT())
	}
	if p.StatSN() != before.Next() {
		c.w.Errorf("StatSN %v after %v", p.StatSN(), before)
	}
	return p
}

// ping sends a ping and returns its answer.
func (c *client) ping() *answer { return c.pingWith(nil) }

// pingWith is a ping with data.
func (c *client) pingWith(data []byte) *answer {
	c.w.Helper()
	h := c.request(pdu.OpNOPOut, true)
	pdu.AsNOPOut(h).SetTTT(pdu.NoTag)
	c.send(h, data)
	a := c.one(pdu.OpNOPIn)
	return &a
}

// A target that stops asks on each connection for its logout; who logs out in time
// hears no more.
func TestDrain_InitiatorLogsOut(t *testing.T) {
	conform.Covers(t, "R-10.9.1-1", "R-10.9-1", "R-3.2.5-1")
	conform.Trap(t, 31)
	for _, reason := range []pdu.LogoutReason{pdu.CloseSession, pdu.CloseConnection} {
		w := newWorld(t, options{})
		c := w.login()
		p := c.asked()
		c.check(0, w.medium[:512]) // what comes meanwhile is served
		c.logoutFor(reason, 0, true)
		a := c.one(pdu.OpLogoutResp)
		l := pdu.AsLogoutResponse(&a.h)
		if l.Result() != pdu.LogoutDone || l.StatSN() != p.StatSN().Next().Next() || !c.peer.Ended() {
			t.Errorf("result %d, StatSN %v after %v, ended %v", l.Result(), l.StatSN(), p.StatSN(), c.peer.Ended())
		}
	}
}

// Who does not log out hears that its connection is dropped, with its CID and the
// times that were agreed to, then FIN; its tasks end without an answer.
func TestDrain_InitiatorStays(t *testing.T) {
	conform.Covers(t, "R-10.9.1-2", "R-10.9.1-3", "R-6.4.2-1")
	conform.Trap(t, 31)
	w := newWorld(t, options{slow: true})
	c := w.login("DefaultTime2Wait=7", "DefaultTime2Retain=9")
	p := c.asked()
	w.stack.Drain() // once is enough
	if a := c.answers(); len(a) != 0 {
		t.Fatalf("asked twice: %s", names(a))
	}
	w.queue.held = true
	c.read10(0, 8)
	w.settle()
	w.ring.Advance(logoutSeconds * 1e9 * 9 / 10)
	if a := c.answers(); len(a) != 0 || c.peer.Ended() {
		t.Fatalf("answers %s before the time is over", names(a))
	}
	w.pass(w.stack.limits.AbortNanos)
	w.queue.held = false
	a := c.one(pdu.OpAsync)
	d := pdu.AsAsync(&a.h)
	p1, p2, p3 := d.Parameters()
	if d.Event() != pdu.EventDropping || p1 != 0 || p2 != 7 || p3 != 0 || d.StatSN() != p.StatSN().Next() || !c.peer.Ended() {
		t.Errorf("event %d, parameters %d %d %d, StatSN %v after %v, ended %v", d.Event(), p1, p2, p3, d.StatSN(), p.StatSN(), c.peer.Ended())
	}
	if w.stack.Live() != 0 {
		t.Error("the connection stays")
	}
}

// The logout was sent in time and waits for the medium: the answer still comes.
func TestDrain_LogoutUnderWay(t *testing.T) {
	conform.Trap(t, 31)
	w := newWorld(t, options{slow: true})
	c := w.login()
	w.queue.held = true
	c.read10(0, 8)
	w.settle()
	w.stack.Drain()
	c.one(pdu.OpAsync)
	c.logout()
	w.pass(2 * w.stack.limits.AbortNanos)
	if a := c.answers(); len(a) != 0 {
		t.Fatalf("answers %s while the medium works", names(a))
	}
	w.queue.held = false
	c.one(pdu.OpLogoutResp)
}

// A connection over which an invariant of ours broke is announced as dropped, its
// tasks end with it, and the others go on; one that cannot be told just ends.
func TestQuarantine_IsAnnounced(t *testing.T) {
	conform.Covers(t, "R-3.2.5-2", "R-10.9.1-3", "R-6.5-1")
	for _, sending := range []bool{false, true} {
		w := newWorld(t, options{slow: true})
		other := w.login()
		c := w.login("HeaderDigest=CRC32C")
		w.queue.held = true
		c.read10(0, 8)
		c.write10(8, 8, make([]byte, 4096), true)
		w.settle()
		conn := w.stack.conns[1]
		if sending {
			w.ring.SendLimit = func(int) int { return 1 }
			c.send(c.request(pdu.Opcode(0x1c), true), nil)
			for conn.flying == nil {
				w.turn()
			}
		}
		w.stack.active = conn
		if !w.stack.Quarantine() || w.stack.stats.Quarantined != 1 {
			t.Fatal("nothing was quarantined")
		}
		w.stack.stats.Quarantined = 0
		w.ring.SendLimit = nil
		a := c.answers()
		if !sending && (len(a) != 1 || a[0].h.Opcode() != pdu.OpAsync || pdu.AsAsync(&a[0].h).Event() != pdu.EventDropping) {
			t.Errorf("answers %s", names(a))
		}
		w.queue.held = false
		w.settle()
		if !c.peer.Ended() || w.unit.Tasks(0) != 0 {
			t.Errorf("ended %v, %d tasks", c.peer.Ended(), w.unit.Tasks(0))
		}
		other.check(0, w.medium[:512])
		if got := w.again().attention(); got != 0x477f {
			t.Errorf("attention %04x", got)
		}
	}
}

// discover opens a discovery session.
func (w *world) discover() *client {
	w.Helper()
	c := w.dial()
	h, _ := c.loginRequest()
	c.send(h, []byte("InitiatorName=iqn.2026-11.test:a\x00SessionType=Discovery\x00"))
	if a := c.one(pdu.OpLoginResp); pdu.AsLoginResponse(&a.h).Status() != pdu.LoginSuccess {
		w.Fatal("no discovery session")
	}
	return c
}

// In a discovery session the target says nothing unasked: no ping, no Async
// Message; it closes.
func TestDiscovery_NothingIsSaidUnasked(t *testing.T) {
	conform.Covers(t, "N-10")
	w := newWorld(t, options{})
	c := w.discover()
	w.pass(w.stack.limits.PingNanos - 1e9)
	if a := c.answers(); len(a) != 0 || c.peer.Ended() {
		t.Fatalf("answers %s, ended %v", names(a), c.peer.Ended())
	}
	w.pass(2 * w.stack.limits.AbortNanos)
	if a := c.answers(); len(a) != 0 || !c.peer.Ended() {
		t.Errorf("idle: answers %s, ended %v", names(a), c.peer.Ended())
	}
	c = w.discover()
	w.stack.Drain()
	if a := c.answers(); len(a) != 0 || !c.peer.Ended() {
		t.Errorf("at the end: answers %s, ended %v", names(a), c.peer.Ended())
	}
}
