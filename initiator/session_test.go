package initiator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lunar/initiator/faketarget"
	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
	"lunar/scsi/sam"
)

func randomBytes(n int) []byte {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func openDisk(t *testing.T, s *Session) *Disk {
	t.Helper()
	d, err := OpenDisk(t.Context(), s, 0)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// roundTrip writes, reads back and compares with the medium.
func roundTrip(t *testing.T, target *faketarget.Target, d *Disk, n int) {
	t.Helper()
	want := randomBytes(n)
	if k, err := d.WriteAt(want, 1024); k != n || err != nil {
		t.Fatalf("write: %d, %v", k, err)
	}
	target.Disk(func(disk []byte) {
		if !bytes.Equal(disk[1024:1024+n], want) {
			t.Error("the medium holds something else than was written")
		}
	})
	got := make([]byte, n)
	if k, err := d.ReadAt(got, 1024); k != n || err != nil {
		t.Fatalf("read: %d, %v", k, err)
	}
	if !bytes.Equal(got, want) {
		t.Error("read something else than was written")
	}
}

// Every way data may travel, against a target that judges each PDU.
func TestDisk_RoundTrip_AllTransferModes(t *testing.T) {
	for bits := range 32 {
		immediate, initial := bits&1 != 0, bits&2 != 0
		digest, separate := bits&4 != 0, bits&8 != 0
		r2ts := 1 + bits>>4*2
		name := fmt.Sprintf("immediate=%v,initialR2T=%v,digest=%v,separate=%v,r2ts=%d", immediate, initial, digest, separate, r2ts)
		t.Run(name, func(t *testing.T) {
			target := serveFake(t, faketarget.Config{
				SeparateStatus: separate, R2Ts: r2ts, R2TBytes: 7000, DataInBytes: 5000,
			})
			s := dial(t, target, Config{
				ImmediateData: &immediate, InitialR2T: &initial, MaxOutstandingR2T: uint16(r2ts),
				HeaderDigest: digest, DataDigest: digest, FirstBurst: 12000, MaxBurst: 20000,
			})
			d := openDisk(t, s)
			for _, n := range []int{512, 4096, 8192, 12288, 65536, 300 << 10} {
				roundTrip(t, target, d, n)
			}
			if err := d.Sync(t.Context()); err != nil {
				t.Error(err)
			}
			if err := s.Logout(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestSession_CmdSNWraps(t *testing.T) {
	target := serveFake(t, faketarget.Config{Window: 3})
	d := openDisk(t, dial(t, target, Config{FirstCmdSN: 0xfffffff0}))
	for range 40 {
		roundTrip(t, target, d, 512)
	}
}

func TestSession_ManyCallers_ShareTheWindow(t *testing.T) {
	target := serveFake(t, faketarget.Config{Window: 5})
	d := openDisk(t, dial(t, target, Config{QueueDepth: 8}))
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			p, q := bytes.Repeat([]byte{byte(i)}, 4096), make([]byte, 4096)
			for range 20 {
				if _, err := d.WriteAt(p, int64(i)*4096); err != nil {
					t.Error(err)
					return
				}
				if _, err := d.ReadAt(q, int64(i)*4096); err != nil || !bytes.Equal(p, q) {
					t.Errorf("caller %d read something else: %v", i, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// A closed window holds commands back but not immediate ones.
func TestSession_ClosedWindow_HoldsCommands(t *testing.T) {
	target := serveFake(t, faketarget.Config{Hold: true})
	s := dial(t, target, Config{})
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
}

// A cancelled command is aborted, and its slot lives on.
func TestDo_Cancelled_SendsAbortTask(t *testing.T) {
	var aborted atomic.Uint32
	target := serveFake(t, faketarget.Config{Request: func(c *faketarget.Conn, h *pdu.Header, _ []byte) bool {
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
	s := dial(t, target, Config{QueueDepth: 1})
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
}

func TestTaskManagement_LUNReset_EndsCommands(t *testing.T) {
	target := serveFake(t, faketarget.Config{Request: func(_ *faketarget.Conn, h *pdu.Header, _ []byte) bool {
		return h.Opcode() == pdu.OpSCSICommand
	}})
	s := dial(t, target, Config{})
	ended := make(chan error, 2)
	r := &Request{Command: Command{LUN: sam.LUNOf(3), CDB: make([]byte, 6)}, Done: func(r *Request) { ended <- r.Err }}
	other := &Request{Command: Command{LUN: sam.LUNOf(4), CDB: make([]byte, 6)}, Done: func(r *Request) { ended <- r.Err }}
	for _, x := range []*Request{r, other} {
		if err := s.Submit(x); err != nil {
			t.Fatal(err)
		}
	}
	s.Flush()
	res, err := s.TaskManagement(t.Context(), sam.LogicalUnitReset, sam.LUNOf(3), pdu.NoTag)
	if err != nil || res != pdu.FunctionComplete {
		t.Fatalf("%v, %v", res, err)
	}
	if err := <-ended; !errors.Is(err, ErrAborted) {
		t.Errorf("the command ended with %v", err)
	}
	if _, alive := s.Task(other); !alive {
		t.Error("the command of another unit ended too")
	}
	if _, alive := s.Task(r); alive {
		t.Error("the aborted command is still there")
	}
}

func TestSession_TargetPing_IsAnswered(t *testing.T) {
	answered := make(chan pdu.Header, 1)
	target := serveFake(t, faketarget.Config{Request: func(_ *faketarget.Conn, h *pdu.Header, _ []byte) bool {
		if h.Opcode() == pdu.OpNOPOut && h.ITT() == pdu.NoTag {
			answered <- *h
		}
		return false
	}})
	dial(t, target, Config{})
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
}

func TestSession_Ping_Echoes(t *testing.T) {
	s := dial(t, serveFake(t, faketarget.Config{}), Config{DataDigest: true})
	for _, n := range []int{0, 1, 3, 4, 8192} {
		want := randomBytes(n)
		if got, err := s.Ping(t.Context(), want); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes: %d back, %v", n, len(got), err)
		}
	}
	if _, err := s.Ping(t.Context(), make([]byte, 8193)); err == nil {
		t.Error("a ping beyond the target's limit was sent")
	}
}

func TestSession_Reject_EndsTheCommand(t *testing.T) {
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
	s := dial(t, target, Config{})
	_, err := s.Do(t.Context(), Command{CDB: make([]byte, 6)})
	var rejected *RejectError
	if !errors.As(err, &rejected) || rejected.Reason != pdu.RejectNotSupported || rejected.Header.Opcode() != pdu.OpSCSICommand {
		t.Fatal(err)
	}
	if _, err := s.Ping(t.Context(), nil); err != nil {
		t.Errorf("the session did not survive: %v", err)
	}
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
	target := serveFake(t, faketarget.Config{})
	events := make(chan error, 4)
	s := dial(t, target, Config{Event: func(err error) { events <- err }})
	sendAsync(target.Conns()[0], pdu.EventLogoutRequest, 5)
	<-s.Done()
	if n := target.Seen(pdu.OpLogoutReq); n != 1 {
		t.Errorf("%d logouts", n)
	}
	var async *AsyncError
	if err := <-events; !errors.As(err, &async) || async.Event != pdu.EventLogoutRequest || async.Parameter3 != 5 {
		t.Errorf("the event was %v", err)
	}
}

func TestSession_AsyncDropping_EndsEverything(t *testing.T) {
	target := serveFake(t, faketarget.Config{Request: func(c *faketarget.Conn, h *pdu.Header, _ []byte) bool {
		if h.Opcode() == pdu.OpSCSICommand {
			sendAsync(c, pdu.EventDropping, 0)
			return true
		}
		return false
	}})
	s := dial(t, target, Config{})
	_, err := s.Do(t.Context(), Command{CDB: make([]byte, 6)})
	var async *AsyncError
	if !errors.As(err, &async) || !strings.Contains(err.Error(), target.Portal()) {
		t.Errorf("got %v", err)
	}
	if _, err := s.Do(t.Context(), Command{CDB: make([]byte, 6)}); !errors.As(err, &async) {
		t.Errorf("a later command: %v", err)
	}
}

// What a target must not send ends the session, and says why.
func TestSession_TargetBreaksRules_IsNoticed(t *testing.T) {
	for name, c := range map[string]struct {
		change func(h *pdu.Header) faketarget.Fate
		want   string
	}{
		"DataSN":   {onDataIn(func(d pdu.DataIn) { d.SetDataSN(d.DataSN().Next()) }), "DataSN"},
		"offset":   {onDataIn(func(d pdu.DataIn) { d.SetBufferOffset(d.BufferOffset() + 4) }), "offset"},
		"ITT":      {onDataIn(func(d pdu.DataIn) { d.SetITT(d.ITT() + generationStep) }), "ITT"},
		"StatSN":   {onDataIn(func(d pdu.DataIn) { d.SetStatSN(d.StatSN().Add(1)) }), "StatSN"},
		"residual": {onDataIn(func(d pdu.DataIn) { d.SetFlags(d.Flags() | pdu.ResidualUnderflow); d.SetResidual(9) }), "GOOD after"},
		"no F":     {onDataIn(func(d pdu.DataIn) { d.SetFlags(d.Flags() &^ pdu.FlagFinal) }), "without F"},
		"opcode":   {onDataIn(func(d pdu.DataIn) { d.SetOpcode(pdu.OpLoginResp) }), "Login Response"},
		"both":     {onDataIn(func(d pdu.DataIn) { d.SetFlags(d.Flags() | 6) }), "both"},
		"lost data": {func(h *pdu.Header) faketarget.Fate {
			if h.Opcode() == pdu.OpDataIn && h.Flags()&pdu.DataStatus == 0 {
				return faketarget.Lose
			}
			return faketarget.Deliver
		}, "DataSN"},
		"R2TSN":     {onR2T(func(r pdu.R2T) { r.SetR2TSN(r.R2TSN().Add(1)) }), "R2TSN"},
		"R2T end":   {onR2T(func(r pdu.R2T) { r.SetDesiredBytes(r.DesiredBytes() + 1) }), "writes"},
		"R2T empty": {onR2T(func(r pdu.R2T) { r.SetDesiredBytes(0) }), "MaxBurstLength"},
		"R2T tag":   {onR2T(func(r pdu.R2T) { r.SetTTT(pdu.NoTag) }), "Transfer Tag"},
		"R2T gap":   {onR2T(func(r pdu.R2T) { r.SetBufferOffset(r.BufferOffset() + 512) }), "offset"},
	} {
		t.Run(name, func(t *testing.T) {
			target := serveFake(t, faketarget.Config{DataInBytes: 4096, Reply: func(h *pdu.Header, _ []byte) faketarget.Fate {
				return c.change(h)
			}})
			s := dial(t, target, Config{InitialR2T: new(true)})
			d := &Disk{s: s, blockBytes: 512, blocks: 2048}
			_, err := d.WriteAt(make([]byte, 16384), 0)
			if err == nil {
				_, err = d.ReadAt(make([]byte, 8192), 0)
			}
			var proto *ProtocolError
			if !errors.As(err, &proto) || !strings.Contains(proto.What, c.want) {
				t.Errorf("want an error about %q, got %v", c.want, err)
			}
		})
	}
}

func onDataIn(f func(pdu.DataIn)) func(h *pdu.Header) faketarget.Fate {
	return func(h *pdu.Header) faketarget.Fate {
		if h.Opcode() == pdu.OpDataIn && h.Flags()&pdu.DataStatus != 0 {
			f(pdu.AsDataIn(h))
		}
		return faketarget.Deliver
	}
}

func onR2T(f func(pdu.R2T)) func(h *pdu.Header) faketarget.Fate {
	return func(h *pdu.Header) faketarget.Fate {
		if h.Opcode() == pdu.OpR2T {
			f(pdu.AsR2T(h))
		}
		return faketarget.Deliver
	}
}

// A GOOD whose last Data-In was lost shows in ExpDataSN and, where that is not
// believed, in the count of bytes.
func TestSession_LostLastDataIn_IsNoticed(t *testing.T) {
	target := serveFake(t, faketarget.Config{SeparateStatus: true, DataInBytes: 4096,
		Reply: func(h *pdu.Header, _ []byte) faketarget.Fate {
			if h.Opcode() == pdu.OpDataIn && h.Final() {
				return faketarget.Lose
			}
			return faketarget.Deliver
		}})
	for lenient, want := range map[bool]string{false: "ExpDataSN 2 after 1", true: "4096 of 8192"} {
		d := &Disk{s: dial(t, target, Config{Lenient: lenient}), blockBytes: 512, blocks: 2048}
		if _, err := d.ReadAt(make([]byte, 8192), 0); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("lenient=%v: got %v", lenient, err)
		}
	}
}

func TestSession_SpoiledDigest_IsNoticed(t *testing.T) {
	for _, fate := range []faketarget.Fate{faketarget.SpoilHeader, faketarget.SpoilData} {
		target := serveFake(t, faketarget.Config{Reply: func(h *pdu.Header, _ []byte) faketarget.Fate {
			if h.Opcode() == pdu.OpDataIn {
				return fate
			}
			return faketarget.Deliver
		}})
		d := &Disk{s: dial(t, target, Config{HeaderDigest: true, DataDigest: true}), blockBytes: 512, blocks: 2048}
		if _, err := d.ReadAt(make([]byte, 4096), 0); !errors.Is(err, ErrDigest) {
			t.Errorf("fate %d: got %v", fate, err)
		}
	}
}

func TestDo_CheckCondition_CarriesSense(t *testing.T) {
	s := dial(t, serveFake(t, faketarget.Config{}), Config{})
	r, err := s.Do(t.Context(), Command{CDB: []byte{0xc7, 0, 0, 0, 0, 0}, In: make([]byte, 64)})
	if err != nil || r.Status != sam.CheckCondition || !r.Underflow || r.Residual != 64 || len(r.Sense) != 18 {
		t.Fatalf("%+v, %v", r, err)
	}
	var e *SCSIError
	if !errors.As(r.Error(0xc7), &e) || e.Key != sam.IllegalRequest || e.Code != 0x2000 {
		t.Errorf("%v", r.Error(0xc7))
	}
}

// A connection that breaks ends every command, and nobody hangs.
func TestSession_ConnectionBreaks_EndsEverything(t *testing.T) {
	target := serveFake(t, faketarget.Config{Request: func(c *faketarget.Conn, h *pdu.Header, _ []byte) bool {
		return h.Opcode() == pdu.OpSCSICommand
	}})
	s := dial(t, target, Config{QueueDepth: 4})
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
}

// RFC 3720 §3.2.2.1: numbers only move forward, and an impossible pair is ignored.
func TestSession_Window_IgnoresNonsense(t *testing.T) {
	s := &Session{exp: serial.Cmd(10), top: serial.Cmd(20)}
	for _, c := range []struct{ exp, top, wantExp, wantTop uint32 }{
		{12, 30, 12, 30}, {11, 25, 12, 30}, {40, 30, 12, 30}, {31, 30, 31, 30},
	} {
		var h pdu.Header
		r := pdu.Response{Header: &h}
		r.SetWindow(serial.Cmd(c.exp), serial.Cmd(c.top))
		s.moveWindow(r)
		if s.exp.Uint32() != c.wantExp || s.top.Uint32() != c.wantTop {
			t.Errorf("%+v leaves %v..%v", c, s.exp, s.top)
		}
	}
}
