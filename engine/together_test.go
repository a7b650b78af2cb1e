package engine

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"lunar/initiator"
	"lunar/initiator/drive"
	"lunar/internal/conform"
	"lunar/iscsi/pdu"
	"lunar/scsi/sam"
)

// dialWith opens a session with the engine, its configuration filled in.
func dialWith(t *testing.T, e *Engine, cfg initiator.Config) *initiator.Session {
	t.Helper()
	cfg.Portal, cfg.Target = e.Portals()[0], e.Targets()[0]
	s, err := initiator.Dial(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func diskOf(t *testing.T, s *initiator.Session) *initiator.Disk {
	t.Helper()
	d, err := initiator.OpenDisk(t.Context(), s, 0)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// scribble writes and reads back random blocks of a worker's own part of the unit.
func scribble(t *testing.T, d *initiator.Disk, worker, laps int) {
	const part = 256 << 10
	r := rand.New(rand.NewPCG(uint64(worker), 7))
	for range laps {
		n := 512 * (1 + r.IntN(200))
		at := int64(worker*part) + int64(r.IntN((part-n)/512))*512
		want, got := make([]byte, n), make([]byte, n)
		for i := range want {
			want[i] = byte(r.Uint32())
		}
		if _, err := d.WriteAt(want, at); err != nil {
			t.Error(err)
			return
		}
		if _, err := d.ReadAt(got, at); err != nil || !bytes.Equal(want, got) {
			t.Errorf("worker %d: %d bytes at %d came back wrong, %v", worker, n, at, err)
			return
		}
	}
}

// The commands of one session are spread over its connections, while connections come
// and go, and every byte is where it belongs.
func TestSession_ManyConnections(t *testing.T) {
	conform.Covers(t, "R-3.2.2.1-20", "R-3.2.4.1-4")
	loop, err := drive.Start(drive.Config{Links: 4})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := loop.Stop(); err != nil {
			t.Error(err)
		}
	}()
	for _, l := range []*drive.Loop{nil, loop} {
		e := oneUnit(t, 3)
		s := dialWith(t, e, initiator.Config{Connections: 4, MaxConnections: 5, Loop: l})
		if n := len(s.Connections()); n != 4 {
			t.Fatalf("%d connections", n)
		}
		d := diskOf(t, s)
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() { scribble(t, d, i, 40) })
		}
		for range 3 {
			cid, err := s.Add(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Ping(t.Context(), []byte("on any")); err != nil {
				t.Error(err)
			}
			if err := s.Remove(t.Context(), cid); err != nil {
				t.Fatal(err)
			}
		}
		wg.Wait()
		if n := len(mustStatus(t, e).Sessions); n != 4 {
			t.Errorf("%d connections at the target", n)
		}
		if err := s.Logout(t.Context()); err != nil {
			t.Error(err)
		}
		eventuallyEnds(t, e, 0)
	}
}

// A session has no more connections than its target allows, and says so.
func TestSession_ManyConnections_Limits(t *testing.T) {
	e := oneUnit(t, 2)
	s := dialWith(t, e, initiator.Config{Connections: 32})
	if n := len(s.Connections()); n != 8 {
		t.Errorf("%d connections of 8", n)
	}
	var refused *initiator.LoginError
	if _, err := s.Add(t.Context()); !errors.As(err, &refused) || refused.Status != pdu.LoginTooManyConnections {
		t.Errorf("one more: %v", err)
	}
	for _, c := range s.Connections()[1:] {
		if err := s.Remove(t.Context(), c.CID); err != nil {
			t.Error(err)
		}
	}
	if err := s.Remove(t.Context(), s.Connections()[0].CID); err == nil {
		t.Error("the last connection was removed")
	}
	if err := s.Remove(t.Context(), 77); err == nil {
		t.Error("a connection that does not exist was removed")
	}
	if _, err := s.Ping(t.Context(), nil); err != nil {
		t.Error(err)
	}
}

// A function over many tasks ends those of every connection; what comes after it runs.
func TestSession_ManyConnections_Reset(t *testing.T) {
	e := oneUnit(t, 3)
	s := dialWith(t, e, initiator.Config{Connections: 3})
	d := diskOf(t, s)
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			buf := make([]byte, 128<<10)
			for range 30 {
				_, err := d.WriteAt(buf, int64(i)<<20)
				var sense *initiator.SCSIError
				if err != nil && !errors.Is(err, initiator.ErrAborted) && !errors.As(err, &sense) {
					t.Error(err)
				}
			}
		})
	}
	for range 5 {
		time.Sleep(2 * time.Millisecond)
		got, err := s.TaskManagement(t.Context(), sam.LogicalUnitReset, d.LUN(), pdu.NoTag)
		if err != nil || got != pdu.FunctionComplete {
			t.Errorf("reset: %v, %v", got, err)
		}
	}
	wg.Wait()
	if _, err := initiator.OpenDisk(t.Context(), s, 0); err != nil {
		t.Error(err)
	}
}

// A target that stops ends all connections, and every command with them.
func TestSession_ManyConnections_TargetStops(t *testing.T) {
	e, err := Start(testConfig(t, 2, Unit{Medium: RAM, Bytes: 8 << 20, BlockBytes: 512}))
	if err != nil {
		t.Fatal(err)
	}
	s := dialWith(t, e, initiator.Config{Connections: 3})
	d := diskOf(t, s)
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			buf := make([]byte, 64<<10)
			for {
				if _, err := d.ReadAt(buf, int64(i)<<16); err != nil {
					return
				}
			}
		})
	}
	time.Sleep(5 * time.Millisecond)
	if err := e.Stop(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	<-s.Done()
}
