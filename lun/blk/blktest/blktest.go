// Package blktest is the suite that every medium passes: the same cases on each
// backend, so that a unit above cannot tell them apart.
//
// Owner: the test that calls Run. A newcomer reads Run and then Subject.
//
// Sections covered: the durability words of package blk (SBC-3 §4.15) as far as
// they show without a power cut, and LBPRZ (SBC-3 §4.7.3.5): a discarded range
// reads as zeros, its neighbours stay.
package blktest

import (
	"bytes"
	"fmt"
	"testing"

	"lunar/lun/blk"

	"pgregory.net/rapid"
)

// Subject is a medium under test, fresh and reading as zeros.
type Subject struct {
	Backend blk.Backend
	Queue   blk.Queue
	// Wait completes something of what runs and appends what finished; nil for a
	// queue that ends everything in Submit.
	Wait func(done []*blk.Request) []*blk.Request
	// Alloc returns memory a backend may give to the kernel; nil means the heap.
	Alloc func(n int) []byte
	// Forgets is for a medium that drops writes.
	Forgets bool
	// Keeps is for a medium whose discard leaves the range mapped.
	Keeps bool
}

// Run runs every case on subjects made by open, which also arranges their end.
func Run(t *testing.T, open func(t testing.TB) Subject) {
	readOnly := open(t).Backend.Info().ReadOnly
	t.Run("info", func(t *testing.T) { testInfo(t, open(t)) })
	t.Run("bounds", func(t *testing.T) { testBounds(t, open(t)) })
	t.Run("map", func(t *testing.T) { testMap(t, open(t)) })
	if readOnly {
		t.Run("readonly", func(t *testing.T) { testReadOnly(t, open(t)) })
		return
	}
	t.Run("patterns", func(t *testing.T) { testPatterns(t, open(t)) })
	t.Run("many", func(t *testing.T) { testMany(t, open(t)) })
	t.Run("edges", func(t *testing.T) { testEdges(t, open(t)) })
	t.Run("model", func(t *testing.T) { testModel(t, open) })
}

func (s *Subject) alloc(n int) []byte {
	if s.Alloc != nil {
		return s.Alloc(n)
	}
	return make([]byte, n)
}

// do runs the requests to their end and checks the bookkeeping: each is reported
// once, with its tag, and nothing is left running.
func (s *Subject) do(t testing.TB, batch ...*blk.Request) {
	t.Helper()
	for i, r := range batch {
		r.Tag = uint64(i) + 1<<40
	}
	done := s.Queue.Submit(batch, nil)
	for len(done) < len(batch) {
		if got := s.Queue.Running(); got != len(batch)-len(done) {
			t.Fatalf("running %d, want %d", got, len(batch)-len(done))
		}
		if s.Wait == nil {
			t.Fatalf("%d of %d requests ended, and nothing to wait for", len(done), len(batch))
		}
		done = s.Wait(done)
	}
	seen := make(map[uint64]bool)
	for _, r := range done {
		i := int(r.Tag - 1<<40)
		if seen[r.Tag] || i < 0 || i >= len(batch) || batch[i] != r {
			t.Fatalf("request with tag %#x reported twice, or not ours", r.Tag)
		}
		if r.Result == blk.Running {
			t.Fatalf("request %d reported while running", i)
		}
		seen[r.Tag] = true
	}
	if got := s.Queue.Running(); got != 0 || len(done) != len(batch) {
		t.Fatalf("%d reported of %d, %d running", len(done), len(batch), got)
	}
}

// ok runs one request that must end OK.
func (s *Subject) ok(t testing.TB, r *blk.Request) {
	t.Helper()
	s.do(t, r)
	if r.Result != blk.OK {
		t.Fatalf("op %d at %d, %d bytes: result %d", r.Op, r.Offset, r.Length, r.Result)
	}
}

func (s *Subject) write(t testing.TB, offset int64, data []byte, fua bool) {
	t.Helper()
	mem := s.alloc(len(data))
	copy(mem, data)
	s.ok(t, &blk.Request{Op: blk.Write, FUA: fua, Offset: offset, Length: int64(len(data)), Data: mem})
}

func (s *Subject) read(t testing.TB, offset, n int64) []byte {
	t.Helper()
	mem := s.alloc(int(n))
	for i := range mem {
		mem[i] = 0xa5
	}
	s.ok(t, &blk.Request{Op: blk.Read, Offset: offset, Length: n, Data: mem})
	return mem
}

// expect checks that the medium holds want at offset, or zeros if it forgets.
func (s *Subject) expect(t testing.TB, offset int64, want []byte) {
	t.Helper()
	if s.Forgets {
		want = make([]byte, len(want))
	}
	got := s.read(t, offset, int64(len(want)))
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("byte %d: %#x, want %#x", offset+int64(i), got[i], want[i])
		}
	}
}

// pattern returns n bytes that differ between blocks, offsets and versions.
func pattern(n int64, version byte) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i) ^ byte(i>>9)*7 ^ version
	}
	return b
}

func testInfo(t *testing.T, s Subject) {
	i := s.Backend.Info()
	if i.BlockBytes != 512 && i.BlockBytes != 4096 {
		t.Errorf("block size %d", i.BlockBytes)
	}
	if i.Bytes <= 0 || i.Bytes%int64(i.BlockBytes) != 0 || i.Blocks() != uint64(i.Bytes/int64(i.BlockBytes)) {
		t.Errorf("%d bytes in blocks of %d", i.Bytes, i.BlockBytes)
	}
	if p := i.PhysicalBytes; p < i.BlockBytes || p%i.BlockBytes != 0 || p&(p-1) != 0 {
		t.Errorf("physical block size %d", p)
	}
	if i.Thin && (i.DiscardBytes == 0 || i.DiscardBytes%i.BlockBytes != 0 && i.BlockBytes%i.DiscardBytes != 0) {
		t.Errorf("discard granularity %d", i.DiscardBytes)
	}
	if s.Backend.Describe() == "" {
		t.Error("no description")
	}
}

// testBounds asks for ranges that are not on the medium. A unit never does; a
// medium that is asked must refuse and stay whole.
func testBounds(t *testing.T, s Subject) {
	i := s.Backend.Info()
	n := int64(i.BlockBytes)
	ops := []blk.Op{blk.Read, blk.Map, blk.Write, blk.Discard, blk.Zero}
	if i.ReadOnly {
		ops = ops[:2]
	}
	for _, op := range ops {
		for _, offset := range []int64{i.Bytes, i.Bytes - n + 1, -n, 1<<63 - 1} {
			r := &blk.Request{Op: op, Offset: offset, Length: n}
			if op == blk.Read || op == blk.Write {
				r.Data = s.alloc(int(n))
			}
			if s.do(t, r); r.Result != blk.MediumError {
				t.Errorf("op %d at %d of %d: result %d", op, offset, i.Bytes, r.Result)
			}
		}
	}
}

func testReadOnly(t *testing.T, s Subject) {
	n := int64(s.Backend.Info().BlockBytes)
	for _, op := range []blk.Op{blk.Write, blk.Discard, blk.Zero} {
		r := &blk.Request{Op: op, Length: n, Data: s.alloc(int(n))}
		if op != blk.Write {
			r.Data = nil
		}
		if s.do(t, r); r.Result != blk.Unsupported {
			t.Errorf("op %d on a read-only medium: result %d", op, r.Result)
		}
	}
	s.expect(t, 0, make([]byte, n))
}

func testPatterns(t *testing.T, s Subject) {
	i := s.Backend.Info()
	block := int64(i.BlockBytes)
	s.expect(t, 0, make([]byte, block))
	s.expect(t, i.Bytes-block, make([]byte, block))
	version := byte(0)
	for _, n := range []int64{block, 3 * block, 64 << 10, blk.MaxRequestBytes} {
		for _, offset := range []int64{0, block, i.Bytes - n} {
			for _, fua := range []bool{false, true} {
				version++
				want := pattern(n, version)
				s.write(t, offset, want, fua)
				s.expect(t, offset, want)
			}
		}
	}
	s.ok(t, &blk.Request{Op: blk.Sync})
}

// testMany submits far more at once than any queue has slots for.
func testMany(t *testing.T, s Subject) {
	i := s.Backend.Info()
	block := int64(i.BlockBytes)
	count := int(min(1000, i.Bytes/block))
	var writes, reads []*blk.Request
	for k := range count {
		mem := s.alloc(int(block))
		copy(mem, pattern(block, byte(k)))
		offset := int64(k) * block
		writes = append(writes, &blk.Request{Op: blk.Write, Offset: offset, Length: block, Data: mem})
		reads = append(reads, &blk.Request{Op: blk.Read, Offset: offset, Length: block, Data: s.alloc(int(block))})
	}
	s.do(t, writes...)
	s.do(t, reads...)
	for k, r := range reads {
		want := pattern(block, byte(k))
		if s.Forgets {
			clear(want)
		}
		if r.Result != blk.OK || writes[k].Result != blk.OK || !bytes.Equal(r.Data, want) {
			t.Fatalf("block %d: write %d, read %d", k, writes[k].Result, r.Result)
		}
	}
}

// testEdges discards and zeroes ranges whose edges lie everywhere relative to
// the granularity of the medium: the range reads as zeros, its neighbours stay.
func testEdges(t *testing.T, s Subject) {
	i := s.Backend.Info()
	block := int64(i.BlockBytes)
	const window = 256 << 10
	for _, op := range []blk.Op{blk.Discard, blk.Zero} {
		if op == blk.Discard && !i.Thin {
			continue
		}
		for _, from := range []int64{0, block, 7 * block, 8 * block, 9 * block} {
			for _, n := range []int64{block, 2 * block, 7 * block, 8 * block, 16 * block, 33 * block} {
				t.Run(fmt.Sprintf("op=%d/from=%d/n=%d", op, from, n), func(t *testing.T) {
					want := pattern(window, byte(n))
					s.write(t, 0, want, false)
					s.ok(t, &blk.Request{Op: op, Offset: from, Length: n})
					clear(want[from : from+n])
					s.expect(t, 0, want)
				})
			}
		}
		s.ok(t, &blk.Request{Op: op, Offset: 0, Length: i.Bytes})
		s.expect(t, i.Bytes-block, make([]byte, block))
		s.ok(t, &blk.Request{Op: op, Offset: block, Length: 0})
	}
}

// testModel runs random operations against a slice of bytes.
func testModel(t *testing.T, open func(t testing.TB) Subject) {
	s := open(t)
	info := s.Backend.Info()
	block := int64(info.BlockBytes)
	blocks := min(info.Bytes/block, 256)
	model := make([]byte, blocks*block)
	rapid.Check(t, func(rt *rapid.T) {
		for range rapid.IntRange(1, 20).Draw(rt, "operations") {
			from := rapid.Int64Range(0, blocks-1).Draw(rt, "from") * block
			n := rapid.Int64Range(1, min(blocks-from/block, blk.MaxRequestBytes/block)).Draw(rt, "blocks") * block
			switch op := blk.Op(rapid.IntRange(1, 5).Draw(rt, "op")); op {
			case blk.Read:
				s.expect(t, from, model[from:from+n])
			case blk.Write:
				data := pattern(n, rapid.Byte().Draw(rt, "version"))
				s.write(t, from, data, rapid.Bool().Draw(rt, "fua"))
				copy(model[from:], data)
			case blk.Sync:
				s.ok(t, &blk.Request{Op: blk.Sync})
			case blk.Discard, blk.Zero:
				s.ok(t, &blk.Request{Op: op, Offset: from, Length: n})
				clear(model[from : from+n])
			}
		}
		s.expect(t, 0, model[:min(int64(len(model)), blk.MaxRequestBytes)])
		s.expectHoles(rt, model)
	})
}
