package cache

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"lunar/lun/blk"
	"lunar/lun/blk/blktest"
	"lunar/lun/null"
	"lunar/lun/ram"
)

func TestCache_Suite(t *testing.T) {
	for name, cfg := range map[string]ram.Config{
		"512":      {BlockBytes: 512},
		"4096":     {BlockBytes: 4096},
		"readonly": {BlockBytes: 512, ReadOnly: true},
	} {
		t.Run("ram/"+name, func(t *testing.T) {
			blktest.Run(t, func(t testing.TB) blktest.Subject {
				cfg.Memory = make([]byte, 2<<20)
				inner, err := ram.New(cfg)
				if err != nil {
					t.Fatal(err)
				}
				b := newCache(t, inner)
				return blktest.Subject{Backend: b, Queue: b.NewQueue(inner.NewQueue()), Keeps: true}
			})
		})
	}
	t.Run("null", func(t *testing.T) {
		blktest.Run(t, func(t testing.TB) blktest.Subject {
			inner, err := null.New(8<<40, 512)
			if err != nil {
				t.Fatal(err)
			}
			b := newCache(t, inner)
			return blktest.Subject{Backend: b, Queue: b.NewQueue(inner.NewQueue()), Forgets: true}
		})
	})
}

// cached is a cache over ram whose requests end at once.
func cached(t testing.TB, n int) (*Backend, *Queue) {
	inner := newDelayed(t, n, 512)
	b := newCache(t, inner)
	return b, b.NewQueue(inner.ram)
}

func do(t testing.TB, q *Queue, r *blk.Request) {
	t.Helper()
	if done := q.Submit([]*blk.Request{r}, nil); len(done) != 1 || r.Result != blk.OK {
		t.Fatalf("op %d: %d reported, result %d", r.Op, len(done), r.Result)
	}
}

func read(t testing.TB, q *Queue, offset, n int64) []byte {
	t.Helper()
	r := &blk.Request{Op: blk.Read, Offset: offset, Length: n, Data: make([]byte, n)}
	do(t, q, r)
	return r.Data
}

// Whole pages are kept; any range inside them is then a hit, and one that leaves
// them is not.
func TestCache_Counters(t *testing.T) {
	b, q := cached(t, 1<<20)
	data := make([]byte, 3*PageBytes)
	for i := range data {
		data[i] = byte(i) ^ byte(i>>8)
	}
	do(t, q, &blk.Request{Op: blk.Write, Offset: 0, Length: int64(len(data)), Data: data})
	for _, k := range []struct {
		offset, length int64
		hit            bool
	}{
		{512, 3*PageBytes - 1024, false}, // brings the page in the middle
		{PageBytes, PageBytes, true},
		{PageBytes + 512, 1024, true},
		{PageBytes - 512, 1024, false},
		{0, 2 * PageBytes, false}, // in part: goes whole, and brings both
		{512, 2*PageBytes - 512, true},
		{2 * PageBytes, 512, false}, // too short to bring anything
		{2 * PageBytes, 512, false},
	} {
		hits, misses := b.Counters()
		if got := read(t, q, k.offset, k.length); !bytes.Equal(got, data[k.offset:k.offset+k.length]) {
			t.Errorf("%+v: wrong data", k)
		}
		h, m := b.Counters()
		if h+m != hits+misses+1 || (h == hits+1) != k.hit {
			t.Errorf("%+v: hits %d to %d, misses %d to %d", k, hits, h, misses, m)
		}
		b.pages.index.Wait()
	}
}

// An index that names the wrong page for a block makes a miss, not wrong data.
func TestCache_WrongIndex_IsAMiss(t *testing.T) {
	b, q := cached(t, 1<<20)
	do(t, q, &blk.Request{Op: blk.Write, Offset: PageBytes, Length: 1, Data: []byte{1}})
	do(t, q, &blk.Request{Op: blk.Write, Offset: 2 * PageBytes, Length: 1, Data: []byte{2}})
	read(t, q, PageBytes, PageBytes)
	b.pages.index.Wait()
	page, ok := b.pages.find(1)
	if !ok {
		t.Fatal("block 1 is not cached")
	}
	b.pages.index.Set(2, page+1, 1)
	b.pages.index.Wait()
	if got := read(t, q, 2*PageBytes, PageBytes); got[0] != 2 {
		t.Errorf("block 2 begins with %d", got[0])
	}
	if hits, misses := b.Counters(); hits != 0 || misses != 2 {
		t.Errorf("%d hits, %d misses", hits, misses)
	}
}

// What fills a cache many times over leaves it whole: every page is free, held or
// on its way, none twice.
func TestCache_Eviction_LosesNoPage(t *testing.T) {
	b, q := cached(t, 16<<20)
	p := b.pages
	for round := range 3 {
		for at := int64(0); at < 16<<20; at += 64 << 10 {
			read(t, q, at, 64<<10)
			if round == 1 {
				do(t, q, &blk.Request{Op: blk.Zero, Offset: at, Length: PageBytes})
			}
			if at%(1<<20) == 0 {
				p.index.Wait()
			}
		}
	}
	p.index.Wait()
	held := 0
	p.index.IterValues(func(uint32) bool { held++; return false })
	if n, ok := p.take(); ok {
		p.give(n)
	}
	seen := map[uint32]bool{}
	for _, n := range p.free {
		if seen[n] {
			t.Fatalf("page %d is free twice", n)
		}
		seen[n] = true
	}
	if held == 0 || held+len(p.free) != len(p.entries) {
		t.Errorf("%d held and %d free of %d pages", held, len(p.free), len(p.entries))
	}
}

// A change too long to be gone through block by block invalidates everything.
func TestGenerations_WideChange(t *testing.T) {
	g := newGenerations(4, 1<<20)
	before, settled := g.sum(3, 9)
	if !settled {
		t.Fatal("a new table is not settled")
	}
	g.begin(100, 100+wideBlocks+1)
	if _, settled = g.sum(3, 9); settled {
		t.Error("settled while a wide change is under way")
	}
	g.end(100, 100+wideBlocks+1)
	if after, settled := g.sum(3, 9); !settled || after == before {
		t.Errorf("sum %d, was %d, settled %v", after, before, settled)
	}
}

// A change of more blocks than the table has slots ends as it began.
func TestGenerations_LongerThanTheTable(t *testing.T) {
	g := newGenerations(4, 1<<20)
	g.begin(0, 100)
	g.end(0, 100)
	if _, settled := g.sum(0, 100); !settled {
		t.Error("something is still under way")
	}
}

func TestCache_NewRefusesWrongSizes(t *testing.T) {
	inner := newDelayed(t, 1<<20, 512)
	for _, n := range []int{0, MinBytes - PageBytes, MinBytes + 512} {
		_, err := New(Config{Inner: inner, Memory: make([]byte, n)})
		if err == nil || !strings.Contains(err.Error(), "use a multiple of 4096 of at least 1048576") {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

// failing is a medium that cannot be closed.
type failing struct {
	*ram.Backend
	err error
}

func (f failing) Close() error { return f.err }

func TestCache_CloseFreesOnce(t *testing.T) {
	inner := failing{newDelayed(t, 1<<20, 512).Backend, errors.New("stuck")}
	freed := 0
	b, err := New(Config{Inner: inner, Memory: make([]byte, MinBytes), Free: func([]byte) error { freed++; return nil }})
	if err != nil {
		t.Fatal(err)
	}
	if d := b.Describe(); d != "ram 1048576 bytes, cache 1048576 bytes" {
		t.Error(d)
	}
	first, second := b.Close(), b.Close()
	if !errors.Is(first, inner.err) || second != nil || freed != 1 {
		t.Errorf("%v, %v, freed %d times", first, second, freed)
	}
}
