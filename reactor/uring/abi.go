package uring

import (
	"unsafe"

	abi "github.com/iceber/iouring-go/syscall"
	"golang.org/x/sys/unix"
)

// The kernel's submission and completion entries.
type (
	sqe = abi.SubmissionQueueEntry64
	cqe = abi.CompletionQueueEvent16
)

// Set-up flags and features that the imported definitions predate.
const (
	setupSingleIssuer = 1 << 12
	setupDeferTaskrun = 1 << 13
	setupNoSQArray    = 1 << 16

	featExtArg = 1 << 8
)

// Registrations.
const (
	registerProbe      = 8
	registerBufferRing = 22
)

// enterExtArg says that io_uring_enter gets a geteventsArg.
const enterExtArg = 1 << 3

// sqTaskrun says that completions wait for us to enter the kernel.
const sqTaskrun = 1 << 2

// Per-operation flags, in the field that the kernel calls ioprio.
const (
	acceptMultishot = 1 << 0
	recvPollFirst   = 1 << 0
)

// Flags of a cancellation.
const (
	cancelAll = 1 << 0
	cancelFD  = 1 << 1
	cancelAny = 1 << 2
)

// Flags of a completion. With cqeBuffer the upper half is the buffer's number.
const (
	cqeBuffer       = 1 << 0
	cqeMore         = 1 << 1
	cqeSockNonempty = 1 << 2
	cqeBufferShift  = 16
)

// msghdr is struct msghdr of a 64-bit kernel.
type msghdr struct {
	name       uint64
	nameLen    uint32
	_          uint32
	iov        uint64
	iovLen     uint64
	control    uint64
	controlLen uint64
	flags      int32
	_          int32
}

// geteventsArg is struct io_uring_getevents_arg.
type geteventsArg struct {
	sigmask     uint64
	sigmaskSize uint32
	_           uint32
	timeout     uint64
}

// bufferEntry is struct io_uring_buf. The ring's tail lies over last of entry 0,
// so nobody writes that field but publish.
type bufferEntry struct {
	address uint64
	length  uint32
	id      uint16
	last    uint16
}

// bufferRing is struct io_uring_buf_reg.
type bufferRing struct {
	address uint64
	entries uint32
	group   uint16
	flags   uint16
	_       [3]uint64
}

// probeReply is struct io_uring_probe with room for every operation.
type probeReply struct {
	last, count uint8
	_           uint16
	_           [3]uint32
	ops         [256]probeOp
}

// probeOp is struct io_uring_probe_op.
type probeOp struct {
	op, _ uint8
	flags uint16
	_     uint32
}

// opSupported is probeOp.flags of an operation that the kernel knows.
const opSupported = 1 << 0

// Modes of fallocate.
const (
	punchHole = unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE
	zeroRange = unix.FALLOC_FL_ZERO_RANGE | unix.FALLOC_FL_KEEP_SIZE
)

// address is where b starts, as the kernel reads it.
func address(b []byte) uint64 { return uint64(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) }
