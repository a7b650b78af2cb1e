package transport

import (
	"slices"
	"testing"

	"lunar/internal/conform"
	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
	"lunar/iscsi/session"
	"lunar/scsi/sam"
)

// fenced has another connection ask the first one of a world, about LUN 0.
func (w *world) fenced(token uint32) Handle {
	h := w.stack.conns[0].name()
	w.stack.Fence(h, token, Hold{Wanted: true, Scope: session.Scope{LUN: 0}})
	w.settle()
	return h
}

// exp acknowledges what came up to now, or less.
func (c *client) exp(n serial.StatSN) {
	h := c.request(pdu.OpNOPOut, true)
	h.SetITT(pdu.NoTag)
	pdu.AsNOPOut(h).SetTTT(pdu.NoTag)
	pdu.AsNOPOut(h).SetExpStatSN(n)
	c.send(h, nil)
	c.w.settle()
}

// A fence holds back the status of its unit, not that of others and no pings; what was
// due before it goes, and only when that is acknowledged has the connection passed.
func TestFence_HoldsTheStatusOfItsUnit(t *testing.T) {
	conform.Covers(t, "N-4", "R-10.6.1-1")
	w := newWorld(t, options{})
	w.joint = true
	c := w.login("MaxConnections=8", "TaskReporting=ResponseFence,RFC3720")
	// Due, and not sent: a send is under way.
	w.ring.SendLimit = func(int) int { return 1 }
	c.ping1()
	w.turn()
	w.turn()
	before := c.command(make([]byte, 6), pdu.FlagFinal, 0, nil)
	w.turn()
	w.turn()
	if n := len(w.stack.conns[0].queue); n != 1 {
		t.Fatalf("%d answers wait", n)
	}
	h := w.fenced(7)
	w.ring.SendLimit = nil
	held := c.command(make([]byte, 6), pdu.FlagFinal, 0, nil)
	other := c.request(pdu.OpSCSICommand, false)
	other.SetFlags(pdu.FlagFinal)
	other.SetLUN(sam.LUNOf(5))
	c.send(other, nil)
	var got []pdu.ITT
	for _, a := range substance(c.answers()) {
		if a.h.Opcode() == pdu.OpSCSIResponse {
			got = append(got, a.h.ITT())
		}
	}
	if !slices.Equal(got, []pdu.ITT{before, other.ITT()}) {
		t.Fatalf("answers to %v, want %v and %v", got, before, other.ITT())
	}
	last := pdu.Response{Header: &c.ping().h}.StatSN()
	if len(w.passed) != 0 {
		t.Fatal("passed without an acknowledgement")
	}
	c.exp(last.Next())
	if !slices.Equal(w.passed, []uint32{7}) {
		t.Fatalf("passed %v", w.passed)
	}
	if a := substance(c.answers()); len(a) != 0 {
		t.Fatalf("%s while the fence stands", names(a))
	}
	w.stack.Unfence(h, 7)
	if a := c.one(pdu.OpSCSIResponse); a.h.ITT() != held {
		t.Errorf("an answer to %v", a.h.ITT())
	}
}

// ping1 sends a ping and awaits nothing.
func (c *client) ping1() {
	h := c.request(pdu.OpNOPOut, true)
	pdu.AsNOPOut(h).SetTTT(pdu.NoTag)
	c.send(h, nil)
}

// An initiator that answers every ping and acknowledges nothing is asked again, then
// loses its connection: a function must not wait for it for ever.
func TestFence_WaitsWithinABound(t *testing.T) {
	conform.Covers(t, "N-4", "R-10.6.1-1")
	w := newWorld(t, options{})
	c := w.login()
	stale := w.portal.Login.StatSN
	c.acks = func() serial.StatSN { return stale }
	h := w.stack.conns[0].name()
	w.stack.Fence(h, 3, Hold{})
	asked := 0
	for range 9 {
		w.pass(w.stack.limits.AbortNanos)
		for _, a := range c.answers() {
			if a.h.Opcode() == pdu.OpNOPIn && pdu.AsNOPIn(&a.h).TTT() != pdu.NoTag {
				asked++
			}
		}
		if !c.peer.Ended() {
			c.exp(stale)
		}
	}
	if asked < 3 || !c.peer.Ended() || w.stack.Live() != 0 {
		t.Errorf("asked %d times, ended %v", asked, c.peer.Ended())
	}
}
