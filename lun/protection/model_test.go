package protection

import (
	"bytes"
	"testing"

	"lunar/lun/blk"
	"lunar/scsi/pi"

	"pgregory.net/rapid"
)

// model drives a medium whose media end requests in any order. Requests that touch the same
// blocks are carried out in the order in which they came, so what a read is to find is what
// stands in a plain copy when it is submitted.
type model struct {
	disk         *disk
	q            *Queue
	data, tuples *late
	plain        []byte
	// wants are what reads under way are to find, fails the requests that may fail.
	wants   map[*blk.Request][]byte
	began   []*blk.Request
	version byte
}

func newModel(t testing.TB, d *disk, f pi.Format, lasting bool) *model {
	m := &model{disk: d, plain: bytes.Clone(d.data), wants: map[*blk.Request][]byte{}}
	_, m.q, m.data, m.tuples = d.open(t, f, lasting)
	return m
}

func (m *model) request(t *rapid.T) *blk.Request {
	r := &blk.Request{Op: rapid.SampledFrom([]blk.Op{
		blk.Read, blk.Read, blk.Read, blk.Write, blk.Write, blk.Write, blk.Zero, blk.Discard, blk.Sync, blk.Map,
	}).Draw(t, "op")}
	r.Offset = rapid.Int64Range(0, 6).Draw(t, "from") * testBlock
	r.Length = rapid.Int64Range(1, 4).Draw(t, "blocks") * testBlock
	r.Bare, r.FUA = rapid.Bool().Draw(t, "bare"), rapid.Bool().Draw(t, "fua")
	switch r.Op {
	case blk.Read:
		r.Data = make([]byte, r.Length)
	case blk.Write:
		m.version++
		r.Data = bytes.Repeat([]byte{m.version}, int(r.Length))
	default:
	}
	return r
}

func (m *model) submit(t *rapid.T) {
	for range rapid.IntRange(1, 4).Draw(t, "batch") {
		r := m.request(t)
		part := m.plain[r.Offset:][:r.Length]
		switch r.Op {
		case blk.Read:
			m.wants[r] = bytes.Clone(part)
		case blk.Write:
			copy(part, r.Data)
		case blk.Zero, blk.Discard:
			clear(part)
		default:
		}
		m.began = append(m.began, r)
		m.took(t, m.q.Submit([]*blk.Request{r}, nil))
	}
}

// end ends one request of one of the media.
func (m *model) end(t *rapid.T) bool {
	n := m.data.Running() + m.tuples.Running()
	if n == 0 {
		return false
	}
	if i := rapid.IntRange(0, n-1).Draw(t, "which"); i < m.data.Running() {
		m.took(t, m.q.Complete(uint32(i), 0, nil))
	} else {
		m.took(t, m.q.Complete(uint32(i-m.data.Running())|TuplesSlot, 0, nil))
	}
	return true
}

func (m *model) took(t *rapid.T, done []*blk.Request) {
	for _, r := range done {
		if r.Result != blk.OK {
			t.Fatalf("op %d at %d: result %d", r.Op, r.Offset, r.Result)
		}
		if want, is := m.wants[r]; is && !bytes.Equal(r.Data, want) {
			t.Fatalf("read at %d: %x…, want %x…", r.Offset, r.Data[:4], want[:4])
		}
		for i, b := range m.began {
			if b == r {
				m.began = append(m.began[:i], m.began[i+1:]...)
				break
			}
		}
	}
}

func formats(t *rapid.T) pi.Format {
	return pi.Format{
		Type:  rapid.SampledFrom([]pi.Type{pi.Type1, pi.Type1, pi.Type2, pi.Type3}).Draw(t, "type"),
		Owned: rapid.IntRange(0, 4).Draw(t, "owned") == 0,
	}
}

// Whatever meets whatever, a read finds what was written last before it came, and nothing
// that does not fit.
func TestModel_ReadsFindWhatWasWritten(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := newModel(t, newDisk(), formats(rt), rapid.Bool().Draw(rt, "lasting"))
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			if rapid.Bool().Draw(rt, "submit") || !m.end(rt) {
				m.submit(rt)
			}
		}
		for m.end(rt) {
		}
		if m.q.Running() != 0 || len(m.began) != 0 {
			rt.Fatalf("%d run, %d did not end", m.q.Running(), len(m.began))
		}
		whole := &blk.Request{Op: blk.Read, Length: testBytes, Data: make([]byte, testBytes)}
		m.wants[whole] = m.plain
		m.took(rt, m.q.Submit([]*blk.Request{whole}, nil))
		for m.end(rt) {
		}
	})
}

// A process that ends at any moment leaves blocks that can be read, all of a type: each is as
// it was after a request that had ended, or as one under way makes it.
func TestModel_EndOfTheProcessLeavesWhatFits(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d, f := newDisk(), formats(rt)
		m := newModel(t, d, f, true)
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			if rapid.Bool().Draw(rt, "submit") || !m.end(rt) {
				m.submit(rt)
			}
		}
		settled := map[int64]bool{} // blocks that no change is under way on
		for n := int64(0); n < testBytes; n += testBlock {
			settled[n] = true
			for _, r := range m.began {
				if r.Op != blk.Read && r.Op != blk.Sync && r.Op != blk.Map && r.Offset <= n && n < r.Offset+r.Length {
					settled[n] = false
				}
			}
		}
		_, q, data, tuples := d.open(t, f, true) // what was under way is not done any more
		for n := int64(0); n < testBytes; n += testBlock {
			r := &blk.Request{Op: blk.Read, Offset: n, Length: testBlock, Data: make([]byte, testBlock)}
			q.Submit([]*blk.Request{r}, nil)
			for data.Running() > 0 {
				q.Complete(0, 0, nil)
			}
			for tuples.Running() > 0 {
				q.Complete(TuplesSlot, 0, nil)
			}
			if r.Result != blk.OK {
				rt.Fatalf("block %d: result %d", n/testBlock, r.Result)
			}
			if settled[n] && !bytes.Equal(r.Data, m.plain[n:][:testBlock]) {
				rt.Fatalf("block %d: %x, want %x", n/testBlock, r.Data[0], m.plain[n])
			}
		}
	})
}

// What a medium fails ends its request, and nothing else: the next one goes on.
func TestModel_FailuresEndTheirRequest(t *testing.T) {
	for _, lasting := range []bool{false, true} {
		for _, op := range []blk.Op{blk.Read, blk.Write, blk.Zero, blk.Discard} {
			for fails := range 3 {
				m := newModel(t, newDisk(), pi.Format{Type: pi.Type1}, lasting)
				first := &blk.Request{Op: op, Length: testBlock, Data: make([]byte, testBlock)}
				second := &blk.Request{Op: blk.Write, Length: testBlock, Data: make([]byte, testBlock)}
				done := m.q.Submit([]*blk.Request{first, second}, nil)
				failed := false
				for n := 0; m.data.Running()+m.tuples.Running() > 0; n++ {
					result := int32(0)
					if n == fails {
						result, failed = -1, first.Result == blk.Running
					}
					if m.data.Running() > 0 {
						done = m.q.Complete(0, result, done)
					} else {
						done = m.q.Complete(TuplesSlot, result, done)
					}
				}
				if len(done) != 2 || m.q.Running() != 0 {
					t.Fatalf("op %d, failure %d: %d ended, %d run", op, fails, len(done), m.q.Running())
				}
				if failed != (first.Result == blk.MediumError) {
					t.Errorf("op %d, failure %d, lasting %v: result %d", op, fails, lasting, first.Result)
				}
			}
		}
	}
}
