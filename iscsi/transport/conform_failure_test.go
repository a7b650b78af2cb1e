package transport

import (
	"slices"
	"testing"

	"lunar/internal/conform"
	"lunar/iscsi/pdu"
)

// A target that offers level 0 agrees to that, whatever is asked for; then nothing is
// sent again, and a failed connection is followed by a new session.
func TestRecovery_LevelZero(t *testing.T) {
	conform.Covers(t, "R-6.1.5-1", "R-6.1.5-2", "R-6.1.5-3", "R-6.12-2", "R-6.1.4.4-1")
	for _, key := range []string{"ErrorRecoveryLevel=0", "ErrorRecoveryLevel=1", "ErrorRecoveryLevel=2"} {
		w := newWorld(t, options{})
		w.portal.Login.Offer.ErrorRecoveryLevel = 0
		c := w.dial()
		c.send(c.loginRequest(key))
		a := c.one(pdu.OpLoginResp)
		if !slices.Contains(pairs(string(a.data)), "ErrorRecoveryLevel=0") {
			t.Fatalf("%s is answered %q", key, a.data)
		}
		c.attention()
		c.read10(0, 8)
		c.one(pdu.OpDataIn)
		h := c.request(pdu.OpSNACK, true)
		h.SetITT(pdu.NoTag)
		pdu.AsSNACK(h).SetType(pdu.SNACKStatus)
		pdu.AsSNACK(h).SetTag(pdu.NoTag)
		c.send(h, nil)
		if a := c.one(pdu.OpReject); pdu.AsReject(&a.h).Reason() != pdu.RejectSNACK {
			t.Errorf("%s: reason %v", key, pdu.AsReject(&a.h).Reason())
		}
		c.peer.Reset()
		w.settle()
		if w.ended != 1 || w.stack.Live() != 0 {
			t.Fatalf("%s: %d sessions ended, %d connections left", key, w.ended, w.stack.Live())
		}
		c = w.again(key)
		c.check(0, w.medium[:512])
	}
}

// Before full feature phase nothing is recovered: a SNACK ends the login.
func TestRecovery_NoneDuringLogin(t *testing.T) {
	conform.Covers(t, "R-6.1.4-2", "R-3.2.3-5")
	w := newWorld(t, options{})
	c := w.dial()
	h, text := c.loginRequest()
	pdu.AsLoginRequest(h).SetStages(pdu.OperationalStage, 0, false, false)
	c.send(h, text)
	c.one(pdu.OpLoginResp)
	c.send(c.request(pdu.OpSNACK, true), nil)
	a := c.one(pdu.OpLoginResp)
	if pdu.AsLoginResponse(&a.h).Status() != pdu.LoginInvalidDuringLogin || !c.peer.Ended() {
		t.Errorf("status %04x, ended %v", uint16(pdu.AsLoginResponse(&a.h).Status()), c.peer.Ended())
	}
}

// A peer that is silent over its commands is given up: its connection closes, its
// tasks end, and its data goes nowhere.
func TestTimeout_EndsTheSession(t *testing.T) {
	conform.Covers(t, "R-6.13-2", "R-6.12-1")
	w := newWorld(t, options{})
	c := w.login("InitialR2T=Yes", "ImmediateData=No")
	c.write10(0, 8, nil, true)
	c.one(pdu.OpR2T)
	w.pass(2 * (w.stack.limits.PingNanos + w.stack.limits.AbortNanos))
	if !c.peer.Ended() || w.ended != 1 || w.unit.Tasks(0) != 0 {
		t.Errorf("ended %v, %d sessions, %d tasks", c.peer.Ended(), w.ended, w.unit.Tasks(0))
	}
}

// Half closed connections and readers that stop cost their own session and no other.
func TestFailure_HalfClosedAndStopped(t *testing.T) {
	conform.Trap(t, 39)
	w := newWorld(t, options{})
	other := w.login()
	c := w.login("InitialR2T=Yes")
	itt := c.write10(0, 32, nil, true)
	r2t := c.one(pdu.OpR2T)
	wire := c.wire(dataOutHeader(itt, pdu.AsR2T(&r2t.h).TTT(), 0, 0, true), w.bytesOf(16384))
	c.peer.Write(wire[:5000]) // a partial PDU, then FIN
	w.settle()
	other.check(0, make([]byte, 512))
	c.peer.Close()
	w.settle()
	if w.ended != 1 || w.unit.Tasks(0) != 0 {
		t.Fatalf("%d sessions ended, %d tasks left", w.ended, w.unit.Tasks(0))
	}
	other.check(0, make([]byte, 16384))
}
