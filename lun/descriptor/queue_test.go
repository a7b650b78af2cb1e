package descriptor

import (
	"os"
	"path/filepath"
	"testing"

	"lunar/lun/blk"
	"lunar/lun/blk/blktest"
	"lunar/lun/file/filetest"
	"lunar/reactor"

	"golang.org/x/sys/unix"
)

const testBytes = 2 << 20

// tested is a medium in a file of its own, with no more around it.
type tested struct{ *Medium }

// Describe names it.
func (tested) Describe() string { return "tested" }

// Close has nothing to give back.
func (tested) Close() error { return nil }

func newTest(t testing.TB, change ...func(*Config)) *Medium {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(t.TempDir(), "disk"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(testBytes); err != nil {
		t.Fatal(err)
	}
	cfg := Config{FD: int(f.Fd()), Info: blk.Info{Bytes: testBytes, BlockBytes: 512, PhysicalBytes: 4096, Thin: true, DiscardBytes: 4096, VolatileCache: true}}
	for _, f := range change {
		f(&cfg)
	}
	m, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Release(); err != nil {
			t.Error(err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

func subject(t testing.TB, m *Medium, f filetest.Fault) (blktest.Subject, *filetest.Loop) {
	l := &filetest.Loop{T: t, Fault: f}
	return l.Subject(tested{m}, m.NewQueue(l, filetest.Kind, filetest.Index)), l
}

var one = filetest.One

func TestErrnoBecomesResult(t *testing.T) {
	for errno, want := range map[unix.Errno]blk.Result{
		unix.EIO: blk.MediumError, unix.ENOSPC: blk.NoSpace, unix.EDQUOT: blk.NoSpace,
		unix.ENODEV: blk.NotReady, unix.EINVAL: blk.MediumError, unix.EOPNOTSUPP: blk.Unsupported,
	} {
		s, _ := subject(t, newTest(t), func(*reactor.Op) (int32, int) { return -int32(errno), 0 })
		r := &blk.Request{Op: blk.Write, Length: 512, Data: filetest.Aligned(t, 512)}
		if one(t, s, r) != want {
			t.Errorf("%v: result %d, want %d", errno, r.Result, want)
		}
	}
}

// An operation that never gets anywhere ends the request instead of the day.
func TestNoProgress_Ends(t *testing.T) {
	for _, errno := range []unix.Errno{unix.EINTR, unix.EAGAIN} {
		s, l := subject(t, newTest(t), func(*reactor.Op) (int32, int) { return -int32(errno), 0 })
		r := &blk.Request{Op: blk.Read, Length: 512, Data: filetest.Aligned(t, 512)}
		if one(t, s, r) != blk.MediumError || len(l.Seen) != maxRetries+1 {
			t.Errorf("%v: result %d after %d operations", errno, r.Result, len(l.Seen))
		}
	}
}

func TestQueue_WaitsForSlotsInOrder(t *testing.T) {
	s, l := subject(t, newTest(t), nil)
	const count = 3 * slots
	var batch, done []*blk.Request
	for i := range count {
		batch = append(batch, &blk.Request{Op: blk.Read, Offset: int64(i) * 512, Length: 512, Data: filetest.Aligned(t, 512)})
	}
	done = s.Queue.Submit(batch, done)
	if len(l.Ops) != slots || s.Queue.Running() != count {
		t.Fatalf("%d operations, %d running", len(l.Ops), s.Queue.Running())
	}
	for len(done) < count {
		done = s.Wait(done)
		if len(l.Ops) > slots {
			t.Fatalf("%d operations with the kernel", len(l.Ops))
		}
	}
	tokens := make(map[reactor.Token]bool)
	for i, op := range l.Seen {
		if tokens[op.Token] {
			t.Fatalf("token %#x used twice", uint64(op.Token))
		}
		if tokens[op.Token] = true; op.Offset != int64(i)*512 {
			t.Fatalf("operation %d is at %d", i, op.Offset)
		}
	}
	q := s.Queue.(*Queue)
	if q.waiting.Len() != 0 || len(q.free) != slots {
		t.Errorf("%d waiting, %d free", q.waiting.Len(), len(q.free))
	}
	if got := q.Complete(5, 0, nil); got != nil {
		t.Error("a completion for an idle slot reported something")
	}
}

func TestQueue_SteadyStateAllocatesNothing(t *testing.T) {
	b := newTest(t)
	l := &filetest.Loop{T: t}
	q := b.NewQueue(l, filetest.Kind, filetest.Index)
	batch := []*blk.Request{{Op: blk.Read, Length: 512, Data: filetest.Aligned(t, 512)}}
	done := make([]*blk.Request, 0, 1)
	if n := testing.AllocsPerRun(200, func() {
		l.Ops, l.Seen = l.Ops[:0], l.Seen[:0]
		done = q.Submit(batch, done[:0])
		done = q.Complete(filetest.Slot(l.Ops[0].Token), 512, done)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestAsyncFileSystem_FlagOnEveryOperation(t *testing.T) {
	b := newTest(t, func(c *Config) { c.Async = true })
	s, l := subject(t, b, nil)
	one(t, s, &blk.Request{Op: blk.Read, Length: 512, Data: filetest.Aligned(t, 512)})
	one(t, s, &blk.Request{Op: blk.Sync})
	for _, op := range l.Seen {
		if op.Flags&reactor.Async == 0 {
			t.Errorf("operation %d without Async", op.Code)
		}
	}
}
