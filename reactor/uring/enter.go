package uring

import (
	"errors"
	"fmt"
	"syscall"
	"unsafe"

	abi "github.com/iceber/iouring-go/syscall"
)

const (
	// completionsPerSubmission sizes the completion queue: operations stay in
	// flight long after their submission entries are free again.
	completionsPerSubmission = 8
	// submitTries bounds how often a full submission queue is offered to the kernel.
	submitTries = 1000
)

// errStuck says that the kernel takes no submissions though it has been offered
// them many times.
var errStuck = errors.New("the kernel takes no submissions")

// enter submits what is queued, lets the kernel post completions, and with
// waitNanos other than 0 sleeps until there is one. Being interrupted (the Go
// scheduler signals threads), the end of the wait and a lack of room are no
// errors: the caller looks at the queues again.
func (r *Ring) enter(waitNanos int64) error {
	queued := uintptr(r.q.publish())
	flags := uintptr(abi.IORING_ENTER_FLAGS_GETEVENTS)
	var errno syscall.Errno
	switch {
	case waitNanos == 0:
		// This entry does not sleep, so the Go scheduler need not know of it.
		_, _, errno = syscall.RawSyscall6(abi.SYS_IO_URING_ENTER, uintptr(r.fd), queued, 0, flags, 0, 0)
	case waitNanos < 0:
		_, _, errno = syscall.Syscall6(abi.SYS_IO_URING_ENTER, uintptr(r.fd), queued, 1, flags, 0, 0)
	default:
		r.wait.timeout = syscall.NsecToTimespec(waitNanos)
		r.wait.arg.timeout = uint64(uintptr(unsafe.Pointer(&r.wait.timeout)))
		_, _, errno = syscall.Syscall6(abi.SYS_IO_URING_ENTER, uintptr(r.fd), queued, 1, flags|enterExtArg,
			uintptr(unsafe.Pointer(&r.wait.arg)), unsafe.Sizeof(r.wait.arg))
	}
	switch errno {
	case 0, syscall.EINTR, syscall.ETIME:
		return nil
	case syscall.EAGAIN, syscall.EBUSY:
		// No memory for requests, or completions overflowed: making room for them
		// is all we can do.
		r.spill()
		return nil
	}
	return fmt.Errorf("enter io_uring: %w", errno)
}

// waiting is the argument of a timed wait. It lives in the ring, not on the
// stack, because the kernel reads it by address.
type waiting struct {
	timeout syscall.Timespec
	arg     geteventsArg
}

// entry is a free submission entry and its number; a full queue is submitted
// first.
func (r *Ring) entry() (*sqe, uint32, error) {
	for try := 0; r.q.full(); try++ {
		if try == submitTries {
			return nil, 0, errStuck
		}
		if err := r.enter(0); err != nil {
			return nil, 0, err
		}
	}
	e, number := r.q.take()
	r.inFlight++
	return e, number, nil
}

// spill copies every completion out of the queue to be worked off later.
func (r *Ring) spill() {
	for {
		e, ok := r.q.next()
		if !ok {
			break
		}
		r.spilled = append(r.spilled, e)
	}
	r.q.release()
}
