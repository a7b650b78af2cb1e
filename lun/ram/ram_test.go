package ram

import (
	"errors"
	"testing"

	"lunar/lun/blk"
	"lunar/lun/blk/blktest"
)

func open(t testing.TB, cfg Config) blktest.Subject {
	t.Helper()
	cfg.Memory = make([]byte, 2<<20)
	if cfg.BlockBytes == 0 {
		cfg.BlockBytes = 512
	}
	b, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	// A page that is cleared instead of given back stays allocated.
	keeps := cfg.Trim == nil || cfg.Trim(nil) != nil
	return blktest.Subject{Backend: b, Queue: b.NewQueue(), Keeps: keeps}
}

func TestRAM_Suite(t *testing.T) {
	for name, cfg := range map[string]Config{
		"512":       {},
		"4096":      {BlockBytes: 4096},
		"trim":      {Trim: func(b []byte) error { clear(b); return nil }},
		"trimfails": {Trim: func([]byte) error { return errors.New("no") }},
		"readonly":  {ReadOnly: true},
	} {
		t.Run(name, func(t *testing.T) {
			blktest.Run(t, func(t testing.TB) blktest.Subject { return open(t, cfg) })
		})
	}
}

// Trim is given whole pages only, and never one that holds a byte outside.
func TestRAM_TrimGetsWholePages(t *testing.T) {
	var trimmed int
	s := open(t, Config{Trim: func(b []byte) error {
		if len(b)%pageBytes != 0 {
			t.Errorf("trim of %d bytes", len(b))
		}
		trimmed += len(b)
		clear(b)
		return nil
	}})
	r := &blk.Request{Op: blk.Discard, Offset: 512, Length: 3*pageBytes - 512}
	s.Queue.Submit([]*blk.Request{r}, nil)
	if r.Result != blk.OK || trimmed != 2*pageBytes {
		t.Errorf("result %d, trimmed %d bytes, want %d", r.Result, trimmed, 2*pageBytes)
	}
}

// The state of a page is that of every block in it, over any number of words.
func TestRAM_Map_FollowsPages(t *testing.T) {
	s := open(t, Config{Trim: func(b []byte) error { clear(b); return nil }})
	run := func(op blk.Op, offset, length int64) *blk.Request {
		r := &blk.Request{Op: op, Offset: offset, Length: length, Data: make([]byte, length)}
		s.Queue.Submit([]*blk.Request{r}, nil)
		if r.Result != blk.OK {
			t.Fatalf("op %d: result %d", op, r.Result)
		}
		return r
	}
	const size = 2 << 20
	run(blk.Write, 100*pageBytes+512, 512)
	run(blk.Zero, 101*pageBytes, 64*pageBytes)
	run(blk.Discard, 110*pageBytes-512, 3*pageBytes)
	for _, k := range []struct {
		offset, length, bytes int64
		hole                  bool
	}{
		{0, size, 100 * pageBytes, true},
		{99 * pageBytes, 512, 512, true},
		{100 * pageBytes, size - 100*pageBytes, 10 * pageBytes, false},
		{100*pageBytes + 1024, 512, 512, false},
		{110 * pageBytes, size - 110*pageBytes, 2 * pageBytes, true},
		{112 * pageBytes, size - 112*pageBytes, 53 * pageBytes, false},
		{165 * pageBytes, size - 165*pageBytes, size - 165*pageBytes, true},
		{size - 512, 512, 512, true},
	} {
		if r := run(blk.Map, k.offset, k.length); r.Progress != k.bytes || r.Hole != k.hole {
			t.Errorf("%+v: %d bytes, hole %v", k, r.Progress, r.Hole)
		}
	}
}

func TestRAM_NewRefusesWrongSizes(t *testing.T) {
	for _, cfg := range []Config{
		{Memory: make([]byte, 1024), BlockBytes: 1024},
		{Memory: make([]byte, 1000), BlockBytes: 512},
		{BlockBytes: 512},
	} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%d bytes in blocks of %d: no error", len(cfg.Memory), cfg.BlockBytes)
		}
	}
}

func TestRAM_CloseFreesOnce(t *testing.T) {
	freed := 0
	b, err := New(Config{Memory: make([]byte, 4096), BlockBytes: 512, Free: func([]byte) error { freed++; return nil }})
	if err != nil {
		t.Fatal(err)
	}
	first, second := b.Close(), b.Close()
	if first != nil || second != nil || freed != 1 {
		t.Errorf("freed %d times", freed)
	}
}

// Used are the pages that hold something, and a discard frees whole ones.
func TestUsage_FollowsPages(t *testing.T) {
	const size = 10*pageBytes + 512
	b, err := New(Config{Memory: make([]byte, size), BlockBytes: 512, Trim: func(p []byte) error { clear(p); return nil }})
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []struct {
		op           blk.Op
		offset, n    int64
		used         int64
		allocatedNow string
	}{
		{blk.Read, 0, 512, 0, "nothing was written"},
		{blk.Write, 0, 512, pageBytes, "a block takes its page"},
		{blk.Zero, pageBytes - 512, 1024, 2 * pageBytes, "zeros are kept"},
		{blk.Write, 10 * pageBytes, 512, 3 * pageBytes, "the last page is a part of one"},
		{blk.Discard, 512, pageBytes - 512, 3 * pageBytes, "a part of a page stays"},
		{blk.Discard, 0, pageBytes, 2 * pageBytes, "a whole page goes"},
		{blk.Zero, 0, size, size, "no more than there is"},
	} {
		r := &blk.Request{Op: k.op, Offset: k.offset, Length: k.n, Data: make([]byte, k.n)}
		b.NewQueue().Submit([]*blk.Request{r}, nil)
		u, err := b.Usage()
		if want := (blk.Usage{Used: k.used, Available: size - k.used, Known: true}); u != want || err != nil || r.Result != blk.OK {
			t.Errorf("%s: %+v, %v, result %d; want %+v", k.allocatedNow, u, err, r.Result, want)
		}
	}
}
