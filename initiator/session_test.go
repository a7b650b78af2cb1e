package initiator

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lunar/initiator/drive"
	"lunar/initiator/faketarget"
	"lunar/iscsi/pdu"
	"lunar/scsi/sam"
)

// A closed window holds commands back but not immediate ones.
func TestSession_ClosedWindow_HoldsCommands(t *testing.T) {
	eachDrive(t, func(t *testing.T, loop *drive.Loop) {
		target := serveFake(t, faketarget.Config{Hold: true})
		s := dialOn(t, loop, target, Config{})
		ended := make(chan error, 1)
		go func() {
			_, err := s.Do(t.Context(), Command{CDB: make([]byte, 6)})
			ended <- err
		}()
		if _, err := s.Ping(t.Context(), []byte("x")); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if _, err := s.Do(ctx, Command{CDB: make([]byte, 6)}); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("a command that was never sent: %v", err)
		}
		if n := target.Seen(pdu.OpSCSICommand); n != 0 {
			t.Fatalf("%d commands went through a closed window", n)
		}
		target.Conns()[0].Open()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if n := target.Seen(pdu.OpTaskRequest); n != 0 {
			t.Errorf("%d aborts for a command that was never sent", n)
		}
	})
}

// A cancelled command is aborted, and its slot lives on.
func TestDo_Cancelled_SendsAbortTask(t *testing.T) {
	eachDrive(t, func(t *testing.T, loop *drive.Loop) {
		var aborted atomic.Uint32
		target := serveFake(t, faketarget.Config{Request: func(_ *faketarget.Conn, h *pdu.Header, _ []byte) bool {
			switch {
			case h.Opcode() == pdu.OpSCSICommand && pdu.AsSCSICommand(h).CDB()[0] == opRead16:
				return true // never answered
			case h.Opcode() == pdu.OpTaskRequest:
				q := pdu.AsTaskRequest(h)
				if q.Function() == sam.AbortTask {
					aborted.Store(uint32(q.ReferencedTag()) + 1)
				}
			}
			return false
		}})
		s := dialOn(t, loop, target, Config{QueueDepth: 1})
		for range 3 {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			cdb := (&Disk{blockBytes: 512}).BlockCDB(opRead16, 0, 512)
			_, err := s.Do(ctx, Command{CDB: cdb[:], In: make([]byte, 512)})
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(err)
			}
			if aborted.Swap(0) == 0 {
				t.Fatal("no ABORT TASK was sent")
			}
		}
		if _, err := s.Do(t.Context(), Command{CDB: make([]byte, 6)}); err != nil {
			t.Error(err)
		}
	})
}

func TestTaskManagement_LUNReset_EndsCommands(t *testing.T) {
	endsOneOfTwo(t, sam.LogicalUnitReset, sam.Simple, Command{LUN: sam.LUNOf(4), Attribute: sam.Simple})
}

// CLEAR ACA ends the command that attends to the ACA, and no other of its unit nor one of
// another.
func TestTaskManagement_ClearACA_EndsTheACACommand(t *testing.T) {
	endsOneOfTwo(t, sam.ClearACA, sam.ACA, Command{LUN: sam.LUNOf(3), Attribute: sam.Simple})
	endsOneOfTwo(t, sam.ClearACA, sam.ACA, Command{LUN: sam.LUNOf(4), Attribute: sam.ACA})
}

// endsOneOfTwo checks that a function on unit 3 ends a command of this attribute there,
// and not the other one.
func endsOneOfTwo(t *testing.T, f sam.Function, attribute sam.Attribute, spared Command) {
	eachDrive(t, func(t *testing.T, loop *drive.Loop) {
		target := serveFake(t, faketarget.Config{Request: func(_ *faketarget.Conn, h *pdu.Header, _ []byte) bool {
			return h.Opcode() == pdu.OpSCSICommand
		}})
		s := dialOn(t, loop, target, Config{})
		ended := make(chan error, 2)
		spared.CDB = make([]byte, 6)
		r := &Request{Command: Command{LUN: sam.LUNOf(3), Attribute: attribute, CDB: make([]byte, 6)}, Done: func(r *Request) { ended <- r.Err }}
		other := &Request{Command: spared, Done: func(r *Request) { ended <- r.Err }}
		for _, x := range []*Request{r, other} {
			if err := s.Submit(x); err != nil {
				t.Fatal(err)
			}
		}
		s.Flush()
		res, err := s.TaskManagement(t.Context(), f, sam.LUNOf(3), pdu.NoTag)
		if err != nil || res != pdu.FunctionComplete {
			t.Fatalf("%v, %v", res, err)
		}
		if err := <-ended; !errors.Is(err, ErrAborted) {
			t.Errorf("the command ended with %v", err)
		}
		if _, alive := s.Task(other); !alive {
			t.Error("the other command ended too")
		}
		if _, alive := s.Task(r); alive {
			t.Error("the aborted command is still there")
		}
	})
}

func TestSession_TargetPing_IsAnswered(t *testing.T) {
	eachDrive(t, func(t *testing.T, loop *drive.Loop) {
		answered := make(chan pdu.Header, 1)
		target := serveFake(t, faketarget.Config{Request: func(_ *faketarget.Conn, h *pdu.Header, _ []byte) bool {
			if h.Opcode() == pdu.OpNOPOut && h.ITT() == pdu.NoTag {
				answered <- *h
			}
			return false
		}})
		dialOn(t, loop, target, Config{})
		var h pdu.Header
		h.SetOpcode(pdu.OpNOPIn)
		h.SetFlags(pdu.FlagFinal)
		h.SetITT(pdu.NoTag)
		h.SetLUN(sam.LUNOf(9))
		pdu.AsNOPIn(&h).SetTTT(0x1234)
		c := target.Conns()[0]
		c.Send(&h, nil, false)
		c.Flush()
		select {
		case got := <-answered:
			if pdu.AsNOPOut(&got).TTT() != 0x1234 || got.LUN() != sam.LUNOf(9) || !got.Immediate() {
				t.Errorf("% x", got)
			}
		case <-time.After(5 * time.Second):
			t.Fatal("no answer")
		}
	})
}

func TestSession_Ping_Echoes(t *testing.T) {
	eachDrive(t, func(t *testing.T, loop *drive.Loop) {
		s := dialOn(t, loop, serveFake(t, faketarget.Config{}), Config{DataDigest: true})
		for _, n := range []int{0, 1, 3, 4, 8192} {
			want := randomBytes(n)
			if got, err := s.Ping(t.Context(), want); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d bytes: %d back, %v", n, len(got), err)
			}
		}
		if _, err := s.Ping(t.Context(), make([]byte, 8193)); err == nil {
			t.Error("a ping beyond the target's limit was sent")
		}
	})
}

func TestSession_Reject_EndsTheCommand(t *testing.T) {
	eachDrive(t, func(t *testing.T, loop *drive.Loop) {
		target := serveFake(t, faketarget.Config{Request: func(c *faketarget.Conn, h *pdu.Header, _ []byte) bool {
			if h.Opcode() != pdu.OpSCSICommand {
				return false
			}
			var r pdu.Header
			r.SetOpcode(pdu.OpReject)
			r.SetFlags(pdu.FlagFinal)
			r.SetITT(pdu.NoTag)
			pdu.AsReject(&r).SetReason(pdu.RejectNotSupported)
			c.Send(&r, h[:], true)
			return true
		}})
		s := dialOn(t, loop, target, Config{})
		_, err := s.Do(t.Context(), Command{CDB: make([]byte, 6)})
		var rejected *RejectError
		if !errors.As(err, &rejected) || rejected.Reason != pdu.RejectNotSupported || rejected.Header.Opcode() != pdu.OpSCSICommand {
			t.Fatal(err)
		}
		if _, err := s.Ping(t.Context(), nil); err != nil {
			t.Errorf("the session did not survive: %v", err)
		}
	})
}

func sendAsync(c *faketarget.Conn, e pdu.AsyncEvent, p3 uint16) {
	var h pdu.Header
	a := pdu.AsAsync(&h)
	h.SetOpcode(pdu.OpAsync)
	h.SetFlags(pdu.FlagFinal)
	h.SetITT(pdu.NoTag)
	a.SetEvent(e, 0)
	a.SetParameters(0, 0, p3)
	c.Send(&h, nil, true)
	c.Flush()
}

func TestSession_AsyncLogoutRequest_LogsOut(t *testing.T) {
	eachDrive(t, func(t *testing.T, loop *drive.Loop) {
		target := serveFake(t, faketarget.Config{})
		events := make(chan error, 4)
		s := dialOn(t, loop, target, Config{Event: func(err error) { events <- err }})
		sendAsync(target.Conns()[0], pdu.EventLogoutRequest, 5)
		<-s.Done()
		if n := target.Seen(pdu.OpLogoutReq); n != 1 {
			t.Errorf("%d logouts", n)
		}
		var async *AsyncError
		if err := <-events; !errors.As(err, &async) || async.Event != pdu.EventLogoutRequest || async.Parameter3 != 5 {
			t.Errorf("the event was %v", err)
		}
	})
}

func TestSession_AsyncDropping_EndsEverything(t *testing.T) {
	eachDrive(t, func(t *testing.T, loop *drive.Loop) {
		target := serveFake(t, faketarget.Config{Request: func(c *faketarget.Conn, h *pdu.Header, _ []byte) bool {
			if h.Opcode() == pdu.OpSCSICommand {
				sendAsync(c, pdu.EventDropping, 0)
				return true
			}
			return false
		}})
		s := dialOn(t, loop, target, Config{})
		_, err := s.Do(t.Context(), Command{CDB: make([]byte, 6)})
		var async *AsyncError
		if !errors.As(err, &async) || !strings.Contains(err.Error(), target.Portal()) {
			t.Errorf("got %v", err)
		}
		if _, err := s.Do(t.Context(), Command{CDB: make([]byte, 6)}); !errors.As(err, &async) {
			t.Errorf("a later command: %v", err)
		}
	})
}

func TestDo_CheckCondition_CarriesSense(t *testing.T) {
	eachDrive(t, func(t *testing.T, loop *drive.Loop) {
		s := dialOn(t, loop, serveFake(t, faketarget.Config{}), Config{})
		r, err := s.Do(t.Context(), Command{CDB: []byte{0xc7, 0, 0, 0, 0, 0}, In: make([]byte, 64)})
		if err != nil || r.Status != sam.CheckCondition || !r.Underflow || r.Residual != 64 || len(r.Sense) != 18 {
			t.Fatalf("%+v, %v", r, err)
		}
		var e *SCSIError
		if !errors.As(r.Error(0xc7), &e) || e.Key != sam.IllegalRequest || e.Code != 0x2000 {
			t.Errorf("%v", r.Error(0xc7))
		}
	})
}

// A connection that breaks ends every command, and nobody hangs.
func TestSession_ConnectionBreaks_EndsEverything(t *testing.T) {
	eachDrive(t, func(t *testing.T, loop *drive.Loop) {
		target := serveFake(t, faketarget.Config{Request: func(_ *faketarget.Conn, h *pdu.Header, _ []byte) bool {
			return h.Opcode() == pdu.OpSCSICommand
		}})
		s := dialOn(t, loop, target, Config{QueueDepth: 4})
		var wg sync.WaitGroup
		for range 8 { // twice the depth: half of them wait for a slot
			wg.Go(func() {
				if _, err := s.Do(t.Context(), Command{CDB: make([]byte, 6)}); err == nil {
					t.Error("a command ended well")
				}
			})
		}
		for target.Seen(pdu.OpSCSICommand) < 4 {
			time.Sleep(time.Millisecond)
		}
		target.Conns()[0].Close()
		wg.Wait()
	})
}
