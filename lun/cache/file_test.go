package cache

import (
	"path/filepath"
	"testing"

	"lunar/lun/blk"
	"lunar/lun/blk/blktest"
	"lunar/lun/file"
	"lunar/lun/file/filetest"
	"lunar/reactor"
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
	return q.Complete(op.Token.Index()&0xffff, filetest.Run(l.t, &op), done)
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
					Alloc: func(n int) []byte { return filetest.Aligned(t, n) },
				}
			})
		})
	}
}
