package file

import (
	"testing"

	"lunar/lun/blk"
	"lunar/lun/file/filetest"
	"lunar/reactor"
)

// fault replaces or cuts the system call of an operation: a non-zero result is
// what the kernel is said to have answered; limit cuts the data.
type fault func(op *reactor.Op) (result int32, limit int)

// loop runs operations by system calls, one completion at a time and the last
// submitted first, so that nothing can rely on their order.
type loop struct {
	t     testing.TB
	ops   []reactor.Op
	seen  []reactor.Op
	fault fault
}

func (l *loop) Submit(op reactor.Op) {
	l.ops = append(l.ops, op)
	l.seen = append(l.seen, op)
}

// wait completes one operation.
func (l *loop) wait(q *Queue, done []*blk.Request) []*blk.Request {
	if len(l.ops) == 0 {
		l.t.Fatal("nothing to wait for")
	}
	op := l.ops[len(l.ops)-1]
	l.ops = l.ops[:len(l.ops)-1]
	if op.Token.Kind() != testKind || op.Token.Index()>>slotBits != testIndex {
		l.t.Fatalf("token %#x", uint64(op.Token))
	}
	return q.Complete(op.Token.Index()&(1<<slotBits-1), l.run(&op), done)
}

func (l *loop) run(op *reactor.Op) int32 {
	if l.fault != nil {
		result, limit := l.fault(op)
		if result != 0 {
			return result
		}
		if limit > 0 && limit < len(op.Data) {
			op.Data = op.Data[:limit]
		}
	}
	return filetest.Run(l.t, op)
}

// count is how many operations with the code were started.
func (l *loop) count(code reactor.Code) (n int) {
	for i := range l.seen {
		if l.seen[i].Code == code {
			n++
		}
	}
	return n
}
