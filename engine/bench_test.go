package engine

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"

	"lunar/initiator"
	"lunar/reactor"
)

// BenchmarkEngine_Read4K and its sisters run the whole target and an initiator in
// one process over loopback, with a queue of 32. What -benchmem reports is both
// sides together: 0 allocations per operation means that neither allocates.
func BenchmarkEngine_Read4K(b *testing.B)  { benchmark(b, 0x28) }
func BenchmarkEngine_Write4K(b *testing.B) { benchmark(b, 0x2a) }

func benchmark(b *testing.B, opcode byte) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	cfg := testConfig(b, 1, Unit{Medium: RAM, Bytes: 64 << 20, BlockBytes: 512})
	cfg.Poll = reactor.Auto
	e, err := Start(cfg)
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := e.Stop(); err != nil {
			b.Error(err)
		}
	}()
	s, err := initiator.Dial(context.Background(), initiator.Config{
		Portal: e.Portals()[0], Target: e.Targets()[0], Initiator: "iqn.2026-11.test:bench", QueueDepth: 32,
	})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	// The first command of a new nexus hears of the power on (SAM-5 §5.14).
	if _, err := s.Do(context.Background(), initiator.Command{CDB: make([]byte, 6)}); err != nil {
		b.Fatal(err)
	}
	l := newLoad(b, s, opcode)
	l.run(2000) // warm: slabs, pools and maps reach their size
	b.SetBytes(4096)
	b.ReportAllocs()
	b.ResetTimer()
	l.run(b.N)
	b.StopTimer()
}

// load keeps 32 operations in progress; each completion submits the next one.
type load struct {
	tb   testing.TB
	s    *initiator.Session
	reqs []initiator.Request

	mu   sync.Mutex
	left int
	live int
	end  chan struct{}
}

func newLoad(tb testing.TB, s *initiator.Session, opcode byte) *load {
	l := &load{tb: tb, s: s, reqs: make([]initiator.Request, 32), end: make(chan struct{}, 1)}
	for i := range l.reqs {
		r := &l.reqs[i]
		cdb := make([]byte, 10)
		cdb[0], cdb[4], cdb[8] = opcode, byte(i*8), 8
		r.Command = initiator.Command{CDB: cdb}
		if opcode == 0x28 {
			r.Command.In = make([]byte, 4096)
		} else {
			r.Command.Out = make([]byte, 4096)
		}
		r.Done = l.done
	}
	return l
}

func (l *load) run(n int) {
	l.mu.Lock()
	l.left, l.live = n, 0
	for i := range l.reqs {
		l.next(&l.reqs[i])
	}
	l.mu.Unlock()
	l.s.Flush()
	<-l.end
}

// next submits r again while operations are left; the lock is held.
func (l *load) next(r *initiator.Request) {
	if l.left == 0 {
		return
	}
	l.left--
	l.live++
	if err := l.s.Submit(r); err != nil {
		panic(fmt.Sprintf("submit: %v", err))
	}
}

func (l *load) done(r *initiator.Request) {
	if r.Err != nil || r.Result.Status != 0 {
		l.tb.Errorf("status %v, %v", r.Result.Status, r.Err)
	}
	l.mu.Lock()
	l.live--
	l.next(r)
	over := l.live == 0
	l.mu.Unlock()
	if over {
		l.end <- struct{}{}
	}
}
