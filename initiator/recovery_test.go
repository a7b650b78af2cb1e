package initiator

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lunar/initiator/drive"
	"lunar/initiator/faketarget"
	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
	"lunar/scsi/sam"
)

// level1 is a session that misses what is lost soon.
var level1 = Config{RecoveryLevel: 1, Probe: 20 * time.Millisecond, DataDigest: true}

// loseFirst gives a fate to the first reply that is wanted.
func loseFirst(fate faketarget.Fate, wanted func(h *pdu.Header) bool) func(h *pdu.Header, _ []byte) faketarget.Fate {
	var done atomic.Bool
	return func(h *pdu.Header, _ []byte) faketarget.Fate {
		if wanted(h) && !done.Swap(true) {
			return fate
		}
		return faketarget.Deliver
	}
}

// onlySNACK is the one SNACK that the target saw, after a moment.
func onlySNACK(t *testing.T, target *faketarget.Target) pdu.SNACK {
	t.Helper()
	list := target.SNACKs()
	for end := time.Now().Add(5 * time.Second); len(list) == 0 && time.Now().Before(end); list = target.SNACKs() {
		time.Sleep(time.Millisecond)
	}
	if len(list) != 1 {
		t.Fatalf("%d SNACKs", len(list))
	}
	return pdu.AsSNACK(&list[0])
}

// A status that does not come is asked for when the next one shows it, and acknowledged
// by nothing before (RFC 3720 §10.16.1).
func TestRecovery_LostStatus_StatusSNACK(t *testing.T) {
	eachDrive(t, func(t *testing.T, loop *drive.Loop) {
		var lost atomic.Uint32
		target := serveFake(t, faketarget.Config{Reply: loseFirst(faketarget.Lose, func(h *pdu.Header) bool {
			if h.Opcode() == pdu.OpSCSIResponse {
				lost.CompareAndSwap(0, pdu.Response{Header: h}.StatSN().Uint32())
				return true
			}
			return false
		})})
		cfg := level1
		cfg.Probe = time.Minute // the next status shows it
		s := dialOn(t, loop, target, cfg)
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				if r, err := s.Do(t.Context(), Command{CDB: make([]byte, 6)}); err != nil || r.Status != sam.Good {
					t.Errorf("%+v, %v", r, err)
				}
			})
			for target.Seen(pdu.OpSCSICommand) == 0 {
				time.Sleep(time.Millisecond)
			}
		}
		wg.Wait()
		p := onlySNACK(t, target)
		first, count := p.Run()
		if p.Type() != pdu.SNACKStatus || p.ITT() != pdu.NoTag || p.Tag() != pdu.NoTag || first != lost.Load() || count != 1 {
			t.Errorf("type %d, ITT %x, tag %x, run %d+%d; StatSN %d was lost", p.Type(), uint32(p.ITT()), p.Tag(), first, count, lost.Load())
		}
		if got := p.ExpStatSN(); got != serial.Stat(lost.Load()) {
			t.Errorf("it acknowledges up to %v", got)
		}
	})
}

// Data-In that is lost or damaged is asked for by its number, and the command ends as if
// nothing had happened.
func TestRecovery_LostData_DataSNACK(t *testing.T) {
	eachDrive(t, func(t *testing.T, loop *drive.Loop) {
		for _, fate := range []faketarget.Fate{faketarget.Lose, faketarget.SpoilData} {
			for _, separate := range []bool{false, true} {
				for lost := range uint32(4) {
					target := serveFake(t, faketarget.Config{DataInBytes: 4096, SeparateStatus: separate, Reply: loseFirst(fate, func(h *pdu.Header) bool {
						return h.Opcode() == pdu.OpDataIn && pdu.AsDataIn(h).DataSN() == serial.Data(lost)
					})})
					want := randomBytes(16384)
					target.Disk(func(b []byte) { copy(b, want) })
					d := &Disk{s: dialOn(t, loop, target, level1), blockBytes: 512, blocks: 2048}
					got := make([]byte, len(want))
					if _, err := d.ReadAt(got, 0); err != nil || !bytes.Equal(got, want) {
						t.Fatalf("fate %d, %d lost: %v", fate, lost, err)
					}
					if fate == faketarget.Lose && lost == 3 && !separate {
						continue // nothing showed its number, so its status was asked for
					}
					p := onlySNACK(t, target)
					if first, count := p.Run(); p.Type() != pdu.SNACKData || p.ITT() == pdu.NoTag || p.Tag() != pdu.NoTag || first != lost || count != 1 {
						t.Errorf("type %d, ITT %x, tag %x, run %d+%d", p.Type(), uint32(p.ITT()), p.Tag(), first, count)
					}
				}
			}
		}
	})
}

// A command that never arrived is sent again as it was (§6.2.1).
func TestRecovery_LostCommand_Retry(t *testing.T) {
	eachDrive(t, func(t *testing.T, loop *drive.Loop) {
		var mu sync.Mutex
		var sent []pdu.Header
		target := serveFake(t, faketarget.Config{Lost: func(h *pdu.Header) bool {
			mu.Lock()
			defer mu.Unlock()
			if h.Opcode() == pdu.OpSCSICommand {
				sent = append(sent, *h)
			}
			return h.Opcode() == pdu.OpSCSICommand && len(sent) == 1
		}})
		s := dialOn(t, loop, target, level1)
		d := &Disk{s: s, blockBytes: 512, blocks: 2048}
		want, got := randomBytes(4096), make([]byte, 4096)
		if _, err := d.WriteAt(want, 512); err != nil {
			t.Fatal(err)
		}
		target.Disk(func(b []byte) { copy(got, b[512:]) })
		if !bytes.Equal(got, want) {
			t.Error("the medium does not hold what was written")
		}
		mu.Lock()
		defer mu.Unlock()
		for i := range sent {
			pdu.Request{Header: &sent[i]}.SetExpStatSN(serial.Stat(0))
		}
		if len(sent) != 2 || sent[0] != sent[1] {
			t.Errorf("%d commands: % x", len(sent), sent)
		}
		if n := s.Counters().Retried; n != 1 {
			t.Errorf("%d retries", n)
		}
	})
}

// Data that the target wants acknowledged is, once (§10.16.2).
func TestRecovery_DataACK(t *testing.T) {
	target := serveFake(t, faketarget.Config{DataInBytes: 4096, Reply: func(h *pdu.Header, _ []byte) faketarget.Fate {
		if d := pdu.AsDataIn(h); h.Opcode() == pdu.OpDataIn && d.DataSN() == serial.Data(1) {
			h.SetFlags(pdu.DataAcknowledge)
			h.SetLUN(sam.LUNOf(0))
			d.SetTTT(0x55)
		}
		return faketarget.Deliver
	}})
	d := &Disk{s: dial(t, target, level1), blockBytes: 512, blocks: 2048}
	if _, err := d.ReadAt(make([]byte, 16384), 0); err != nil {
		t.Fatal(err)
	}
	p := onlySNACK(t, target)
	if first, count := p.Run(); p.Type() != pdu.SNACKDataACK || p.ITT() != pdu.NoTag || p.Tag() != 0x55 || first != 2 || count != 0 {
		t.Errorf("type %d, ITT %x, tag %x, run %d+%d", p.Type(), uint32(p.ITT()), p.Tag(), first, count)
	}
}

// What MangleIn loses or damages is asked for.
func TestMangleIn_IsRecovered(t *testing.T) {
	for _, v := range []Verdict{Drop, CorruptData} {
		cfg := level1
		var n atomic.Int32
		cfg.MangleIn = func(p *Incoming) Verdict {
			if p.Header.Opcode() == pdu.OpDataIn && n.Add(1)%3 == 1 {
				return v
			}
			return Send
		}
		target := serveFake(t, faketarget.Config{DataInBytes: 4096})
		s := dial(t, target, cfg)
		d := &Disk{s: s, blockBytes: 512, blocks: 2048}
		want := randomBytes(65536)
		target.Disk(func(b []byte) { copy(b, want) })
		got := make([]byte, len(want))
		if _, err := d.ReadAt(got, 0); err != nil || !bytes.Equal(got, want) {
			t.Errorf("verdict %d: %v", v, err)
		}
		if c := s.Counters(); c.DataSNACKs == 0 || (v == CorruptData) != (c.DigestErrors > 0) {
			t.Errorf("verdict %d: %+v", v, c)
		}
	}
}

// The last connection is logged in again under its CID, and its commands are reassigned;
// one that the target does not know any more ends with a LostError.
func TestRecovery_Reassign(t *testing.T) {
	eachDrive(t, func(t *testing.T, loop *drive.Loop) {
		for _, result := range []pdu.TaskResult{pdu.FunctionComplete, pdu.TaskDoesNotExist} {
			var asked atomic.Pointer[pdu.Header]
			var tag atomic.Uint32
			target := serveFake(t, faketarget.Config{
				DataInBytes: 4096, Answers: map[string]string{"DefaultTime2Wait": "0"},
				Reply: func(h *pdu.Header, _ []byte) faketarget.Fate {
					if h.Opcode() == pdu.OpDataIn && asked.Load() == nil && pdu.AsDataIn(h).DataSN() == serial.Data(2) {
						return faketarget.Lose
					}
					if h.Opcode() == pdu.OpDataIn && asked.Load() == nil && pdu.AsDataIn(h).DataSN() == serial.Data(3) {
						return faketarget.SpoilHeader // which ends the connection
					}
					return faketarget.Deliver
				},
				Request: func(c *faketarget.Conn, h *pdu.Header, _ []byte) bool {
					if h.Opcode() == pdu.OpSCSICommand {
						tag.Store(uint32(h.ITT()))
					}
					if h.Opcode() != pdu.OpTaskRequest {
						return false
					}
					copied := *h
					asked.Store(&copied)
					var r pdu.Header
					p := pdu.AsTaskResponse(&r)
					r.SetOpcode(pdu.OpTaskResponse)
					r.SetFlags(pdu.FlagFinal)
					r.SetITT(h.ITT())
					p.SetResult(result)
					c.Send(&r, nil, true)
					if result == pdu.FunctionComplete {
						c.Continue(pdu.ITT(tag.Load()), pdu.AsTaskRequest(h).ExpDataSN())
					}
					return true
				},
			})
			want := randomBytes(16384)
			target.Disk(func(b []byte) { copy(b, want) })
			d := &Disk{s: dialOn(t, loop, target, Config{RecoveryLevel: 2, HeaderDigest: true}), blockBytes: 512, blocks: 2048}
			got := make([]byte, len(want))
			_, err := d.ReadAt(got, 0)
			var lost *LostError
			switch {
			case result == pdu.FunctionComplete && (err != nil || !bytes.Equal(got, want)):
				t.Errorf("it did not go on: %v", err)
			case result == pdu.TaskDoesNotExist && !errors.As(err, &lost):
				t.Errorf("got %v", err)
			}
			q := pdu.AsTaskRequest(asked.Load())
			if q.Function() != sam.TaskReassign || q.ReferencedTag() != pdu.ITT(tag.Load()) || q.ExpDataSN() != serial.Data(2) || !q.Immediate() {
				t.Errorf("function %d of %x, ExpDataSN %v", q.Function(), uint32(q.ReferencedTag()), q.ExpDataSN())
			}
			if _, err := d.s.Ping(t.Context(), nil); err != nil {
				t.Error(err)
			}
		}
	})
}

// A session that has died comes back; what is idempotent ends well, everything else with
// a LostError.
func TestReconnect(t *testing.T) {
	eachDrive(t, func(t *testing.T, loop *drive.Loop) {
		var cut atomic.Bool
		target := serveFake(t, faketarget.Config{
			Answers: map[string]string{"DefaultTime2Wait": "0"},
			Request: func(c *faketarget.Conn, h *pdu.Header, _ []byte) bool {
				if h.Opcode() == pdu.OpSCSICommand && !cut.Load() {
					if pdu.AsSCSICommand(h).CDB()[0] == 0x89 && !cut.Swap(true) {
						c.Close()
					}
					return true
				}
				return false
			},
		})
		s := dialOn(t, loop, target, Config{Reconnect: &Reconnect{Delay: time.Millisecond}})
		d := &Disk{s: s, blockBytes: 512, blocks: 2048}
		want := randomBytes(4096)
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := d.WriteAt(want, 0); err != nil {
				t.Error(err)
			}
		})
		for target.Seen(pdu.OpSCSICommand) == 0 {
			time.Sleep(time.Millisecond)
		}
		var lost *LostError
		cdb := d.BlockCDB(0x89, 0, 512) // COMPARE AND WRITE
		if _, err := s.Do(t.Context(), Command{CDB: cdb[:]}); !errors.As(err, &lost) {
			t.Errorf("it must not be repeated: %v", err)
		}
		wg.Wait()
		got := make([]byte, len(want))
		if _, err := d.ReadAt(got, 0); err != nil || !bytes.Equal(got, want) {
			t.Errorf("the write: %v", err)
		}
		if c := s.Counters(); c.Reconnects != 1 || c.Reissued != 1 {
			t.Errorf("%+v", c)
		}
	})
}

// A target that does not come back ends the session after the attempts that were asked
// for, and a caller whose context ends does not wait for that.
func TestReconnect_GivesUp(t *testing.T) {
	eachDrive(t, func(t *testing.T, loop *drive.Loop) {
		target, err := faketarget.Start(faketarget.Config{
			Answers: map[string]string{"DefaultTime2Wait": "0"},
			Request: func(_ *faketarget.Conn, h *pdu.Header, _ []byte) bool { return h.Opcode() == pdu.OpSCSICommand },
		})
		if err != nil {
			t.Fatal(err)
		}
		s := dialOn(t, loop, target, Config{Reconnect: &Reconnect{Attempts: 3, Delay: 100 * time.Millisecond}})
		ended := make(chan error, 2)
		for _, limit := range []time.Duration{time.Minute, 50 * time.Millisecond} {
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			go func() {
				_, err := s.Do(ctx, Command{CDB: make([]byte, 6)})
				ended <- err
			}()
		}
		for target.Seen(pdu.OpSCSICommand) < 2 {
			time.Sleep(time.Millisecond)
		}
		target.Stop()
		if err := <-ended; !errors.Is(err, context.DeadlineExceeded) || s.Err() != nil {
			t.Errorf("first %v; the session: %v", err, s.Err())
		}
		if err := <-ended; err == nil || errors.Is(err, context.DeadlineExceeded) || s.Err() == nil {
			t.Errorf("then %v", err)
		}
		<-s.Done()
	})
}

// A connection that owes an answer and is silent is given up.
func TestProbe_Silence(t *testing.T) {
	target := serveFake(t, faketarget.Config{Request: func(*faketarget.Conn, *pdu.Header, []byte) bool { return true }})
	s := dial(t, target, Config{Probe: 2 * time.Millisecond})
	if _, err := s.Do(t.Context(), Command{CDB: make([]byte, 6)}); !errors.Is(err, ErrSilent) {
		t.Errorf("got %v", err)
	}
}

// A request other than a command that never arrived is sent again too.
func TestRecovery_LostFunction_Retry(t *testing.T) {
	eachDrive(t, func(t *testing.T, loop *drive.Loop) {
		var lost atomic.Int32
		target := serveFake(t, faketarget.Config{
			Lost:    func(h *pdu.Header) bool { return h.Opcode() == pdu.OpTaskRequest && lost.Add(1) == 1 },
			Request: func(_ *faketarget.Conn, h *pdu.Header, _ []byte) bool { return h.Opcode() == pdu.OpSCSICommand },
		})
		s := dialOn(t, loop, target, level1)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		began := time.Now()
		_, err := s.Do(ctx, Command{CDB: make([]byte, 6)})
		if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took > 2*time.Second {
			t.Errorf("after %v: %v", took, err)
		}
		if _, err := s.Ping(t.Context(), nil); err != nil || lost.Load() != 2 {
			t.Errorf("%d functions, %v", lost.Load(), err)
		}
	})
}
