package cache

import (
	"path/filepath"
	"testing"

	"lunar/internal/buf"
	"lunar/lun/blk"
	"lunar/lun/blk/blktest"
	"lunar/lun/file"
	"lunar/reactor"

	"golang.org/x/sys/unix"
)

// loop runs operations of a file by system calls, the last submitted first.
type loop struct {
	t   testing.TB
	ops []reactor.Op
}

func (l *loop) Submit(op reactor.Op) { l.ops = append(l.ops, op) }

// wait completes one operation.
func (l *loop) wait(q *Queue, done []*blk.Request) []*blk.Request {
	if len(l.ops) == 0 {
		l.t.Fatal("nothing to wait for")
	}
	op := l.ops[len(l.ops)-1]
	l.ops = l.ops[:len(l.ops)-1]
	return q.Complete(op.Token.Index()&0xffff, l.run(&op), done)
}

func (l *loop) run(op *reactor.Op) int32 {
	n, err := 0, error(nil)
	switch op.Code {
	case reactor.Read:
		n, err = unix.Pread(int(op.FD), op.Data, op.Offset)
	case reactor.Write:
		n, err = unix.Pwrite(int(op.FD), op.Data, op.Offset)
	case reactor.Sync:
		err = unix.Fdatasync(int(op.FD))
	case reactor.Discard:
		err = unix.Fallocate(int(op.FD), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, op.Offset, op.Length)
	case reactor.Zero:
		err = unix.Fallocate(int(op.FD), unix.FALLOC_FL_ZERO_RANGE|unix.FALLOC_FL_KEEP_SIZE, op.Offset, op.Length)
	default:
		l.t.Fatalf("operation %d", op.Code)
	}
	if err != nil {
		return -int32(err.(unix.Errno))
	}
	return int32(n)
}

func aligned(t testing.TB, n int) []byte {
	t.Helper()
	mem, err := buf.Alloc(max(n, 1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := buf.Free(mem); err != nil {
			t.Error(err)
		}
	})
	return mem[:n]
}

func TestCache_Suite_File(t *testing.T) {
	for name, mode := range map[string]file.Mode{"auto": file.Auto, "buffered": file.Off} {
		t.Run(name, func(t *testing.T) {
			blktest.Run(t, func(t testing.TB) blktest.Subject {
				inner, err := file.Open(file.Config{
					Path: filepath.Join(t.TempDir(), "disk"), Bytes: 2 << 20, BlockBytes: 512, Create: true, Direct: mode,
				})
				if err != nil {
					t.Fatal(err)
				}
				b, l := newCache(t, inner), &loop{t: t}
				q := b.NewQueue(inner.NewQueue(l, 7, 3))
				return blktest.Subject{
					Backend: b, Queue: q,
					Wait:  func(done []*blk.Request) []*blk.Request { return l.wait(q, done) },
					Alloc: func(n int) []byte { return aligned(t, n) },
				}
			})
		})
	}
}
