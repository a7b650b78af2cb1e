package engine

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"lunar/initiator"
	"lunar/internal/conform"
	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
	"lunar/scsi/sam"
)

const fastAbort = "TaskReporting=FastAbort,ResponseFence,RFC3720"

// managing is an immediate task management function on LUN 0.
func (s *together) managing(f sam.Function) *pdu.Header {
	h := new(pdu.Header)
	h.SetOpcode(pdu.OpTaskRequest)
	h.SetImmediate()
	p := pdu.AsTaskRequest(h)
	p.SetFunction(f)
	p.SetReferencedTag(pdu.NoTag)
	return s.number(h)
}

// next is what comes next on a connection but for pings of the target and word of the
// window, which are not answered.
func (r *raw) next() *initiator.PDU {
	r.t.Helper()
	for {
		p, err := r.conn.Receive()
		if err != nil {
			r.t.Fatalf("connection %v: %v", r, err)
		}
		if p.Header.Opcode() != pdu.OpNOPIn || p.Header.ITT() != pdu.NoTag {
			return &p
		}
	}
}

// heed acknowledges everything up to a PDU, with its LUN, and without a tag.
func (s *together) heed(r *raw, p *initiator.PDU) {
	s.t.Helper()
	h := new(pdu.Header)
	h.SetOpcode(pdu.OpNOPOut)
	h.SetImmediate()
	h.SetFlags(pdu.FlagFinal)
	h.SetITT(pdu.NoTag)
	h.SetLUN(p.Header.LUN())
	pdu.AsNOPOut(h).SetTTT(pdu.NoTag)
	q := pdu.Request{Header: h}
	q.SetCmdSN(serial.Cmd(s.cmdSN))
	q.SetExpStatSN(pdu.Response{Header: &p.Header}.StatSN().Next())
	r.send(h, nil)
}

// silent says that nothing but answers to pings comes on a connection: an answer to one
// overtakes what is held up.
func (s *together) silent(r *raw) *initiator.PDU {
	s.t.Helper()
	ping := s.ping(r)
	r.send(ping, nil)
	p := r.next()
	if p.Header.Opcode() != pdu.OpNOPIn || p.Header.ITT() != ping.ITT() {
		s.t.Fatalf("connection %v: %v is not held up", r, p.Header.Opcode())
	}
	return p
}

// A reset under FastAbort: the other connection of the session hears that its tasks are
// ended, the response waits for the acknowledgement of that and of all else, on both
// connections, and not for data; status of the unit waits until it is acknowledged
// itself.
func TestFence_ResetUnderFastAbort(t *testing.T) {
	conform.Covers(t, "N-3", "N-4", "N-6", "R-10.9.3-1")
	conform.Trap(t, 15)
	for _, reactors := range []int{1, 3} {
		s := joined(t, oneUnit(t, reactors), 2, fastAbort)
		one, two := s.conns[0], s.conns[1]
		write := s.command(sam.Simple, []byte{0x2a, 0, 0, 0, 0, 0, 0, 0, 8}, 4096, 0)
		two.send(write, nil)
		r2t := two.next()
		if r2t.Header.Opcode() != pdu.OpR2T {
			t.Fatalf("%v", r2t.Header.Opcode())
		}
		reset := s.managing(sam.LogicalUnitReset)
		one.send(reset, nil)
		told := two.next()
		if a := pdu.AsAsync(&told.Header); told.Header.Opcode() != pdu.OpAsync || a.Event() != pdu.EventTermination || a.LUN() != 0 {
			t.Fatalf("%v, event %d", told.Header.Opcode(), a.Event())
		}
		// Neither connection has acknowledged all, then only one has.
		s.silent(one)
		s.heed(two, told)
		s.heed(two, s.silent(two))
		s.heed(one, s.silent(one))
		done := one.next()
		if r := pdu.AsTaskResponse(&done.Header); done.Header.Opcode() != pdu.OpTaskResponse || r.Result() != pdu.FunctionComplete {
			t.Fatalf("%v, result %v", done.Header.Opcode(), r.Result())
		}
		// Late data for the tag that was reserved is thrown away.
		late := pdu.AsDataOut(new(pdu.Header))
		late.SetOpcode(pdu.OpDataOut)
		late.SetFlags(pdu.FlagFinal)
		late.SetITT(write.ITT())
		late.SetTTT(pdu.AsR2T(&r2t.Header).TTT())
		two.send(late.Header, make([]byte, 4096))
		// The unit attention waits for the fence, and then has one of its own.
		test := s.command(sam.Simple, make([]byte, 6), 0, 0)
		two.send(test, nil)
		s.heed(two, s.silent(two))
		s.heed(one, done)
		s.heed(one, s.silent(one))
		two.answered(test, sam.CheckCondition)
	}
}

// Two responses that need a fence at once, on two connections, do not wait for each
// other; one of them held up the status of the unit, not that of others.
func TestFence_OneAfterTheOther(t *testing.T) {
	conform.Covers(t, "N-4")
	e, _ := twoUnits(t, 3)
	for _, r := range []initiator.TaskReporting{initiator.ResponseFence, initiator.FastAbort} {
		s := dialWith(t, e, initiator.Config{Connections: 4, TaskReporting: r})
		if got := s.Params().TaskReporting; got != r {
			t.Fatalf("%v was agreed to, not %v", got, r)
		}
		other := dialWith(t, e, initiator.Config{TaskReporting: r})
		for range 4 {
			testReady(t, s, 0)
			testReady(t, other, 0)
		}
		for lap := range 20 {
			functions(t, s, other, sam.LogicalUnitReset)
			var all sync.WaitGroup
			for range 4 {
				all.Go(func() {
					if _, err := s.Do(t.Context(), initiator.Command{CDB: make([]byte, 6)}); err != nil {
						t.Errorf("lap %d: %v", lap, err)
					}
				})
			}
			all.Wait()
			allegiance(t, s)
		}
	}
}

// allegiance has commands of all connections fail at once with NACA, and clears the ACA
// that one of them established.
func allegiance(t *testing.T, s *initiator.Session) {
	t.Helper()
	var all sync.WaitGroup
	statuses := make([]sam.Status, 8)
	for i := range statuses {
		all.Go(func() {
			r, err := s.Do(t.Context(), initiator.Command{CDB: []byte{0x28, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 1, 4}, In: make([]byte, 512)})
			if err != nil {
				t.Error(err)
			}
			statuses[i] = r.Status
		})
	}
	all.Wait()
	failed := 0
	for _, st := range statuses {
		if st == sam.CheckCondition {
			failed++
		}
	}
	// Those that had begun when the first failed fail too.
	if failed == 0 {
		t.Errorf("statuses %02x", statuses)
	}
	if r, err := s.TaskManagement(t.Context(), sam.ClearACA, 0, pdu.NoTag); err != nil || r != pdu.FunctionComplete {
		t.Errorf("CLEAR ACA: %v, %v", r, err)
	}
	if r, err := s.Do(t.Context(), initiator.Command{CDB: make([]byte, 6)}); err != nil || r.Status != sam.Good {
		t.Errorf("behind it: %02x, %v", r.Status, err)
	}
}

// functions runs a function over two sessions at once.
func functions(t *testing.T, one, two *initiator.Session, f sam.Function) {
	t.Helper()
	var all sync.WaitGroup
	for _, s := range []*initiator.Session{one, two} {
		all.Go(func() {
			if r, err := s.TaskManagement(t.Context(), f, 0, pdu.NoTag); err != nil || r != pdu.FunctionComplete {
				t.Errorf("function %d: %v, %v", f, r, err)
			}
		})
	}
	all.Wait()
}

// While resets fall between them, every command of two sessions ends: with its outcome,
// because a function ended it, or, as nobody tells a third party which of its commands
// are gone, because its caller cancels it. Nothing is left behind.
func TestFastAbort_ResetsUnderLoad(t *testing.T) {
	conform.Covers(t, "N-3", "N-4", "N-5", "N-6")
	for _, level := range []uint8{0, 1, 2} {
		e := oneUnit(t, 3)
		cfg := initiator.Config{Connections: 3, RecoveryLevel: level, TaskReporting: initiator.FastAbort}
		off := false
		cfg.ImmediateData = &off
		sessions := []*initiator.Session{dialWith(t, e, cfg), dialWith(t, e, cfg)}
		var all sync.WaitGroup
		for i, s := range sessions {
			for w := range 6 {
				all.Go(func() { hammer(t, s, byte(8*i+w)) })
			}
		}
		for range 10 {
			time.Sleep(10 * time.Millisecond)
			functions(t, sessions[0], sessions[1], sam.LogicalUnitReset)
			functions(t, sessions[1], sessions[0], sam.ClearTaskSet)
		}
		all.Wait()
		if !e.eventually(func() bool {
			for _, s := range mustStatus(t, e).Sessions {
				if s.Tasks != 0 {
					return false
				}
			}
			return true
		}) {
			t.Errorf("level %d: tasks are left", level)
		}
	}
}

// hammer writes until its time is up.
func hammer(t *testing.T, s *initiator.Session, lba byte) {
	end := time.Now().Add(300 * time.Millisecond)
	data := make([]byte, 128<<10)
	for time.Now().Before(end) {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		_, err := s.Do(ctx, initiator.Command{CDB: []byte{0x2a, 0, 0, 0, lba, 0, 0, 1, 0, 0}, Out: data})
		cancel()
		if err != nil && !errors.Is(err, initiator.ErrAborted) && !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
			return
		}
	}
}
