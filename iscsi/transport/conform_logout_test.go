package transport

import (
	"testing"

	"lunar/internal/conform"
	"lunar/iscsi/pdu"
	"lunar/scsi/sam"
)

// again logs the same initiator port in once more: on the nexus it had.
func (w *world) again(keys ...string) *client {
	w.Helper()
	c := w.dial()
	w.nexus--
	c.send(c.loginRequest(keys...))
	if a := c.one(pdu.OpLoginResp); pdu.AsLoginResponse(&a.h).Status() != pdu.LoginSuccess {
		w.Fatal("no login")
	}
	return c
}

// attention sends TEST UNIT READY and returns the sense code of the unit attention
// it met, 0 for none.
func (c *client) attention() uint16 {
	c.w.Helper()
	c.command(make([]byte, 6), pdu.FlagFinal, 0, nil)
	a := c.one(pdu.OpSCSIResponse)
	if statusOf(&a) == sam.Good {
		return 0
	}
	if len(a.data) < 16 || a.data[2+2] != byte(sam.UnitAttention) {
		c.w.Fatalf("status %d, sense %x", statusOf(&a), a.data)
	}
	return uint16(a.data[2+12])<<8 | uint16(a.data[2+13])
}

func (c *client) logoutFor(r pdu.LogoutReason, cid pdu.CID, immediate bool) {
	h := c.request(pdu.OpLogoutReq, immediate)
	pdu.AsLogoutRequest(h).SetReason(r)
	pdu.AsLogoutRequest(h).SetCID(cid)
	c.send(h, nil)
}

// With commands in flight: each reason has its answer, which is the last thing
// said, then FIN; the nexus hears afterwards of what was ended when the connection
// was closed, not when the session was.
func TestLogout_TellsOfWhatItEnded(t *testing.T) {
	for _, k := range []struct {
		name   string
		reason pdu.LogoutReason
		busy   bool
		want   uint16
	}{
		{"session", pdu.CloseSession, true, 0},
		{"connection", pdu.CloseConnection, true, 0x477f},
		{"idle connection", pdu.CloseConnection, false, 0},
	} {
		t.Run(k.name, func(t *testing.T) {
			conform.Covers(t, "R-10.14.5-1", "R-6.5-1", "R-10.14-1", "R-10.14-3", "R-10.15-1", "MS-6")
			conform.Trap(t, 30)
			w := newWorld(t, options{slow: true})
			c := w.login()
			w.queue.held = true
			if k.busy {
				c.read10(0, 8)
				c.write10(8, 8, make([]byte, 4096), true)
				c.read10(16, 8)
			}
			for reason, want := range map[pdu.LogoutReason]pdu.LogoutResult{
				pdu.RemoveForRecovery: pdu.LogoutRecoveryNotSupported, pdu.CloseConnection: pdu.LogoutCIDNotFound,
			} {
				c.logoutFor(reason, 9, true)
				a := c.one(pdu.OpLogoutResp)
				wait, retain := pdu.AsLogoutResponse(&a.h).Times()
				if pdu.AsLogoutResponse(&a.h).Result() != want || wait != 0 || retain != 0 || c.peer.Ended() {
					t.Errorf("reason %d: result %d, times %d %d", reason, pdu.AsLogoutResponse(&a.h).Result(), wait, retain)
				}
			}
			c.logoutFor(k.reason, 0, true)
			if a := c.answers(); k.busy && (len(a) != 0 || c.peer.Ended()) {
				t.Fatalf("answers %s while the medium works", names(a))
			} else if k.busy {
				w.queue.held = false
				c.answers()
			}
			last := c.got
			if len(last) != 1 || last[0].h.Opcode() != pdu.OpLogoutResp || pdu.AsLogoutResponse(&last[0].h).Result() != pdu.LogoutDone || !c.peer.Ended() {
				t.Fatalf("answers %s, ended %v", names(last), c.peer.Ended())
			}
			w.queue.held = false
			c = w.again()
			if got := c.attention(); got != k.want {
				t.Errorf("attention %04x, want %04x", got, k.want)
			}
			if got := c.attention(); got != 0 {
				t.Errorf("told twice: %04x", got)
			}
		})
	}
}

// A connection that fails over commands: the same word.
func TestFailure_TellsOfWhatItEnded(t *testing.T) {
	conform.Covers(t, "R-6.5-1", "R-10.14.5-1", "R-6.12-3")
	for _, k := range []struct {
		busy bool
		want uint16
	}{{true, 0x477f}, {false, 0}} {
		w := newWorld(t, options{slow: true})
		c := w.login()
		w.queue.held = true
		if k.busy {
			c.read10(0, 8)
			h := c.request(pdu.OpSCSICommand, true) // an immediate command ends as well
			h.SetFlags(pdu.FlagFinal | pdu.CommandRead)
			pdu.AsSCSICommand(h).SetEDTL(512)
			copy(pdu.AsSCSICommand(h).CDB()[:], cdb10(0x28, 0, 1))
			c.send(h, nil)
		}
		w.settle()
		c.peer.Reset()
		w.settle()
		w.queue.held = false
		w.settle()
		if w.ended != 1 || w.unit.Tasks(0) != 0 {
			t.Fatalf("%d sessions ended, %d commands left", w.ended, w.unit.Tasks(0))
		}
		if got := w.again().attention(); got != k.want {
			t.Errorf("busy %v: attention %04x, want %04x", k.busy, got, k.want)
		}
	}
}
