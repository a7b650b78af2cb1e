package cache

import (
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"lunar/internal/buf"
	"lunar/lun/blk"
	"lunar/lun/null"
)

// hot is a cache that holds its first page.
func hot(t testing.TB) (*Queue, *blk.Request) {
	_, q := cached(t, 1<<20)
	r := &blk.Request{Op: blk.Read, Length: PageBytes, Data: make([]byte, PageBytes)}
	do(t, q, r)
	q.b.pages.index.Wait()
	return q, r
}

// A hit allocates nothing.
func TestCache_Hit_AllocatesNothing(t *testing.T) {
	q, r := hot(t)
	batch, done := []*blk.Request{r}, make([]*blk.Request, 0, 1)
	const rounds = 10000
	if n := testing.AllocsPerRun(rounds, func() { done = q.Submit(batch, done[:0]) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if hits, _ := q.b.Counters(); hits != rounds+1 {
		t.Errorf("%d hits of %d", hits, rounds+1)
	}
}

func BenchmarkCache_Hit(b *testing.B) {
	q, r := hot(b)
	batch, done := []*blk.Request{r}, make([]*blk.Request, 0, 1)
	b.SetBytes(PageBytes)
	b.ReportAllocs()
	for b.Loop() {
		done = q.Submit(batch, done[:0])
	}
}

// What a read costs a reactor that finds nothing in the cache and offers it.
func BenchmarkCache_Miss(b *testing.B) {
	inner, err := null.New(8<<40, 4096)
	if err != nil {
		b.Fatal(err)
	}
	q := newCache(b, inner).NewQueue(inner.NewQueue())
	r := &blk.Request{Op: blk.Read, Length: PageBytes, Data: make([]byte, PageBytes)}
	batch, done := []*blk.Request{r}, make([]*blk.Request, 0, 1)
	b.ReportAllocs()
	for b.Loop() {
		r.Offset += PageBytes
		done = q.Submit(batch, done[:0])
	}
}

const (
	benchCache   = 64 << 20
	benchBlocks  = 1 << 30 / PageBytes
	benchDepth   = 32
	benchLatency = time.Millisecond
)

// slow ends each request a latency after it was submitted.
type slow struct {
	running []*blk.Request
	due     []time.Time
}

func (s *slow) Submit(batch, done []*blk.Request) []*blk.Request {
	at := time.Now().Add(benchLatency)
	for _, r := range batch {
		s.running, s.due = append(s.running, r), append(s.due, at)
	}
	return done
}

// Complete ends what is due.
func (s *slow) Complete(_ uint32, _ int32, done []*blk.Request) []*blk.Request {
	n := 0
	for now := time.Now(); n < len(s.due) && !now.Before(s.due[n]); n++ {
		s.running[n].Result = blk.OK
	}
	done = append(done, s.running[:n]...)
	s.running = append(s.running[:0], s.running[n:]...)
	s.due = append(s.due[:0], s.due[n:]...)
	return done
}

func (s *slow) Running() int { return len(s.running) }

// drive keeps benchDepth reads of a page under way until n have ended.
func drive(q blk.Queue, n int, next func() int64) {
	var batch, done []*blk.Request
	for range benchDepth {
		r := &blk.Request{Op: blk.Read, Length: PageBytes, Data: make([]byte, PageBytes), Offset: next() * PageBytes}
		batch = append(batch, r)
	}
	for n > 0 || q.Running() > 0 {
		if len(batch) > 0 {
			done = q.Submit(batch, done[:0])
		}
		for len(done) == 0 && q.Running() > 0 {
			if done = q.Complete(0, 0, done[:0]); len(done) == 0 {
				runtime.Gosched()
			}
		}
		n -= len(done)
		if batch = batch[:0]; n > 0 {
			batch = append(batch, done...)
		}
		for _, r := range batch {
			r.Result, r.Offset = blk.Running, next()*PageBytes
		}
		done = done[:0]
	}
}

// benchmark runs the same reads with and without a cache, after as many that warm
// it up.
func benchmark(b *testing.B, warm int, next func() func() int64) {
	run := func(b *testing.B, q blk.Queue, warmed func()) {
		blocks := next()
		drive(q, warm, blocks)
		warmed()
		b.ResetTimer()
		drive(q, b.N, blocks)
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "reads/s")
	}
	b.Run("plain", func(b *testing.B) { run(b, &slow{}, func() {}) })
	b.Run("cache", func(b *testing.B) {
		inner, err := null.New(benchBlocks*PageBytes, 4096)
		if err != nil {
			b.Fatal(err)
		}
		memory, err := buf.Alloc(benchCache)
		if err != nil {
			b.Fatal(err)
		}
		c, err := New(Config{Inner: inner, Memory: memory, Free: buf.Free})
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		var before, missed uint64
		run(b, c.NewQueue(&slow{}), func() { before, missed = c.Counters() })
		hits, misses := c.Counters()
		b.ReportMetric(100*float64(hits-before)/float64(hits-before+misses-missed), "%hits")
	})
}

// Reads that prefer some blocks: what the cache is for.
func BenchmarkCache_Zipf(b *testing.B) {
	benchmark(b, 200000, func() func() int64 {
		z := rand.NewZipf(rand.New(rand.NewPCG(1, 2)), 1.15, 8, benchBlocks-1)
		return func() int64 { return int64(z.Uint64() * 0x9e3779b1 % benchBlocks) }
	})
}

// Reads that never come back: what it may not harm.
func BenchmarkCache_NoHits(b *testing.B) {
	benchmark(b, 50000, func() func() int64 {
		at := int64(-1)
		return func() int64 { at++; return at % benchBlocks }
	})
}
