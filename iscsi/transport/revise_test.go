package transport

import (
	"testing"

	"lunar/internal/conform"
	"lunar/iscsi/login"
	"lunar/iscsi/pdu"
	"lunar/lun"
	"lunar/scsi/sam"
)

// A target that takes other data segments than before asks for a text exchange, and
// they are taken from its end on, not before (RFC 3720 §5.4 [R-5.4-5]).
func TestRevise_DataSegments_AreRenegotiated(t *testing.T) {
	conform.Covers(t, "R-5.2-6", "R-5.4-5", "R-12.12-1")
	w := newWorld(t, options{})
	c := w.login("MaxRecvDataSegmentLength=8192")
	view := View{Units: w.units, MaxRecv: w.portal.Login.Offer.MaxRecvDataSegmentLength}
	w.stack.Revise(func(login.Identity) View { return view })
	if a := c.answers(); len(a) != 0 {
		t.Fatalf("nothing is new, and %s", names(a))
	}
	view.MaxRecv = 1024
	w.stack.Revise(func(login.Identity) View { return view })
	a := c.one(pdu.OpAsync)
	p := pdu.AsAsync(&a.h)
	if p1, p2, p3 := p.Parameters(); p.Event() != pdu.EventRenegotiate || p1 != 0 || p2 != 0 || p3 != renegotiateSeconds {
		t.Fatalf("event %d, parameters %d %d %d", p.Event(), p1, p2, p3)
	}
	// A SendTargets exchange is none of keys, and nothing is settled by it.
	c.text(71, pdu.NoTag, true, "SendTargets=\x00")
	ping := make([]byte, 4096)
	// What is on its way before the exchange ends is taken.
	if got := c.pingWith(ping); len(got.data) != len(ping) {
		t.Errorf("a ping of %d bytes before the exchange: %d", len(ping), len(got.data))
	}
	x := c.text(72, pdu.NoTag, true, "MaxRecvDataSegmentLength=8192\x00")
	if string(x.data) != "MaxRecvDataSegmentLength=1024\x00" || !x.h.Final() {
		t.Fatalf("the answer: %q", x.data)
	}
	if got := c.pingWith(ping[:1024]); len(got.data) != 1024 {
		t.Errorf("a ping of 1024 bytes: %d", len(got.data))
	}
	h := c.request(pdu.OpNOPOut, true)
	c.send(h, ping[:1028])
	if a := c.answers(); len(a) != 0 || !c.peer.Ended() {
		t.Errorf("a segment beyond what was declared: %s, ended %v", names(a), c.peer.Ended())
	}
}

// A session whose map is another one goes on with it and is told; one that has no
// map any more is announced as dropped.
func TestRevise_Map(t *testing.T) {
	w := newWorld(t, options{})
	c := w.login()
	read := func() sam.Status {
		t.Helper()
		c.read10(0, 1)
		a := c.answers()
		return statusOf(&a[len(a)-1])
	}
	moved := lun.NewMap(sam.Path{TargetName: testTarget, PortalGroupTag: 1}, []lun.Entry{{Unit: w.unit, ReadOnly: true}}, lun.NewAbsent(1))
	w.stack.Revise(func(login.Identity) View { return View{Units: moved} })
	c.read10(0, 1)
	if a := c.one(pdu.OpSCSIResponse); senseOf(c, &a) != 0x63f0e {
		t.Errorf("sense %05x", senseOf(c, &a))
	}
	if s := read(); s != sam.Good {
		t.Errorf("a read: %v", s)
	}
	same := lun.NewMap(sam.Path{TargetName: testTarget, PortalGroupTag: 1}, []lun.Entry{{Unit: w.unit, ReadOnly: true}}, lun.NewAbsent(1))
	w.stack.Revise(func(login.Identity) View { return View{Units: same} })
	if s := read(); s != sam.Good {
		t.Errorf("the same map again: %v", s)
	}
	w.stack.Revise(func(login.Identity) View { return View{} })
	a := c.one(pdu.OpAsync)
	if p := pdu.AsAsync(&a.h); p.Event() != pdu.EventDropping || !c.peer.Ended() {
		t.Errorf("event %d, ended %v", p.Event(), c.peer.Ended())
	}
}

// What a session holds of a unit ends when the unit leaves its map: nobody else could
// give it back. Who keeps the sessions is told which units one had at its end.
func TestRevise_UnitLeaves_LosesTheNexus(t *testing.T) {
	w := newWorld(t, options{})
	holder, other := w.login(), w.login()
	holder.command([]byte{0x16, 0, 0, 0, 0, 0}, pdu.FlagFinal, 0, nil)
	if a := holder.one(pdu.OpSCSIResponse); statusOf(&a) != sam.Good {
		t.Fatalf("RESERVE(6): %v", statusOf(&a))
	}
	other.read10(0, 1)
	if a := other.one(pdu.OpSCSIResponse); statusOf(&a) != sam.ReservationConflict {
		t.Fatalf("a read of the other: %v", statusOf(&a))
	}
	empty := lun.NewMap(sam.Path{TargetName: testTarget, PortalGroupTag: 1}, []lun.Entry{{}}, lun.NewAbsent(1))
	views := []View{{Units: empty}, {Units: w.units}} // in the order of the logins
	w.stack.Revise(func(login.Identity) View {
		v := views[0]
		views = views[1:]
		return v
	})
	w.settle()
	other.check(0, w.medium[:512])
	for _, k := range []struct {
		c    *client
		last *lun.Map
	}{{holder, empty}, {other, w.units}} {
		k.c.peer.Close()
		if w.settle(); w.last != k.last {
			t.Errorf("a session ended with %v", w.last)
		}
	}
}
