package filetest

import (
	"testing"

	"lunar/lun/blk"
	"lunar/lun/blk/blktest"
	"lunar/reactor"
)

// What the queues of tests are made with.
const (
	Kind  reactor.Kind = 7
	Index uint32       = 3
)

// slotBits is the width of the slot in a token.
const slotBits = 16

// Fault replaces or cuts the system call of an operation: a non-zero result is
// what the kernel is said to have answered; limit cuts the data.
type Fault func(op *reactor.Op) (result int32, limit int)

// Loop runs operations by system calls, one completion at a time and the last
// submitted first, so that nothing can rely on their order.
type Loop struct {
	T testing.TB
	// Ops wait to be run, Seen are all there were.
	Ops   []reactor.Op
	Seen  []reactor.Op
	Fault Fault
}

// Submit takes an operation.
func (l *Loop) Submit(op reactor.Op) {
	l.Ops = append(l.Ops, op)
	l.Seen = append(l.Seen, op)
}

// Slot is the slot that a token names.
func Slot(t reactor.Token) uint32 { return t.Index() & (1<<slotBits - 1) }

// Wait completes one operation of a queue with Kind and Index.
func (l *Loop) Wait(q blk.Queue, done []*blk.Request) []*blk.Request {
	if len(l.Ops) == 0 {
		l.T.Fatal("nothing to wait for")
	}
	op := l.Ops[len(l.Ops)-1]
	l.Ops = l.Ops[:len(l.Ops)-1]
	if op.Token.Kind() != Kind || op.Token.Index()>>slotBits != Index {
		l.T.Fatalf("token %#x", uint64(op.Token))
	}
	return q.Complete(Slot(op.Token), l.run(&op), done)
}

func (l *Loop) run(op *reactor.Op) int32 {
	if l.Fault != nil {
		result, limit := l.Fault(op)
		if result != 0 {
			return result
		}
		if limit > 0 && limit < len(op.Data) {
			op.Data = op.Data[:limit]
		}
	}
	return Run(l.T, op)
}

// Count is how many operations with the code were started.
func (l *Loop) Count(code reactor.Code) (n int) {
	for i := range l.Seen {
		if l.Seen[i].Code == code {
			n++
		}
	}
	return n
}

// Subject is a medium whose queue runs on this loop, for the suite of all media.
func (l *Loop) Subject(b blk.Backend, q blk.Queue) blktest.Subject {
	return blktest.Subject{
		Backend: b, Queue: q,
		Wait:  func(done []*blk.Request) []*blk.Request { return l.Wait(q, done) },
		Alloc: func(n int) []byte { return Aligned(l.T, n) },
	}
}

// One runs one request to its end.
func One(t testing.TB, s blktest.Subject, r *blk.Request) blk.Result {
	t.Helper()
	done := s.Queue.Submit([]*blk.Request{r}, nil)
	for len(done) == 0 {
		done = s.Wait(done)
	}
	return r.Result
}
