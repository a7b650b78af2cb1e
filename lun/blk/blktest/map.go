package blktest

import (
	"testing"

	"lunar/lun/blk"
)

// extent is one answer of a Map.
type extent struct {
	offset, bytes int64
	// state is 0 for mapped.
	state
}

type state struct{ hole, anchored bool }

// reporter is a *testing.T or a *rapid.T.
type reporter interface {
	Helper()
	Fatalf(format string, args ...any)
}

// extents walks the range from..to by Map requests. Each is answered OK, with
// whole blocks, at least one and no more than was asked for.
func (s *Subject) extents(t reporter, from, to int64) (all []extent) {
	t.Helper()
	block := int64(s.Backend.Info().BlockBytes)
	for from < to {
		r := &blk.Request{Op: blk.Map, Offset: from, Length: to - from}
		done := s.Queue.Submit([]*blk.Request{r}, nil)
		for len(done) == 0 {
			done = s.Wait(done)
		}
		if r.Result != blk.OK || r.Progress < block || r.Progress > r.Length || r.Progress%block != 0 {
			t.Fatalf("map of %d bytes at %d: result %d, %d bytes", r.Length, from, r.Result, r.Progress)
		}
		all = append(all, extent{from, r.Progress, state{r.Hole, r.Anchored}})
		from += r.Progress
	}
	return all
}

// stateAt is that of the block at offset.
func stateAt(all []extent, offset int64) state {
	for _, e := range all {
		if offset >= e.offset && offset < e.offset+e.bytes {
			return e.state
		}
	}
	return state{}
}

// expectHoles checks that no block with data is called a hole, or anchored.
func (s *Subject) expectHoles(t reporter, model []byte) {
	t.Helper()
	for _, e := range s.extents(t, 0, int64(len(model))) {
		if e.state == (state{}) || s.Forgets {
			continue
		}
		for i, b := range model[e.offset : e.offset+e.bytes] {
			if b != 0 {
				t.Fatalf("byte %d is %#x in a hole", e.offset+int64(i), b)
			}
		}
	}
}

// testMap follows one medium from empty to written to discarded. A look-up that
// begins inside a run, or ends there, says the same.
func testMap(t *testing.T, s Subject) {
	i := s.Backend.Info()
	block := int64(i.BlockBytes)
	s.extents(t, 0, i.Bytes)
	s.extents(t, i.Bytes-block, i.Bytes)
	if i.ReadOnly {
		return
	}
	// Large enough to hold whole granules with a rest on both sides.
	granule := max(int64(i.DiscardBytes), block)
	from, n := granule, 8*granule
	s.write(t, from, pattern(n, 1), false)
	if s.Forgets {
		return
	}
	for at := from; at < from+n; at += block {
		if all := s.extents(t, at, at+block); all[0].state != (state{}) {
			t.Fatalf("block at %d was written and is a hole", at)
		}
	}
	if !i.Thin {
		return
	}
	hole, holeBytes := from+2*granule, 3*granule
	s.ok(t, &blk.Request{Op: blk.Discard, Offset: hole, Length: holeBytes})
	all := s.extents(t, 0, i.Bytes)
	for at := from; at < from+n; at += block {
		discarded := at >= hole && at < hole+holeBytes
		if got := stateAt(all, at).hole; got && !discarded || !got && discarded && !s.Keeps {
			t.Errorf("block at %d: hole %v, discarded %v", at, got, discarded)
		}
	}
	// One block written into the hole is mapped again.
	s.write(t, hole+granule, pattern(block, 2), false)
	if s.extents(t, hole+granule, hole+2*granule)[0].hole {
		t.Error("a block written into a hole is still one")
	}
	if i.Anchors && !s.Keeps {
		testAnchors(t, s, hole, holeBytes)
	}
}

// testAnchors zeroes what was a hole in part: all of it is anchored, until it is written or
// deallocated.
func testAnchors(t *testing.T, s Subject, from, n int64) {
	s.ok(t, &blk.Request{Op: blk.Zero, Offset: from, Length: n})
	block, granule := int64(s.Backend.Info().BlockBytes), n/3
	for _, e := range s.extents(t, from, from+n) {
		if e.state != (state{anchored: true}) {
			t.Errorf("zeroed: %+v", e)
		}
	}
	s.write(t, from, pattern(granule, 3), false)
	s.ok(t, &blk.Request{Op: blk.Discard, Offset: from + 2*granule, Length: granule})
	all := s.extents(t, from, from+n)
	for at := from; at < from+n; at += block {
		want := state{hole: at >= from+2*granule, anchored: at >= from+granule && at < from+2*granule}
		if got := stateAt(all, at); got != want {
			t.Errorf("block at %d of %d: %+v, want %+v", at, from, got, want)
		}
	}
	s.write(t, from+granule, pattern(granule, 4), false)
}
