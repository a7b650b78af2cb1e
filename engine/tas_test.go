package engine

import (
	"testing"

	"lunar/iscsi/pdu"
	"lunar/scsi/sam"
)

// stranger is a session of another nexus, which has set TAS.
func stranger(t *testing.T, e *Engine) *together {
	t.Helper()
	r := dialRaw(t, e, 0)
	r.isid[5]++
	l := r.login(0, "TargetName="+DefaultTarget)
	if l.Status() != pdu.LoginSuccess {
		t.Fatal(l.Status())
	}
	s := &together{t: t, e: e, cmdSN: 123, tsih: l.TSIH(), conns: []*raw{r}}
	s.pass(r)
	list := []byte{0, 0, 0, 0, 0x0a, 10, 0, 0x10, 0, 0x40, 0, 0, 0xff, 0xff, 0, 0}
	h := s.command(sam.Simple, []byte{0x15, 0x10, 0, 0, byte(len(list)), 0}, uint32(len(list)), 0)
	r.send(h, list)
	r.answered(h, sam.Good)
	return s
}

// With TAS a command that another nexus ended while its connection was lost has its status
// where it is reassigned to, and nothing of it reaches the medium.
func TestTAS_OfALostConnection(t *testing.T) {
	onReactors(t, func(t *testing.T, e *Engine) {
		issuer := stranger(t, e)
		s := joined(t, e, 3, level2, "ImmediateData=No")
		room := s.window(s.conns[2])
		before := s.command(sam.Simple, []byte{0x2a, 0, 0, 0, 0, 5, 0, 0, 1}, 512, 0)
		s.conns[1].send(before, nil)
		s.conns[1].receive(pdu.OpR2T)
		s.lose(1)
		if got := issuer.function(issuer.conns[0], sam.ClearTaskSet, pdu.NoTag, 0); got != pdu.FunctionComplete {
			t.Fatalf("CLEAR TASK SET: %v", got)
		}
		if w := s.window(s.conns[2]); w != room {
			t.Errorf("the window is %d, and was %d", w, room)
		}
		s.logout(s.conns[2], pdu.RemoveForRecovery, 1)
		if got := s.reassign(s.conns[2], before.ITT(), 0); got != pdu.FunctionComplete {
			t.Fatalf("reassign: %v", got)
		}
		s.conns[2].answered(before, sam.TaskAborted)
		read := s.command(sam.Simple, []byte{0x28, 0, 0, 0, 0, 5, 0, 0, 1}, 0, 512)
		s.conns[2].send(read, nil)
		if got := s.conns[2].answered(read, sam.Good); string(got) != string(make([]byte, 512)) {
			t.Errorf("read %x", got[:8])
		}
		s.logout(s.conns[0], pdu.CloseSession, 0)
		issuer.logout(issuer.conns[0], pdu.CloseSession, 0)
	})
}

// window is how many commands the session may have under way, by what a connection answers.
func (s *together) window(r *raw) uint32 {
	s.t.Helper()
	r.send(s.command(sam.Simple, make([]byte, 6), 0, 0), nil)
	p := pdu.AsSCSIResponse(&r.past(pdu.OpAsync, pdu.OpSCSIResponse).Header)
	if p.Status() != sam.Good {
		s.t.Fatalf("status %02x", p.Status())
	}
	return p.MaxCmdSN().Uint32() - p.ExpCmdSN().Uint32()
}
