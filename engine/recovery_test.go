package engine

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"lunar/internal/conform"
	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
	"lunar/scsi/sam"
)

const level2 = "ErrorRecoveryLevel=2"

// logout sends a Logout Request and returns the answer.
func (s *together) logout(r *raw, reason pdu.LogoutReason, cid pdu.CID) pdu.LogoutResponse {
	s.t.Helper()
	h := new(pdu.Header)
	h.SetOpcode(pdu.OpLogoutReq)
	h.SetImmediate()
	h.SetFlags(pdu.FlagFinal)
	pdu.AsLogoutRequest(h).SetReason(reason)
	pdu.AsLogoutRequest(h).SetCID(cid)
	r.send(s.number(h), nil)
	return pdu.AsLogoutResponse(&r.past(pdu.OpAsync, pdu.OpLogoutResp).Header)
}

// past receives a PDU behind others that may come before it.
func (r *raw) past(may, want pdu.Opcode) *pduOf {
	r.t.Helper()
	for {
		p, err := r.conn.Receive()
		if err != nil {
			r.t.Fatalf("connection %v: %v", r, err)
		}
		if o := p.Header.Opcode(); o != may && o != pdu.OpNOPIn || o == want {
			if o != want {
				r.t.Fatalf("connection %v: %v instead of %v", r, o, want)
			}
			return &pduOf{p.Header, p.Data}
		}
	}
}

type pduOf struct {
	Header pdu.Header
	Data   []byte
}

// reassign asks for a command to go on over a connection.
func (s *together) reassign(r *raw, itt pdu.ITT, have uint32) pdu.TaskResult {
	s.t.Helper()
	return s.function(r, sam.TaskReassign, itt, have)
}

func (s *together) function(r *raw, f sam.Function, itt pdu.ITT, have uint32) pdu.TaskResult {
	s.t.Helper()
	h := new(pdu.Header)
	h.SetOpcode(pdu.OpTaskRequest)
	h.SetImmediate()
	q := pdu.AsTaskRequest(h)
	q.SetFunction(f)
	q.SetReferencedTag(itt)
	q.SetExpDataSN(serial.Data(have))
	r.send(s.number(h), nil)
	return pdu.AsTaskResponse(&r.past(pdu.OpAsync, pdu.OpTaskResponse).Header).Result()
}

// lose cuts a connection and waits until the target knows.
func (s *together) lose(i int) {
	s.t.Helper()
	_ = s.conns[i].conn.Close()
	lost := s.e.eventually(func() bool {
		for _, x := range mustStatus(s.t, s.e).Sessions {
			if x.State == "lost; its commands wait" {
				return true
			}
		}
		return false
	})
	if !lost {
		s.t.Fatal("the loss was not seen")
	}
}

func (s *together) fill(lba byte, blocks byte, n uint32) {
	s.t.Helper()
	h := s.command(sam.Simple, []byte{0x2a, 0, 0, 0, 0, lba, 0, 0, blocks}, uint32(blocks)*512, 0)
	s.conns[0].send(h, many(n, int(blocks)))
	s.conns[0].answered(h, sam.Good)
}

// many are blocks with consecutive stamps.
func many(n uint32, blocks int) (b []byte) {
	for i := range blocks {
		b = append(b, stamp(n+uint32(i))...)
	}
	return b
}

func onReactors(t *testing.T, f func(t *testing.T, e *Engine)) {
	for _, n := range []int{1, 3} {
		f(t, oneUnit(t, n))
	}
}

// A read goes on, on another connection, behind the data that the initiator has.
func TestRecovery_ReadHalfDone(t *testing.T) {
	conform.Covers(t, "R-10.5.6-1", "R-10.6-1", "R-6.2.2-2", "R-6.2.2-3", "R-6.2.2-5", "R-10.14-2", "R-10.15.3-1", "R-6.1.4.3-1", "R-10.9.1-3")
	conform.Trap(t, 33)
	onReactors(t, func(t *testing.T, e *Engine) {
		s := joined(t, e, 3, level2)
		s.fill(0, 64, 100)
		h := s.command(sam.Simple, []byte{0x28, 0, 0, 0, 0, 0, 0, 0, 64}, 0, 64*512)
		lost := s.conns[1]
		lost.send(h, nil)
		first := lost.receive(pdu.OpDataIn)
		if len(first.Data) != 8192 {
			t.Fatalf("%d bytes", len(first.Data))
		}
		s.lose(1)
		other := s.conns[2]
		// §6.1.4.3: the loss is told on another connection.
		a := s.conns[0].past(pdu.OpNOPIn, pdu.OpAsync)
		if x := pdu.AsAsync(&a.Header); x.Event() != pdu.EventDropping {
			t.Errorf("event %d", x.Event())
		}
		if got := s.reassign(other, h.ITT(), 1); got != pdu.TaskStillAllegiant {
			t.Errorf("before the logout: %v", got)
		}
		l := s.logout(other, pdu.RemoveForRecovery, 1)
		if wait, retain := l.Times(); l.Result() != pdu.LogoutDone || wait != 2 || retain != 20 {
			t.Fatalf("logout for recovery: %v, %d, %d", l.Result(), wait, retain)
		}
		if got := s.reassign(other, h.ITT(), 1); got != pdu.FunctionComplete {
			t.Fatalf("reassign: %v", got)
		}
		data := append([]byte(nil), first.Data...)
		for sn := uint32(1); ; sn++ {
			p := other.receive(pdu.OpDataIn)
			d := pdu.AsDataIn(&p.Header)
			if d.DataSN() != serial.Data(sn) || d.BufferOffset() != uint32(len(data)) || p.Header.ITT() != h.ITT() {
				t.Fatalf("Data-In %v at %d of %x", d.DataSN(), d.BufferOffset(), p.Header.ITT())
			}
			data = append(data, p.Data...)
			if p.Header.Flags()&pdu.DataStatus != 0 {
				break
			}
		}
		if !bytes.Equal(data, many(100, 64)) {
			t.Error("the data is not what was written")
		}
		if got := s.reassign(other, h.ITT(), 0); got != pdu.TaskStillAllegiant && got != pdu.TaskDoesNotExist {
			t.Errorf("a second time: %v", got)
		}
	})
}

// Numbers of data that was not sent acknowledge nothing.
func TestRecovery_ExpDataSN(t *testing.T) {
	conform.Covers(t, "R-10.5.6-3", "R-10.5.6-2")
	conform.Trap(t, 33)
	for have, want := range map[uint32]uint32{0: 0, 4: 4, 5: 0, 1 << 31: 0, 3: 3} {
		e := oneUnit(t, 2)
		s := joined(t, e, 2, level2)
		h := s.command(sam.Simple, []byte{0x28, 0, 0, 0, 0, 0, 0, 0, 64}, 0, 64*512)
		lost := s.conns[1]
		lost.send(h, nil)
		for range 4 {
			lost.receive(pdu.OpDataIn)
		}
		s.lose(1)
		s.logout(s.conns[0], pdu.RemoveForRecovery, 1)
		if got := s.reassign(s.conns[0], h.ITT(), have); got != pdu.FunctionComplete {
			t.Fatalf("have %d: %v", have, got)
		}
		if want == 4 {
			// All of the data is there; the status is what is left.
			s.conns[0].receive(pdu.OpSCSIResponse)
			continue
		}
		p := s.conns[0].receive(pdu.OpDataIn)
		if d := pdu.AsDataIn(&p.Header); d.DataSN() != serial.Data(want) || d.BufferOffset() != want*8192 {
			t.Errorf("have %d: goes on with %v at %d", have, d.DataSN(), d.BufferOffset())
		}
	}
}

// A write whose data was asked for goes on with what is missing.
func TestRecovery_WriteWithOpenR2T(t *testing.T) {
	conform.Covers(t, "R-6.2.2-2", "R-6.2.2-3")
	conform.Trap(t, 33)
	onReactors(t, func(t *testing.T, e *Engine) {
		for _, a := range []sam.Attribute{sam.Simple, sam.Ordered} {
			s := joined(t, e, 3, level2, "MaxBurstLength=4096", "ImmediateData=No")
			h := s.command(a, []byte{0x2a, 0, 0, 0, 0, 8, 0, 0, 24}, 24*512, 0)
			lost := s.conns[1]
			lost.send(h, nil)
			want := many(200, 24)
			r2t := pdu.AsR2T(&lost.receive(pdu.OpR2T).Header)
			lost.burst(r2t, want)
			lost.receive(pdu.OpR2T) // and no data
			// One behind it waits for it when it is ORDERED, whatever becomes of it.
			behind := s.command(sam.Ordered, []byte{0x2a, 0, 0, 0, 0, 9, 0, 0, 1}, 512, 0)
			s.conns[0].send(behind, nil)
			s.lose(1)
			other := s.conns[2]
			s.logout(other, pdu.RemoveForRecovery, 1)
			if got := s.reassign(other, h.ITT(), 1); got != pdu.FunctionComplete {
				t.Fatalf("reassign: %v", got)
			}
			r2t = pdu.AsR2T(&other.receive(pdu.OpR2T).Header)
			if r2t.R2TSN() != serial.Data(1) {
				t.Errorf("R2TSN %v", r2t.R2TSN())
			}
			for {
				other.burst(r2t, want)
				p, err := other.conn.Receive()
				if err != nil {
					t.Fatal(err)
				}
				if p.Header.Opcode() == pdu.OpSCSIResponse {
					if pdu.AsSCSIResponse(&p.Header).Status() != sam.Good {
						t.Fatalf("status %02x %x", pdu.AsSCSIResponse(&p.Header).Status(), p.Data)
					}
					break
				}
				r2t = pdu.AsR2T(&p.Header)
			}
			p := s.conns[0].past(pdu.OpAsync, pdu.OpR2T)
			s.conns[0].finish(pdu.AsR2T(&p.Header), 999)
			s.conns[0].answered(behind, sam.Good)
			copy(want[512:], stamp(999))
			h = s.command(sam.Ordered, []byte{0x28, 0, 0, 0, 0, 8, 0, 0, 24}, 0, 24*512)
			s.conns[0].send(h, nil)
			if got := s.conns[0].answered(h, sam.Good); !bytes.Equal(got, want) {
				t.Error("the medium does not hold what was written")
			}
			s.logout(s.conns[0], pdu.CloseSession, 0)
		}
	})
}

// burst sends what an R2T asks for.
func (r *raw) burst(r2t pdu.R2T, all []byte) {
	r.t.Helper()
	h := new(pdu.Header)
	h.SetOpcode(pdu.OpDataOut)
	h.SetFlags(pdu.FlagFinal)
	h.SetITT(r2t.Header.ITT())
	h.SetLUN(r2t.Header.LUN())
	d := pdu.AsDataOut(h)
	d.SetTTT(r2t.TTT())
	d.SetBufferOffset(r2t.BufferOffset())
	r.send(h, all[r2t.BufferOffset():][:r2t.DesiredBytes()])
}

// A status that was not acknowledged comes again.
func TestRecovery_StatusLost(t *testing.T) {
	conform.Covers(t, "R-6.2.2-3", "R-6.1.3-1")
	conform.Trap(t, 33)
	onReactors(t, func(t *testing.T, e *Engine) {
		s := joined(t, e, 3, level2)
		lost, other := s.conns[1], s.conns[2]
		w := s.write(sam.Simple, 3)
		lost.send(w, stamp(5))
		lost.answered(w, sam.Good)
		bad := s.command(sam.Simple, []byte{0x2a, 0, 0xff, 0, 0, 0, 0, 0, 1}, 512, 0)
		lost.send(bad, stamp(5))
		lost.answered(bad, sam.CheckCondition)
		s.lose(1)
		s.logout(other, pdu.RemoveForRecovery, 1)
		for h, want := range map[*pdu.Header]sam.Status{w: sam.Good, bad: sam.CheckCondition} {
			if got := s.reassign(other, h.ITT(), 0); got != pdu.FunctionComplete {
				t.Fatalf("reassign: %v", got)
			}
			p := other.receive(pdu.OpSCSIResponse)
			if got := pdu.AsSCSIResponse(&p.Header).Status(); got != want || p.Header.ITT() != h.ITT() || (want != sam.Good) != (len(p.Data) > 2) {
				t.Errorf("status %02x of %x with %d bytes", got, uint32(p.Header.ITT()), len(p.Data))
			}
		}
		// What was written in between stays: nothing is done twice.
		o := s.write(sam.Simple, 3)
		other.send(o, stamp(6))
		other.answered(o, sam.Good)
		if got := s.reassign(other, w.ITT(), 0); got != pdu.TaskDoesNotExist {
			t.Errorf("once more: %v", got)
		}
	})
}

// What may not be reassigned.
func TestRecovery_Refusals(t *testing.T) {
	conform.Covers(t, "R-6.2.2-4", "R-10.5.1-14", "R-10.5.1-13")
	conform.Trap(t, 33)
	e := oneUnit(t, 2)
	s := joined(t, e, 2, level2)
	if got := s.reassign(s.conns[0], 4711, 0); got != pdu.TaskDoesNotExist {
		t.Errorf("an unknown tag: %v", got)
	}
	open := s.command(sam.Simple, []byte{0x2a, 0, 0, 0, 0, 5, 0, 0, 1}, 512, 0)
	s.conns[1].send(open, nil)
	s.conns[1].receive(pdu.OpR2T)
	for i, r := range s.conns {
		if got := s.reassign(r, open.ITT(), 0); got != pdu.TaskStillAllegiant {
			t.Errorf("asked on %d: %v", i, got)
		}
	}
	// A function that waits for an earlier number is no command.
	s.cmdSN++ // never comes
	h := new(pdu.Header)
	h.SetOpcode(pdu.OpTaskRequest)
	h.SetImmediate()
	pdu.AsTaskRequest(h).SetFunction(sam.AbortTaskSet)
	pdu.AsTaskRequest(h).SetReferencedTag(pdu.NoTag)
	s.conns[1].send(s.number(h), nil)
	s.conns[1].send(s.ping(nil), nil)
	s.conns[1].receive(pdu.OpNOPIn)
	for i, r := range s.conns {
		if got := s.reassign(r, h.ITT(), 0); got != pdu.FunctionRejected {
			t.Errorf("a function, asked on %d: %v", i, got)
		}
	}
	low := anotherPort(t, e, "ErrorRecoveryLevel=1")
	if got := low.reassign(low.conns[0], 1, 0); got != pdu.ReassignmentNotSupported {
		t.Errorf("at level 1: %v", got)
	}
}

// anotherPort is a session of another initiator port, with one connection.
func anotherPort(t *testing.T, e *Engine, keys ...string) *together {
	t.Helper()
	s := &together{t: t, e: e, cmdSN: 5}
	r := dialRaw(t, e, 0)
	r.isid[5]++
	r.cmdSN = s.cmdSN
	if l := r.login(0, append([]string{"TargetName=" + DefaultTarget}, keys...)...); l.Status() != pdu.LoginSuccess {
		t.Fatalf("login: %v", l.Status())
	}
	s.conns = []*raw{r}
	s.pass(r)
	return s
}

// A session with one connection goes on when that logs in again under its identifier:
// the login is the logout for recovery.
func TestRecovery_Continuation(t *testing.T) {
	conform.Covers(t, "R-5.3.6-1", "R-5.3.4-1", "R-10.14-6", "R-7.2-1", "R-7.2-2", "R-7.3-1")
	conform.Trap(t, 17)
	onReactors(t, func(t *testing.T, e *Engine) {
		for _, alive := range []bool{false, true} {
			s := joined(t, e, 1, level2, "MaxConnections=1", "ImmediateData=No")
			h := s.command(sam.Simple, []byte{0x2a, 0, 0, 0, 0, 5, 0, 0, 1}, 512, 0)
			s.conns[0].send(h, nil)
			s.conns[0].receive(pdu.OpR2T)
			if !alive {
				s.lose(0)
			}
			r := s.join(0)
			if alive {
				s.conns[0].closed(pdu.OpAsync)
			}
			if got := s.reassign(r, h.ITT(), 0); got != pdu.FunctionComplete {
				t.Fatalf("reassign: %v", got)
			}
			r.finish(pdu.AsR2T(&r.receive(pdu.OpR2T).Header), 77)
			r.answered(h, sam.Good)
			h = s.read(sam.Simple, 5)
			r.send(h, nil)
			if got := r.answered(h, sam.Good); !bytes.Equal(got, stamp(77)) {
				t.Errorf("block 5 holds %x", got[:8])
			}
			s.logout(r, pdu.CloseSession, 0)
			eventuallyEnds(t, e, 0)
		}
	})
}

// A connection may remove itself: the answer is the last it says.
func TestRecovery_RemovesItself(t *testing.T) {
	conform.Covers(t, "R-10.14-2")
	e := oneUnit(t, 3)
	s := joined(t, e, 2, level2, "ImmediateData=No")
	h := s.command(sam.Simple, []byte{0x2a, 0, 0, 0, 0, 5, 0, 0, 1}, 512, 0)
	s.conns[1].send(h, nil)
	s.conns[1].receive(pdu.OpR2T)
	if l := s.logout(s.conns[1], pdu.RemoveForRecovery, 1); l.Result() != pdu.LogoutDone {
		t.Fatalf("logout: %v", l.Result())
	}
	s.conns[1].closed(pdu.OpAsync)
	if got := s.reassign(s.conns[0], h.ITT(), 0); got != pdu.FunctionComplete {
		t.Fatalf("reassign: %v", got)
	}
	s.conns[0].finish(pdu.AsR2T(&s.conns[0].receive(pdu.OpR2T).Header), 1)
	s.conns[0].answered(h, sam.Good)
}

// A command of a lost connection can be ended from another one.
func TestRecovery_AbortTask(t *testing.T) {
	conform.Covers(t, "R-10.5.1-8")
	e := oneUnit(t, 3)
	s := joined(t, e, 2, level2, "ImmediateData=No")
	h := s.command(sam.Simple, []byte{0x2a, 0, 0, 0, 0, 5, 0, 0, 1}, 512, 0)
	s.conns[1].send(h, nil)
	s.conns[1].receive(pdu.OpR2T)
	s.lose(1)
	s.logout(s.conns[0], pdu.RemoveForRecovery, 1)
	if got := s.function(s.conns[0], sam.AbortTask, h.ITT(), 0); got != pdu.FunctionComplete {
		t.Errorf("abort: %v", got)
	}
	if got := s.reassign(s.conns[0], h.ITT(), 0); got != pdu.TaskDoesNotExist {
		t.Errorf("reassign: %v", got)
	}
}

// Commands that nobody takes end in time, and the nexus hears of it.
func TestRecovery_TimesOut(t *testing.T) {
	conform.Covers(t, "R-6.4.1-1", "R-7.2-1", "R-10.14.5-1", "R-6.5-1", "R-12.15-1")
	conform.Trap(t, 33)
	e := oneUnit(t, 2)
	s := joined(t, e, 2, level2, "DefaultTime2Wait=0", "DefaultTime2Retain=1", "ImmediateData=No")
	h := s.command(sam.Simple, []byte{0x2a, 0, 0, 0, 0, 5, 0, 0, 1}, 512, 0)
	s.conns[1].send(h, nil)
	s.conns[1].receive(pdu.OpR2T)
	s.lose(1)
	began := time.Now()
	eventuallyEnds(t, e, 1)
	if waited := time.Since(began); waited < 2*time.Second {
		t.Errorf("ended after %v; Time2Wait and Time2Retain are 2 and 1 s", waited)
	}
	if got := s.reassign(s.conns[0], h.ITT(), 0); got != pdu.TaskDoesNotExist {
		t.Errorf("reassign: %v", got)
	}
	q := s.command(sam.Simple, make([]byte, 6), 0, 0)
	s.conns[0].send(q, nil)
	p := s.conns[0].receive(pdu.OpSCSIResponse)
	if len(p.Data) < 16 || p.Data[2+12] != 0x47 || p.Data[2+13] != 0x7f {
		t.Errorf("sense % x", p.Data)
	}
}

// The SNACK Tag of a read belongs to the connection that is gone: its status carries
// none, and so rides on the last Data-In again.
func TestRecovery_SNACKTag(t *testing.T) {
	conform.Covers(t, "R-6.2.2-6")
	e := oneUnit(t, 3)
	for _, answered := range []bool{false, true} {
		s := joined(t, e, 2, level2)
		h := s.command(sam.Simple, []byte{0x28, 0, 0, 0, 0, 0, 0, 0, 64}, 0, 64*512)
		lost := s.conns[1]
		lost.send(h, nil)
		if answered {
			lost.answered(h, sam.Good)
		} else {
			lost.receive(pdu.OpDataIn)
		}
		q := new(pdu.Header)
		q.SetOpcode(pdu.OpSNACK)
		q.SetITT(h.ITT())
		x := pdu.AsSNACK(q)
		x.SetType(pdu.SNACKRData)
		x.SetTag(77)
		lost.send(q, nil)
		p := lost.past(pdu.OpDataIn, pdu.OpSCSIResponse)
		if got := pdu.AsSCSIResponse(&p.Header).SNACKTag(); got != 77 {
			t.Fatalf("tag %d", got)
		}
		s.lose(1)
		s.logout(s.conns[0], pdu.RemoveForRecovery, 1)
		if got := s.reassign(s.conns[0], h.ITT(), 2); got != pdu.FunctionComplete {
			t.Fatalf("reassign: %v", got)
		}
		if n := len(s.conns[0].answered(h, sam.Good)); n != 64*512-2*8192 {
			t.Errorf("%d bytes behind two PDUs", n)
		}
		s.logout(s.conns[0], pdu.CloseSession, 0)
	}
}

// The functions that RFC 7144 adds, at protocol level 2 and below it.
func TestProtocolLevel2_Functions(t *testing.T) {
	conform.Covers(t, "N-24", "N-26", "N-27")
	e := oneUnit(t, 3)
	s := joined(t, e, 2, level2, "iSCSIProtocolLevel=2", "ImmediateData=No")
	ask := func(r *raw, f sam.Function, itt pdu.ITT) (pdu.TaskResult, [3]byte) {
		h := new(pdu.Header)
		h.SetOpcode(pdu.OpTaskRequest)
		h.SetImmediate()
		pdu.AsTaskRequest(h).SetFunction(f)
		pdu.AsTaskRequest(h).SetReferencedTag(itt)
		r.send(s.number(h), nil)
		p := r.past(pdu.OpAsync, pdu.OpTaskResponse)
		x := pdu.AsTaskResponse(&p.Header)
		return x.Result(), x.AdditionalInformation()
	}
	a, b := s.conns[0], s.conns[1]
	expect := func(what string, r *raw, f sam.Function, itt pdu.ITT, want pdu.TaskResult, info [3]byte) {
		t.Helper()
		if got, added := ask(r, f, itt); got != want || added != info {
			t.Errorf("%s: %v %x, want %v %x", what, got, added, want, info)
		}
	}
	none := [3]byte{}
	expect("an empty task set", a, sam.QueryTaskSet, pdu.NoTag, pdu.FunctionComplete, none)
	expect("an unknown task", a, sam.QueryTask, 99, pdu.FunctionComplete, none)
	expect("no attention", a, sam.QueryAsynchronousEvent, pdu.NoTag, pdu.FunctionComplete, none)
	open := s.command(sam.Simple, []byte{0x2a, 0, 0, 0, 0, 5, 0, 0, 1}, 512, 0)
	b.send(open, nil)
	b.receive(pdu.OpR2T)
	expect("a task set", a, sam.QueryTaskSet, pdu.NoTag, pdu.FunctionSucceeded, none)
	expect("a task", b, sam.QueryTask, open.ITT(), pdu.FunctionSucceeded, none)
	// The descriptor of INQUIRY says what was agreed to.
	h := s.command(sam.Simple, []byte{0x12, 0, 0, 0, 96, 0}, 0, 96)
	a.send(h, nil)
	if got := a.answered(h, sam.Good); got[60] != 0x09 || got[61] != 0x62 {
		t.Errorf("version descriptor %x", got[60:62])
	}
	s.lose(1)
	expect("a task whose connection is gone", a, sam.QueryTask, open.ITT(), pdu.FunctionSucceeded, none)
	s.logout(a, pdu.CloseConnection, 1)
	expect("an attention", a, sam.QueryAsynchronousEvent, pdu.NoTag, pdu.FunctionSucceeded, [3]byte{0x16, 0x47, 0x7f})
	c := s.join(1)
	if got, _ := ask(c, sam.NexusReset, pdu.NoTag); got != pdu.FunctionComplete {
		t.Errorf("I_T NEXUS RESET: %v", got)
	}
	c.closed(pdu.OpAsync)
	a.closed(pdu.OpAsync)
	eventuallyEnds(t, e, 0)
	// Another session of the same port hears of the loss.
	again := dialRaw(t, e, 0)
	again.in(DefaultTarget)
	codes := []uint16{again.testReady(0), again.testReady(0), again.testReady(0)}
	if !slices.Contains(codes, 0x2907) {
		t.Errorf("attentions %04x", codes)
	}
	low := anotherPort(t, e)
	for f := sam.QueryTask; f <= sam.QueryAsynchronousEvent; f++ {
		if got := low.function(low.conns[0], f, 1, 0); got != pdu.FunctionNotSupported {
			t.Errorf("function %d at level 1: %v", f, got)
		}
	}
}

// A question for a command whose connection was logged out for recovery brings it to the
// connection that asks, on whichever reactor; one for another unit, or before the logout,
// leaves it where it is.
func TestProtocolLevel2_QueryTaskTakesTheAllegiance(t *testing.T) {
	conform.Covers(t, "N-27")
	onReactors(t, func(t *testing.T, e *Engine) {
		s := joined(t, e, 3, level2, "iSCSIProtocolLevel=2")
		s.fill(0, 2, 100)
		a, lost := s.conns[0], s.conns[1]
		write := s.command(sam.Simple, []byte{0x2a, 0, 0, 0, 0, 5, 0, 0, 1}, 512, 0)
		lost.send(write, nil)
		lost.receive(pdu.OpR2T)
		read := s.command(sam.Simple, []byte{0x28, 0, 0, 0, 0, 0, 0, 0, 2}, 0, 1024)
		lost.send(read, nil)
		lost.answered(read, sam.Good) // and not acknowledged
		s.lose(1)
		if got := s.function(a, sam.QueryTask, write.ITT(), 0); got != pdu.FunctionSucceeded {
			t.Errorf("before the logout: %v", got)
		}
		s.logout(a, pdu.RemoveForRecovery, 1)
		elsewhere := new(pdu.Header)
		elsewhere.SetOpcode(pdu.OpTaskRequest)
		elsewhere.SetImmediate()
		elsewhere.SetLUN(sam.LUNOf(9))
		q := pdu.AsTaskRequest(elsewhere)
		q.SetFunction(sam.QueryTask)
		q.SetReferencedTag(write.ITT())
		a.send(s.number(elsewhere), nil)
		p := a.past(pdu.OpAsync, pdu.OpTaskResponse)
		if got := pdu.AsTaskResponse(&p.Header).Result(); got != pdu.FunctionComplete {
			t.Errorf("of another unit: %v", got)
		}
		// What was answered is in no task set, and stays reassignable.
		if got := s.function(a, sam.QueryTask, read.ITT(), 0); got != pdu.FunctionComplete {
			t.Errorf("a command that was answered: %v", got)
		}
		// What the initiator has of the data is nothing a question speaks of.
		if got := s.function(a, sam.QueryTask, write.ITT(), 7); got != pdu.FunctionSucceeded {
			t.Fatalf("behind the logout: %v", got)
		}
		r2t := a.receive(pdu.OpR2T)
		if got := s.reassign(s.conns[2], write.ITT(), 0); got != pdu.TaskStillAllegiant {
			t.Errorf("reassigned once more: %v", got)
		}
		d := pdu.AsDataOut(new(pdu.Header))
		d.SetOpcode(pdu.OpDataOut)
		d.SetFlags(pdu.FlagFinal)
		d.SetITT(write.ITT())
		d.SetTTT(pdu.AsR2T(&r2t.Header).TTT())
		a.send(d.Header, stamp(77))
		a.answered(write, sam.Good)
		h := s.read(sam.Simple, 5)
		a.send(h, nil)
		if got := a.answered(h, sam.Good); !slices.Equal(got, stamp(77)) {
			t.Errorf("block 5 holds %x", got[:8])
		}
	})
}

// An initiator that cuts its connections as fast as it makes them does not fill the
// memory: the oldest that were lost end.
func TestRecovery_ManyCuts(t *testing.T) {
	e := oneUnit(t, 2)
	s := joined(t, e, 1, level2, "ImmediateData=No")
	for range 3 * maxParked {
		r := s.join(1)
		h := s.command(sam.Simple, []byte{0x2a, 0, 0, 0, 0, 5, 0, 0, 1}, 512, 0)
		r.send(h, nil)
		// An R2T, or the attention that commands of one that ended are gone.
		p, err := r.conn.Receive()
		for err == nil && p.Header.Opcode() == pdu.OpNOPIn {
			p, err = r.conn.Receive() // the command window has moved
		}
		if o := p.Header.Opcode(); err != nil || o != pdu.OpR2T && o != pdu.OpSCSIResponse {
			t.Fatalf("%v, %v", o, err)
		}
		_ = r.conn.Close()
	}
	if !e.eventually(func() bool { return len(mustStatus(t, e).Sessions) <= maxParked+1 }) {
		t.Errorf("%d connections, lost ones included", len(mustStatus(t, e).Sessions))
	}
	if l := s.logout(s.conns[0], pdu.CloseSession, 0); l.Result() != pdu.LogoutDone {
		t.Errorf("logout: %v", l.Result())
	}
	eventuallyEnds(t, e, 0)
	if err := e.Stop(); err != nil {
		t.Error(err)
	}
	for _, k := range e.cores {
		for _, u := range e.units {
			if n := u.lun.Tasks(k.id); n != 0 {
				t.Errorf("the unit holds %d commands on reactor %d", n, k.id)
			}
		}
		if k.unasked.Free() != k.unasked.Bytes() || k.staged.Free() != k.staged.Bytes() {
			t.Errorf("reactor %d: memory is missing", k.id)
		}
	}
}

// A command that was answered, and reassigned because the answer was not acknowledged,
// outlives the loss of its second connection too.
func TestRecovery_Twice(t *testing.T) {
	conform.Covers(t, "R-6.2.2-2", "R-6.2.2-3")
	onReactors(t, func(t *testing.T, e *Engine) {
		const blocks = 8000 // more than sockets hold
		s := joined(t, e, 4, level2)
		s.fill(0, 64, 100)
		h := s.command(sam.Simple, []byte{0x28, 0, 0, 0, 0, 0, 0, blocks >> 8, blocks & 0xff}, 0, blocks*512)
		s.conns[1].send(h, nil)
		s.conns[1].answered(h, sam.Good)
		for lost := 1; lost <= 2; lost++ {
			s.lose(lost)
			s.logout(s.conns[3], pdu.RemoveForRecovery, pdu.CID(lost))
			if got := s.reassign(s.conns[(lost+1)%3], h.ITT(), 0); got != pdu.FunctionComplete {
				t.Fatalf("lost %d, reassign: %v", lost, got)
			}
		}
		if data := s.conns[0].answered(h, sam.Good); len(data) != blocks*512 || !bytes.Equal(data[:64*512], many(100, 64)) {
			t.Error("the data is not what was written")
		}
		s.logout(s.conns[3], pdu.CloseSession, 0)
	})
}
