package protection

import (
	"bytes"
	"errors"
	"testing"

	"lunar/lun/blk"
	"lunar/lun/blk/blktest"
	"lunar/lun/ram"
	"lunar/scsi/pi"
)

// atOnce is a medium whose media answer at once.
func atOnce(t testing.TB, n, block int, f pi.Format, lasting bool) (*Backend, *Queue, *ram.Backend, *ram.Backend) {
	t.Helper()
	data, err := ram.New(ram.Config{Memory: make([]byte, n), BlockBytes: uint32(block), Trim: func(p []byte) error { clear(p); return nil }})
	if err != nil {
		t.Fatal(err)
	}
	tuples := memory(t, make([]byte, (n/block*pi.Bytes+511)&^511))
	b, err := New(Config{Data: data, Tuples: tuples, Memory: make([]byte, MemoryBytes), Lasting: lasting})
	if err != nil {
		t.Fatal(err)
	}
	b.Protect(f)
	return b, b.NewQueue(data.NewQueue(), tuples.NewQueue()), data, tuples
}

func TestProtection_Suite(t *testing.T) {
	for name, k := range map[string]struct {
		f       pi.Format
		block   int
		lasting bool
	}{
		"type 0":         {pi.Format{}, 512, false},
		"type 1":         {pi.Format{Type: pi.Type1}, 512, false},
		"type 1 lasting": {pi.Format{Type: pi.Type1}, 512, true},
		"type 2":         {pi.Format{Type: pi.Type2}, 4096, true},
		"type 3":         {pi.Format{Type: pi.Type3}, 4096, false},
	} {
		t.Run(name, func(t *testing.T) {
			blktest.Run(t, func(t testing.TB) blktest.Subject {
				b, q, _, _ := atOnce(t, 2<<20, k.block, k.f, k.lasting)
				return blktest.Subject{Backend: b, Queue: q}
			})
		})
	}
}

func do(t testing.TB, q blk.Queue, r *blk.Request, want blk.Result) *blk.Request {
	t.Helper()
	if done := q.Submit([]*blk.Request{r}, nil); len(done) != 1 || r.Result != want {
		t.Fatalf("op %d at %d: %d ended, result %d, want %d", r.Op, r.Offset, len(done), r.Result, want)
	}
	return r
}

// What is stored beside data that came without, by type and operation.
func TestQueue_StoresWhatTheTypeSays(t *testing.T) {
	none := pi.Tuple{Guard: 0xffff, Application: 0xffff, Reference: 0xffffffff}
	data := bytes.Repeat([]byte{0xff}, 512)
	guard := pi.CRC(data)
	for _, k := range []struct {
		f    pi.Format
		op   blk.Op
		bare bool
		want pi.Tuple
	}{
		{pi.Format{Type: pi.Type1}, blk.Write, false, pi.Tuple{Guard: guard, Reference: 3}},
		{pi.Format{Type: pi.Type1, Owned: true}, blk.Write, false, pi.Tuple{Guard: guard, Application: 0xffff, Reference: 3}},
		{pi.Format{Type: pi.Type2}, blk.Write, false, pi.Tuple{Guard: guard, Application: 0xffff, Reference: 0xffffffff}},
		{pi.Format{Type: pi.Type3}, blk.Write, false, pi.Tuple{Guard: guard, Reference: 0xffffffff}},
		{pi.Format{Type: pi.Type1}, blk.Zero, false, pi.Tuple{Reference: 3}},
		{pi.Format{Type: pi.Type1}, blk.Zero, true, none},
		{pi.Format{Type: pi.Type1}, blk.Discard, false, none},
	} {
		for _, lasting := range []bool{false, true} {
			_, q, _, _ := atOnce(t, 1<<20, 512, k.f, lasting)
			before := &blk.Request{Op: blk.Write, Offset: 0, Length: 4096, Data: bytes.Repeat([]byte{0x11}, 4096), Tuples: make([]byte, 64)}
			do(t, q, before, blk.OK)
			do(t, q, &blk.Request{Op: k.op, Bare: k.bare, Offset: 3 * 512, Length: 512, Data: data}, blk.OK)
			r := do(t, q, &blk.Request{Op: blk.Read, Offset: 2 * 512, Length: 3 * 512, Data: make([]byte, 3*512), Tuples: make([]byte, 24)}, blk.OK)
			if got := pi.Get(r.Tuples[8:]); got != k.want {
				t.Errorf("%+v op %d bare %v: %+v, want %+v", k.f, k.op, k.bare, got, k.want)
			}
			if pi.Get(r.Tuples) != (pi.Tuple{}) || pi.Get(r.Tuples[16:]) != (pi.Tuple{}) {
				t.Errorf("%+v op %d: neighbours %x", k.f, k.op, r.Tuples)
			}
		}
	}
}

// A Zero longer than what is in memory at once has all its blocks told.
func TestQueue_LongZeroHasEveryBlockTold(t *testing.T) {
	_, q, _, _ := atOnce(t, 2<<20, 512, pi.Format{Type: pi.Type1}, true)
	do(t, q, &blk.Request{Op: blk.Zero, Offset: 512, Length: 2<<20 - 1024}, blk.OK)
	for _, at := range []int64{512, 256<<10 + 512, 1 << 20, 2<<20 - 1024} {
		r := do(t, q, &blk.Request{Op: blk.Read, Offset: at, Length: 512, Data: make([]byte, 512), Tuples: make([]byte, 8)}, blk.OK)
		if got := pi.Get(r.Tuples); got != (pi.Tuple{Reference: uint32(at / 512)}) {
			t.Errorf("block %d: %+v", at/512, got)
		}
	}
}

// Damage to data and to tuples is found, and the block is named.
func TestQueue_FindsDamage(t *testing.T) {
	for _, k := range []struct {
		kind   pi.Type
		tuples bool // the damage is there
		at     int64
		want   blk.Result
	}{
		{pi.Type1, false, 5*512 + 17, blk.WrongGuard},
		{pi.Type1, true, 5*8 + 1, blk.WrongGuard},
		{pi.Type1, true, 5*8 + 7, blk.WrongReferenceTag},
		{pi.Type1, true, 5*8 + 3, blk.OK}, // ATO zero: nobody knows the application tag
		{pi.Type2, false, 5*512 + 17, blk.OK},
		{pi.Type3, false, 5*512 + 17, blk.WrongGuard},
		{pi.Type3, true, 5*8 + 7, blk.OK}, // nobody knows the reference tag
	} {
		_, q, data, tuples := atOnce(t, 1<<20, 512, pi.Format{Type: k.kind}, false)
		do(t, q, &blk.Request{Op: blk.Write, Length: 4096, Data: bytes.Repeat([]byte{0x5a}, 4096)}, blk.OK)
		damaged := data.NewQueue()
		if k.tuples {
			damaged = tuples.NewQueue()
		}
		byteAt := &blk.Request{Op: blk.Read, Offset: k.at, Length: 1, Data: make([]byte, 1)}
		do(t, damaged, byteAt, blk.OK)
		byteAt.Op, byteAt.Data[0] = blk.Write, byteAt.Data[0]^4
		do(t, damaged, byteAt, blk.OK)
		r := do(t, q, &blk.Request{Op: blk.Read, Offset: 512, Length: 7 * 512, Data: make([]byte, 7*512)}, k.want)
		if k.want != blk.OK && r.Progress != 4*512 {
			t.Errorf("type %d: damage of block 5 found at byte %d of a read of block 1", k.kind, r.Progress)
		}
	}
}

// What one of the media would refuse is not begun on the other one.
func TestQueue_RefusesBeforeAnythingChanges(t *testing.T) {
	_, q, _, tuples := atOnce(t, 1<<20, 512, pi.Format{Type: pi.Type1}, true)
	do(t, q, &blk.Request{Op: blk.Write, Offset: 1<<20 - 512, Length: 512, Data: make([]byte, 512)}, blk.OK)
	do(t, q, &blk.Request{Op: blk.Write, Offset: 1<<20 - 512, Length: 1024, Data: make([]byte, 1024)}, blk.MediumError)
	do(t, q, &blk.Request{Op: blk.Zero, Length: 512, Tuples: make([]byte, 8)}, blk.Unsupported)
	do(t, q, &blk.Request{Op: blk.Map + 1}, blk.Unsupported)
	last := &blk.Request{Op: blk.Read, Offset: 2047 * 8, Length: 8, Data: make([]byte, 8)}
	do(t, tuples.NewQueue(), last, blk.OK)
	if pi.Invert(last.Data); pi.Get(last.Data) != (pi.Tuple{Reference: 2047}) {
		t.Errorf("the last block says %+v", pi.Get(last.Data))
	}
	_, q, _, _ = atOnce(t, 1<<20, 512, pi.Format{}, false)
	do(t, q, &blk.Request{Op: blk.Read, Length: 512, Data: make([]byte, 512), Tuples: make([]byte, 8)}, blk.Unsupported)
}

func TestNew_RefusesWhatDoesNotFit(t *testing.T) {
	data, small := memory(t, make([]byte, 1<<20)), memory(t, make([]byte, 8192))
	if _, err := New(Config{Data: data, Tuples: small, Memory: make([]byte, MemoryBytes)}); err == nil {
		t.Error("too few tuples")
	}
	if _, err := New(Config{Data: data, Tuples: memory(t, make([]byte, 16384)), Memory: make([]byte, 1)}); err == nil {
		t.Error("too little memory")
	}
}

func TestClose_ClosesBothOnce(t *testing.T) {
	closed := 0
	free := func([]byte) error { closed++; return errors.New("no") }
	data, err := ram.New(ram.Config{Memory: make([]byte, 1<<20), BlockBytes: 512, Free: free})
	if err != nil {
		t.Fatal(err)
	}
	tuples, err := ram.New(ram.Config{Memory: make([]byte, 16384), BlockBytes: 512, Free: free})
	if err != nil {
		t.Fatal(err)
	}
	b, err := New(Config{Data: data, Tuples: tuples, Memory: make([]byte, MemoryBytes), Free: free})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err == nil || closed != 3 {
		t.Errorf("%v, %d given back", err, closed)
	}
	if err := b.Close(); err != nil || closed != 3 {
		t.Errorf("again: %v, %d given back", err, closed)
	}
}

func TestQueue_NoAllocation(t *testing.T) {
	_, q, _, _ := atOnce(t, 1<<20, 512, pi.Format{Type: pi.Type1}, false)
	batch := []*blk.Request{
		{Op: blk.Write, Length: 64 << 10, Data: make([]byte, 64<<10)},
		{Op: blk.Read, Length: 64 << 10, Data: make([]byte, 64<<10)},
	}
	done := make([]*blk.Request, 0, 4)
	if n := testing.AllocsPerRun(100, func() { done = q.Submit(batch, done[:0]) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if batch[1].Result != blk.OK {
		t.Errorf("read: %d", batch[1].Result)
	}
}
