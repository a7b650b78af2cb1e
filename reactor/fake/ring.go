package fake

import (
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"

	"lunar/reactor"
)

const (
	defaultRecvBytes   = 16 << 10
	defaultRecvBuffers = 64
	// idlePollNanos is what a poll that finds nothing costs, so that a loop that
	// polls before it sleeps gets there.
	idlePollNanos = 1000
	// firstFD leaves the numbers that a program finds open at its start.
	firstFD = 3
)

// Ring is a reactor's ring in memory. Its exported fields may be set between
// turns.
type Ring struct {
	// Chunk says how many of max bytes that have arrived one Recv with nil Data
	// gets; it is kept between 1 and max. nil gives all.
	Chunk func(max int) int
	// SendLimit says likewise how much of max bytes one Send takes.
	SendLimit func(max int) int
	// Delay says how many nanoseconds a file operation takes; nil takes none. Its
	// memory is read or written when it completes.
	Delay func(op reactor.Op) int64

	*machine
	recv      []byte
	recvBytes int
	free      []int32
	pending   []waiting
	disk      []diskOp
	ready     []reactor.Completion
	failures  []failure
	woken     atomic.Bool
	closed    atomic.Bool
}

// machine is what rings beside each other share.
type machine struct {
	now     int64
	objects []object // by descriptor
}

// object is what a descriptor means; at most one field is set.
type object struct {
	socket   *socket
	listener *listener
	file     *file
}

// waiting is a socket operation that has not finished.
type waiting struct {
	op     reactor.Op
	filled int
}

// failure is an error that the next operation of its code meets.
type failure struct {
	code  reactor.Code
	errno int32
}

// New makes a ring with 64 receive buffers of 16 KiB.
func New() *Ring {
	return NewWithBuffers(make([]byte, defaultRecvBuffers*defaultRecvBytes), defaultRecvBytes)
}

// NewWithBuffers makes a ring that receives into recv, cut into pieces of
// recvBytes.
func NewWithBuffers(recv []byte, recvBytes int) *Ring {
	return newRing(&machine{}, recv, recvBytes)
}

// Beside makes another ring of the same machine, for another loop: time and
// descriptors are the same ones, so that a connection can go from one to the other.
// All of them belong to one goroutine.
func (r *Ring) Beside(recv []byte, recvBytes int) *Ring { return newRing(r.machine, recv, recvBytes) }

func newRing(m *machine, recv []byte, recvBytes int) *Ring {
	r := &Ring{machine: m, recv: recv, recvBytes: recvBytes}
	for i := len(recv)/recvBytes - 1; i >= 0; i-- {
		r.free = append(r.free, int32(i))
	}
	return r
}

// RecvBuffers and RecvBytes are what reactor.Config wants to know.
func (r *Ring) RecvBuffers() []byte { return r.recv }

// RecvBytes is the size of one receive buffer.
func (r *Ring) RecvBytes() int { return r.recvBytes }

// FreeBuffers is how many receive buffers are not lent.
func (r *Ring) FreeBuffers() int { return len(r.free) }

// Clock is the ring's time in nanoseconds since it was made.
func (r *Ring) Clock() func() int64 { return func() int64 { return r.now } }

// Advance lets time pass.
func (r *Ring) Advance(nanos int64) { r.now += nanos }

// FailNext has the next operation of code fail with errno, a positive number,
// before it does anything. Several failures of a code are met one after another.
func (r *Ring) FailNext(code reactor.Code, errno int) {
	r.failures = append(r.failures, failure{code, int32(errno)})
}

// Name is "fake".
func (r *Ring) Name() string { return "fake" }

// Wake ends the current or next sleep.
func (r *Ring) Wake() error {
	if r.closed.Load() {
		return errors.New("fake: wake: the ring is closed")
	}
	r.woken.Store(true)
	return nil
}

// Turn does what it can of everything submitted so far. When nothing has
// finished it sleeps: to the next completion of a file, but not beyond
// t.WaitNanos. With neither it returns, because only the caller can make
// something happen.
func (r *Ring) Turn(t *reactor.Turn) error {
	if r.closed.Load() {
		return errors.New("the ring is closed")
	}
	r.free = append(r.free, t.Recycled...)
	for i := range t.Ops {
		if err := r.start(&t.Ops[i]); err != nil {
			return err
		}
	}
	r.run()
	if len(r.ready) == 0 && !r.woken.Swap(false) {
		r.sleep(t.WaitNanos)
		r.run()
	}
	n := min(len(r.ready), cap(t.Completions)-len(t.Completions))
	t.Completions = append(t.Completions, r.ready[:n]...)
	r.ready = r.ready[:copy(r.ready, r.ready[n:])]
	return nil
}

// sleep moves time on.
func (r *Ring) sleep(nanos int64) {
	switch {
	case nanos == 0:
		r.now += idlePollNanos
	case len(r.disk) > 0 && (nanos < 0 || r.disk[0].at <= r.now+nanos):
		r.now = max(r.now, r.disk[0].at)
	case nanos > 0:
		r.now += nanos
	}
}

// start begins op, and finishes it when it needs no waiting.
func (r *Ring) start(op *reactor.Op) error {
	if errno := r.failure(op.Code); errno != 0 {
		r.report(op.Token, -errno)
		return nil
	}
	switch op.Code {
	case reactor.Accept, reactor.Recv, reactor.Send:
		r.pending = append(r.pending, waiting{op: *op})
	case reactor.Read, reactor.Write, reactor.Sync, reactor.Discard, reactor.Zero:
		r.startDisk(op)
	case reactor.Cancel:
		r.report(op.Token, r.cancel(op.Target))
	case reactor.Shutdown:
		r.report(op.Token, r.shutdown(op.FD))
	case reactor.Forget:
		r.report(op.Token, 0)
	case reactor.Close:
		r.cancelAll(op.FD)
		r.report(op.Token, r.closeFD(op.FD))
	default:
		return fmt.Errorf("unknown code %d", op.Code)
	}
	return nil
}

// failure takes the oldest failure of code, 0 when there is none.
func (r *Ring) failure(code reactor.Code) int32 {
	for i, f := range r.failures {
		if f.code == code {
			r.failures = append(r.failures[:i], r.failures[i+1:]...)
			return f.errno
		}
	}
	return 0
}

func (r *Ring) report(token reactor.Token, result int32) {
	r.ready = append(r.ready, reactor.Completion{Token: token, Result: result, Buffer: reactor.NoBuffer})
}

// run carries every operation as far as it goes, in the order of submission.
func (r *Ring) run() {
	left := r.pending[:0]
	for i := range r.pending {
		if w := r.pending[i]; !r.progress(&w) {
			left = append(left, w)
		}
	}
	clear(r.pending[len(left):])
	r.pending = left
	r.runDisk()
}

// progress reports whether w is finished.
func (r *Ring) progress(w *waiting) bool {
	switch w.op.Code {
	case reactor.Accept:
		return r.accept(&w.op)
	case reactor.Recv:
		return r.receive(w)
	default:
		return r.send(&w.op)
	}
}

// cancel ends a socket operation. One on a file runs on: its memory is in use
// until it completes, as with a disk that has the request already.
func (r *Ring) cancel(target reactor.Token) int32 {
	for i := range r.pending {
		if r.pending[i].op.Token == target {
			r.abandon(i)
			return 0
		}
	}
	return -int32(syscall.ENOENT)
}

// cancelAll ends every socket operation on fd.
func (r *Ring) cancelAll(fd int32) {
	for i := len(r.pending) - 1; i >= 0; i-- {
		if r.pending[i].op.FD == fd {
			r.abandon(i)
		}
	}
}

// abandon reports the pending operation i as cancelled, or what it received.
func (r *Ring) abandon(i int) {
	w := r.pending[i]
	r.pending = append(r.pending[:i], r.pending[i+1:]...)
	result := -int32(syscall.ECANCELED)
	if w.filled > 0 {
		result = int32(w.filled)
	}
	r.report(w.op.Token, result)
}

// Close forgets what is in flight and closes connections accepted but never
// reported.
func (r *Ring) Close() error {
	if r.closed.Swap(true) {
		return errors.New("fake: close: the ring is closed")
	}
	for _, c := range r.ready {
		if c.More && c.Result >= 0 {
			r.closeFD(c.Result)
		}
	}
	r.pending, r.disk, r.ready = nil, nil, nil
	return nil
}

// CloseFD closes a descriptor without an operation; false when it is not open.
func (r *Ring) CloseFD(fd int32) bool { return r.closeFD(fd) == 0 }

// OpenFDs is how many descriptors are open.
func (r *Ring) OpenFDs() (n int) {
	for _, o := range r.objects {
		if o != (object{}) {
			n++
		}
	}
	return n
}

// open gives o the lowest free number, as a kernel does.
func (r *Ring) open(o object) int32 {
	for i := range r.objects {
		if r.objects[i] == (object{}) {
			r.objects[i] = o
			return int32(i + firstFD)
		}
	}
	r.objects = append(r.objects, o)
	return int32(len(r.objects) - 1 + firstFD)
}

// at is what fd means; the zero object when it is not open.
func (r *Ring) at(fd int32) object {
	if i := int(fd) - firstFD; i >= 0 && i < len(r.objects) {
		return r.objects[i]
	}
	return object{}
}

func (r *Ring) closeFD(fd int32) int32 {
	o := r.at(fd)
	if o == (object{}) {
		return -int32(syscall.EBADF)
	}
	if o.socket != nil {
		o.socket.ended = true
	}
	if o.listener != nil {
		o.listener.abandon()
	}
	r.objects[fd-firstFD] = object{}
	return 0
}
