// Package filetest stands in for the ring in tests of a medium in a file: it runs
// operations by system calls, so that real files answer.
package filetest

import (
	"testing"

	"lunar/internal/buf"
	"lunar/reactor"

	"golang.org/x/sys/unix"
)

// Run carries out op and returns what a completion would say: a count of bytes, or
// the negated errno.
func Run(t testing.TB, op *reactor.Op) int32 {
	t.Helper()
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
		t.Fatalf("operation %d", op.Code)
	}
	if err != nil {
		return -int32(err.(unix.Errno))
	}
	return int32(n)
}

// Aligned returns n bytes of page-aligned memory that live as long as the test.
func Aligned(t testing.TB, n int) []byte {
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
