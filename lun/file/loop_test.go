package file

import (
	"testing"

	"lunar/lun/blk"
	"lunar/reactor"

	"golang.org/x/sys/unix"
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
	n, err := 0, error(nil)
	switch op.Code {
	case reactor.Read:
		n, err = unix.Pread(int(op.FD), op.Data, op.Offset)
	case reactor.Write:
		flags := 0
		if op.Flags&reactor.DSync != 0 {
			flags = unix.RWF_DSYNC
		}
		n, err = unix.Pwritev2(int(op.FD), [][]byte{op.Data}, op.Offset, flags)
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

// count is how many operations with the code were started.
func (l *loop) count(code reactor.Code) (n int) {
	for i := range l.seen {
		if l.seen[i].Code == code {
			n++
		}
	}
	return n
}

// aligned returns page-aligned memory that lives as long as the test.
func aligned(t testing.TB, n int) []byte {
	t.Helper()
	mem, err := unix.Mmap(-1, 0, max(n, 1), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Munmap(mem); err != nil {
			t.Error(err)
		}
	})
	return mem[:n]
}
