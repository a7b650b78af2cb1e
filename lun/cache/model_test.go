package cache

import (
	"bytes"
	"testing"

	"lunar/lun/blk"

	"pgregory.net/rapid"
)

const (
	modelBytes  = 64 << 10
	modelSector = 512
)

// model drives a cache in front of a delayed medium.
type model struct {
	b       *Backend
	q       *Queue
	inner   *delayed
	running map[*blk.Request]bool
	version byte
	hits    int
}

func newModel(t *testing.T) *model {
	inner := newDelayed(t, modelBytes, modelSector)
	b, err := New(Config{Inner: inner, Memory: make([]byte, MinBytes)})
	if err != nil {
		t.Fatal(err)
	}
	return &model{b: b, q: b.NewQueue(inner), inner: inner, running: map[*blk.Request]bool{}}
}

// request draws one on a few pages, so that they meet; most reads are whole pages.
func (m *model) request(t *rapid.T) *blk.Request {
	r := &blk.Request{Tag: rapid.Uint64().Draw(t, "tag")}
	r.Op = rapid.SampledFrom([]blk.Op{
		blk.Read, blk.Read, blk.Read, blk.Read, blk.Read, blk.Read, blk.Write, blk.Write, blk.Discard, blk.Zero, blk.Sync,
	}).Draw(t, "op")
	unit := rapid.SampledFrom([]int64{PageBytes, PageBytes, modelSector}).Draw(t, "unit")
	r.Offset = rapid.Int64Range(0, 2*PageBytes/unit).Draw(t, "from") * unit
	r.Length = rapid.Int64Range(1, 3).Draw(t, "length") * unit
	if r.Op == blk.Read || r.Op == blk.Write {
		r.Data = make([]byte, r.Length)
	}
	if r.Op == blk.Write {
		m.version++
		for i := range r.Data {
			r.Data[i] = m.version
		}
	}
	return r
}

// submit hands over a batch. A read that ends at once came from the cache, and
// must be what the medium holds at this moment: nothing else is fresh, because
// blocks with a change under way are not served.
func (m *model) submit(t *rapid.T) {
	var batch []*blk.Request
	for range rapid.IntRange(1, 2).Draw(t, "batch") {
		r := m.request(t)
		m.running[r] = true
		batch = append(batch, r)
	}
	for _, r := range m.q.Submit(batch, nil) {
		if !m.running[r] || r.Op != blk.Read || r.Result != blk.OK {
			t.Fatalf("op %d ended at once with result %d", r.Op, r.Result)
		}
		delete(m.running, r)
		now := &blk.Request{Op: blk.Read, Offset: r.Offset, Length: r.Length, Data: make([]byte, r.Length)}
		m.inner.ram.Submit([]*blk.Request{now}, nil)
		if !bytes.Equal(now.Data, r.Data) {
			t.Fatalf("stale: %d bytes at %d begin with %d, the medium has %d", r.Length, r.Offset, r.Data[0], now.Data[0])
		}
		m.hits++
	}
}

func (m *model) carryOut(t *rapid.T) {
	if n := len(m.inner.waiting); n > 0 {
		m.inner.carryOut(rapid.IntRange(0, n-1).Draw(t, "which"))
	}
}

func (m *model) complete(t *rapid.T) {
	n := len(m.inner.over)
	if n == 0 {
		return
	}
	slot := uint32(rapid.IntRange(0, n-1).Draw(t, "which"))
	result := int32(0)
	if rapid.IntRange(0, 9).Draw(t, "fails") == 0 {
		result = -1
	}
	tag := m.q.flights[m.inner.over[slot].Tag].outer.Tag
	done := m.q.Complete(slot, result, nil)
	if len(done) != 1 || !m.running[done[0]] || done[0].Tag != tag || (done[0].Result == blk.OK) != (result == 0) {
		t.Fatalf("reported %d requests", len(done))
	}
	delete(m.running, done[0])
	if rapid.Bool().Draw(t, "settle") {
		m.b.pages.index.Wait()
	}
}

// finish ends everything.
func (m *model) finish(*rapid.T) {
	for len(m.inner.waiting) > 0 {
		m.inner.carryOut(0)
	}
	for len(m.inner.over) > 0 {
		for _, r := range m.q.Complete(0, 0, nil) {
			delete(m.running, r)
		}
	}
	m.b.pages.index.Wait()
}

// Reads, writes and their ends in every order: no hit is ever stale, and every
// request is reported once. The index settles at any point, or not at all.
func TestCache_Model_NeverServesAStaleBlock(t *testing.T) {
	runs, hits := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		m := newModel(t)
		defer func() {
			if err := m.b.Close(); err != nil {
				t.Error(err)
			}
		}()
		steps := []func(*rapid.T){
			m.submit, m.submit, m.submit, m.carryOut, m.carryOut, m.carryOut, m.carryOut,
			m.complete, m.complete, m.complete, m.complete, m.finish,
		}
		for range 300 {
			steps[rapid.IntRange(0, len(steps)-1).Draw(rt, "step")](rt)
			if n := m.q.Running(); n != len(m.running) {
				rt.Fatalf("running %d, want %d", n, len(m.running))
			}
		}
		runs++
		hits += m.hits
	})
	// A run has about 16; how many runs there are is not for this test to say.
	if hits < 5*runs {
		t.Errorf("only %d reads of %d runs were served from the cache", hits, runs)
	}
}
