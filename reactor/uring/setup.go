package uring

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	abi "github.com/iceber/iouring-go/syscall"
	"golang.org/x/sys/unix"
)

// ErrUnavailable is wrapped by errors of New and Probe when this kernel or its
// configuration offers no io_uring that we can use. The remedy is the epoll ring.
var ErrUnavailable = errors.New("io_uring is unavailable, use the epoll ring (--ring epoll)")

// Features is what the kernel offers beyond the least we need.
type Features struct {
	// DeferTaskrun: completions are worked off only when we ask, on our thread.
	DeferTaskrun bool
	// CoopTaskrun: completions do not interrupt us. Measured equal to the above.
	CoopTaskrun bool
	// BufferRing: the kernel picks the receive buffer when data arrives.
	BufferRing bool
	// Extended: accepting goes on by itself, receiving may wait first, and
	// cancellation reaches everything on a descriptor or on the ring.
	Extended bool
}

// ladder is tried from the top; a kernel that does not know a flag refuses the
// whole set.
var ladder = []uint32{
	setupSingleIssuer | setupDeferTaskrun | abi.IORING_SETUP_TASKRUN_FLAG | abi.IORING_SETUP_SUBMIT_ALL | setupNoSQArray,
	setupSingleIssuer | setupDeferTaskrun | abi.IORING_SETUP_TASKRUN_FLAG | abi.IORING_SETUP_SUBMIT_ALL,
	abi.IORING_SETUP_COOP_TASKRUN | abi.IORING_SETUP_TASKRUN_FLAG | abi.IORING_SETUP_SUBMIT_ALL,
	abi.IORING_SETUP_SUBMIT_ALL,
	0,
}

// neededFeatures are those no step of the ladder can do without: one mapping,
// no lost completion, arguments consumed by submission, timed waits.
const neededFeatures = abi.IORING_FEAT_SINGLE_MMAP | abi.IORING_FEAT_NODROP |
	abi.IORING_FEAT_SUBMIT_STABLE | featExtArg

// neededOps are the operations that start.go submits.
var neededOps = []uint8{
	abi.IORING_OP_ACCEPT, abi.IORING_OP_RECV, abi.IORING_OP_SENDMSG, abi.IORING_OP_POLL_ADD,
	abi.IORING_OP_READ, abi.IORING_OP_WRITE, abi.IORING_OP_FSYNC, abi.IORING_OP_FALLOCATE,
	abi.IORING_OP_ASYNC_CANCEL, abi.IORING_OP_CLOSE,
}

// extendedOp came in the same release as the flags of Features.Extended, which
// cannot be asked for one by one.
const extendedOp = abi.IORING_OP_SOCKET

// open makes the kernel's side of a ring with the first set of flags it accepts.
func open(entries uint32, sets []uint32) (fd int, p abi.IOURingParams, err error) {
	for _, flags := range sets {
		p = abi.IOURingParams{
			Flags:     flags | abi.IORING_SETUP_CQSIZE | abi.IORING_SETUP_CLAMP,
			CQEntries: completionsPerSubmission * entries,
		}
		fd, err = abi.IOURingSetup(uint(entries), &p)
		if !errors.Is(err, unix.EINVAL) {
			break
		}
	}
	if err != nil {
		return -1, p, fmt.Errorf("set up a ring of %d: %w", entries, explain(err))
	}
	return fd, p, nil
}

// explain adds what usually lies behind a refusal.
func explain(err error) error {
	switch {
	case errors.Is(err, unix.ENOSYS):
		return fmt.Errorf("%w: the kernel has none or a seccomp profile hides it: %w", ErrUnavailable, err)
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("%w: sysctl kernel.io_uring_disabled or a seccomp profile forbids it: %w", ErrUnavailable, err)
	case errors.Is(err, unix.EACCES):
		return fmt.Errorf("%w: a security module forbids it: %w", ErrUnavailable, err)
	case errors.Is(err, unix.EINVAL):
		return fmt.Errorf("%w: the kernel accepts no set-up we know: %w", ErrUnavailable, err)
	}
	return err
}

// examine finds out what the ring fd offers. BufferRing is left to the
// registration itself.
func examine(fd int, p *abi.IOURingParams) (Features, error) {
	if p.Features&neededFeatures != neededFeatures {
		return Features{}, fmt.Errorf("%w: the kernel is too old (features %#x)", ErrUnavailable, p.Features)
	}
	reply := new(probeReply)
	if err := abi.IOURingRegister(fd, registerProbe, unsafe.Pointer(reply), uint32(len(reply.ops))); err != nil {
		return Features{}, fmt.Errorf("%w: the kernel does not list its operations: %w", ErrUnavailable, err)
	}
	for _, op := range neededOps {
		if reply.ops[op].flags&opSupported == 0 {
			return Features{}, fmt.Errorf("%w: the kernel lacks operation %d", ErrUnavailable, op)
		}
	}
	return Features{
		DeferTaskrun: p.Flags&setupDeferTaskrun != 0,
		CoopTaskrun:  p.Flags&abi.IORING_SETUP_COOP_TASKRUN != 0,
		Extended:     reply.ops[extendedOp].flags&opSupported != 0,
	}, nil
}

// probeBuffers and probeBytes are the receive memory of Probe's own ring.
const probeBuffers, probeBytes = 2, 4096

// Probe tries what New does and reports what this kernel offers. The error
// wraps ErrUnavailable when it offers too little and says what stands in the way.
func Probe() (Features, error) {
	// The ring belongs to the thread that made it until it is closed.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	r, err := New(Config{Entries: 4, RecvBuffers: make([]byte, probeBuffers*probeBytes), RecvBytes: probeBytes})
	if err != nil {
		return Features{}, err
	}
	features := r.features
	return features, r.Close()
}
