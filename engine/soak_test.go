package engine

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"lunar/initiator"
	"lunar/iscsi/login"
)

// The soak is verified mixed load while connections break and PDUs are lost: each block
// says who wrote it and when, each writer knows what the target has acknowledged, and
// every read is checked. LUNAR_LONG=10m makes each of them that long (soaks_test.go).

const (
	soakWriters = 8
	soakBlocks  = 512 // of each writer
)

// soakTime is how long each kind of soak runs.
func soakTime(t *testing.T) time.Duration {
	t.Helper()
	if s := os.Getenv("LUNAR_LONG"); s != "" {
		d, err := time.ParseDuration(s)
		if err != nil {
			t.Fatalf("LUNAR_LONG=%s: %v", s, err)
		}
		return d
	}
	return 300 * time.Millisecond
}

// soakEngine serves one unit from so many reactors and wants no pause after a loss.
func soakEngine(t *testing.T, reactors int) *Engine {
	t.Helper()
	cfg := testConfig(t, reactors, Unit{Medium: RAM, Bytes: soakWriters * soakBlocks * 512, BlockBytes: 512})
	offer := login.DefaultOffer()
	offer.DefaultTime2Wait = 0
	for i := range cfg.Targets {
		cfg.Targets[i].Offer = &offer
	}
	return start(t, cfg)
}

// writer is one of those who write, each its own part of the unit, one command at a
// time. acked is the number of the write that each block holds.
type writer struct {
	d                   *initiator.Disk
	id                  uint32
	rng                 *rand.Rand
	seq                 uint32
	acked               [soakBlocks]uint32
	writes, reads       int
	lost, early, others int
}

func (w *writer) stamp(b []byte, block int, seq uint32) {
	for i := 0; i < 512; i += 16 {
		binary.BigEndian.PutUint32(b[i:], w.id)
		binary.BigEndian.PutUint32(b[i+4:], seq)
		binary.BigEndian.PutUint32(b[i+8:], uint32(block))
		binary.BigEndian.PutUint32(b[i+12:], uint32(i))
	}
}

func (w *writer) at(block int) int64 { return (int64(w.id)*soakBlocks + int64(block)) * 512 }

// write writes a range of blocks; when it is acknowledged, that is what they hold.
func (w *writer) write(ctx context.Context, first, n int) error {
	w.seq++
	b := make([]byte, n*512)
	for i := range n {
		w.stamp(b[i*512:], first+i, w.seq)
	}
	if _, err := w.d.WriteAtContext(ctx, b, w.at(first)); err != nil {
		return fmt.Errorf("write %d of %d: %w", w.seq, w.id, err)
	}
	for i := range n {
		w.acked[first+i] = w.seq
	}
	w.writes++
	return nil
}

// read reads a range and compares every byte of it with what was acknowledged last.
func (w *writer) read(ctx context.Context, first, n int) error {
	b := make([]byte, n*512)
	if _, err := w.d.ReadAtContext(ctx, b, w.at(first)); err != nil {
		return fmt.Errorf("read of %d: %w", w.id, err)
	}
	var want [512]byte
	for i := range n {
		got := b[i*512 : (i+1)*512]
		clear(want[:])
		if seq := w.acked[first+i]; seq > 0 {
			w.stamp(want[:], first+i, seq)
		}
		if string(got) == string(want[:]) {
			continue
		}
		switch seq := binary.BigEndian.Uint32(got[4:]); {
		case binary.BigEndian.Uint32(got) != w.id && seq != 0, binary.BigEndian.Uint32(got[8:]) != uint32(first+i):
			w.others++
		case seq < w.acked[first+i]:
			w.lost++ // or written over by an older one
		default:
			w.early++
		}
	}
	w.reads++
	return nil
}

// run mixes both as long as it is told to, and reads everything once more in the end.
func (w *writer) run(ctx context.Context, on func() bool) error {
	for on() {
		n := 1 + w.rng.IntN(8)
		if w.rng.IntN(4) == 0 {
			n = 1 + w.rng.IntN(256)
		}
		first := w.rng.IntN(soakBlocks - n)
		do := w.write
		if w.rng.IntN(2) == 0 {
			do = w.read
		}
		if err := do(ctx, first, n); err != nil {
			return err
		}
	}
	return w.read(ctx, 0, soakBlocks)
}

// soak runs the load over a session through a proxy, and reports what was found. However
// slow the machine is, it goes on until the trouble has shown itself.
func soak(t *testing.T, s *initiator.Session, p *proxy, shown func(initiator.Counters) bool, disturb func(stop <-chan struct{})) {
	t.Helper()
	long := soakTime(t)
	ctx, cancel := context.WithTimeout(t.Context(), long+60*time.Second)
	defer cancel()
	d := diskOf(t, s)
	stop := make(chan struct{})
	var trouble, load sync.WaitGroup
	trouble.Go(func() { disturb(stop) })
	writers := make([]*writer, soakWriters)
	until := time.Now().Add(long)
	on := func() bool {
		return time.Now().Before(until) || !shown(s.Counters()) && time.Now().Before(until.Add(10*time.Second))
	}
	for i := range writers {
		writers[i] = &writer{d: d, id: uint32(i), rng: rand.New(rand.NewPCG(uint64(i), 11))}
		load.Go(func() {
			if err := writers[i].run(ctx, on); err != nil {
				t.Error(err)
			}
		})
	}
	load.Wait()
	close(stop)
	trouble.Wait()
	var writes, reads, lost, early, others int
	for _, w := range writers {
		writes, reads, lost, early, others = writes+w.writes, reads+w.reads, lost+w.lost, early+w.early, others+w.others
	}
	if lost+early+others > 0 {
		t.Errorf("%d blocks lost or written over by older ones, %d of the future, %d misplaced", lost, early, others)
	}
	c := s.Counters()
	t.Logf("%d cuts, %d PDUs lost, %d damaged; %d commands reassigned, %d retried, %d reissued; %d writes, %d reads, %d blocks wrong",
		p.cuts, p.lost.Load(), p.damaged.Load(), c.Reassigned, c.Retried, c.Reissued, writes, reads, lost+early+others)
	t.Logf("%+v", c)
}

// soakSession logs in through a proxy.
func soakSession(t *testing.T, e *Engine, p *proxy, cfg initiator.Config) *initiator.Session {
	t.Helper()
	cfg.Portal, cfg.Target = p.addr(), e.Targets()[0]
	s, err := initiator.Dial(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if got := s.Params().ErrorRecoveryLevel; got != cfg.RecoveryLevel {
		t.Fatalf("level %d", got)
	}
	if got, want := s.Params().MaxConnections, uint16(max(cfg.Connections, 1)); got < want {
		t.Fatalf("%d connections, want %d", got, want)
	}
	return s
}
