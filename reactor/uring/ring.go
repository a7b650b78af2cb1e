package uring

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	abi "github.com/iceber/iouring-go/syscall"
	"golang.org/x/sys/unix"

	"lunar/internal/buf"
	"lunar/reactor"
)

// Tokens of the ring's own operations. Owners may not use their kind.
const (
	ownKind = reactor.Kind(0xff)

	wakeToken   = reactor.Token(uint64(ownKind)<<56 | 1)
	cancelToken = reactor.Token(uint64(ownKind)<<56 | 2)
)

const defaultEntries = 1024

// errClosed says that the ring has been closed.
var errClosed = errors.New("the ring is closed")

// Config describes a ring.
type Config struct {
	// Entries is how many operations one system call can start, rounded up to a
	// power of two; 0 means 1024. A turn may have more: they take more calls.
	Entries int
	// RecvBuffers are the receive buffers in one piece, RecvBytes the size of
	// each, and there are at most 32768. Memory on the Go heap works but should
	// not be used outside tests.
	RecvBuffers []byte
	RecvBytes   int
}

// Ring is a reactor's ring on io_uring.
type Ring struct {
	fd       int
	features Features
	q        queues
	wait     waiting
	bufs     buffers
	flights  flights
	sockets  sockets
	// inFlight counts submissions whose last completion has not been seen.
	inFlight int
	// again are flights to be submitted once more at the next turn.
	again []reactor.Token
	// spilled are completions taken from the queue only to make room in it.
	spilled []cqe
	// ready are results that no completion of the kernel's carries.
	ready []reactor.Completion

	event eventFD
}

// eventFD is how other goroutines end a sleep: a read of it is always pending.
type eventFD struct {
	mu    sync.Mutex // held while fd is used, so that Close cannot take it away
	fd    int
	count []byte // eight bytes off the heap that the kernel reads into
}

// New makes a ring. The calling goroutine must be locked to its thread, and the
// ring is used from it alone. The error wraps ErrUnavailable when this machine
// offers no usable io_uring.
func New(cfg Config) (*Ring, error) {
	return newRing(cfg, ladder, Features{BufferRing: true, Extended: true})
}

// newRing makes a ring with the first of sets that the kernel accepts, and of
// its further features only those allowed.
func newRing(cfg Config, sets []uint32, allowed Features) (*Ring, error) {
	if cfg.Entries <= 0 {
		cfg.Entries = defaultEntries
	}
	bufs, err := newBuffers(cfg.RecvBuffers, cfg.RecvBytes)
	if err != nil {
		return nil, fmt.Errorf("uring: new ring: %w", err)
	}
	fd, params, err := open(uint32(cfg.Entries), sets)
	if err != nil {
		return nil, fmt.Errorf("uring: new ring: %w", err)
	}
	r := &Ring{fd: fd, bufs: bufs, flights: newFlights()}
	r.event.fd = -1
	if err := r.prepare(&params, allowed); err != nil {
		r.free()
		return nil, fmt.Errorf("uring: new ring: %w", err)
	}
	return r, nil
}

// prepare sets up everything around the open ring.
func (r *Ring) prepare(p *abi.IOURingParams, allowed Features) (err error) {
	if r.features, err = examine(r.fd, p); err != nil {
		return err
	}
	r.features.Extended = r.features.Extended && allowed.Extended
	if r.q, err = mapQueues(r.fd, p); err != nil {
		return err
	}
	if r.features.BufferRing, err = r.bufs.register(r.fd, allowed.BufferRing); err != nil {
		return err
	}
	if r.event.count, err = buf.Alloc(8); err != nil {
		return err
	}
	// Blocking, because a read of a non-blocking descriptor fails instead of waiting.
	if r.event.fd, err = unix.Eventfd(0, unix.EFD_CLOEXEC); err != nil {
		return fmt.Errorf("make an event descriptor: %w", err)
	}
	return r.listenForWake()
}

// Name is "uring".
func (r *Ring) Name() string { return "uring" }

// Features is what this ring found the kernel to offer.
func (r *Ring) Features() Features { return r.features }

// Turn starts t.Ops, takes back t.Recycled and appends to t.Completions. It
// enters the kernel at most once unless the submission queue is too small or there
// is work for disks (diskBatch), and not at all when there is nothing to submit, to
// fetch or to wait for.
func (r *Ring) Turn(t *reactor.Turn) error {
	r.takeBack(t.Recycled)
	if err := r.startAgain(); err != nil {
		return err
	}
	if err := r.startAll(t.Ops); err != nil {
		return err
	}
	wait := t.WaitNanos
	if len(r.ready)+len(r.spilled) > 0 {
		wait = 0
	}
	if wait != 0 || r.q.unsubmitted() > 0 || r.q.asksForEntry() {
		if err := r.enter(wait); err != nil {
			return err
		}
	}
	r.reap(t)
	return nil
}

// diskBatch is how many reads and writes of files are handed over at a time. The
// kernel holds back what one entry brings until it has prepared all of it, which
// takes microseconds for each; a disk that has done its last request waits for that.
const diskBatch = 4

func (r *Ring) startAll(ops []reactor.Op) error {
	disk := 0
	for i := range ops {
		op := &ops[i]
		if err := r.start(op); err != nil {
			return fmt.Errorf("start operation %d on descriptor %d: %w", op.Code, op.FD, err)
		}
		if op.Code != reactor.Read && op.Code != reactor.Write {
			continue
		}
		if disk++; disk%diskBatch != 0 {
			continue
		}
		if err := r.enter(0); err != nil {
			return err
		}
	}
	return nil
}

// takeBack gives buffers to the kernel and lets starved receptions try again.
func (r *Ring) takeBack(recycled []int32) {
	if len(recycled) == 0 {
		return
	}
	for _, number := range recycled {
		r.bufs.put(number)
	}
	r.bufs.publish()
	for granted := 0; ; {
		token, ok := r.bufs.serve(granted)
		if !ok {
			return
		}
		// The token may have been cancelled, or used again, since it starved.
		if f := r.flights.find(token); f != nil && f.stage == starved {
			f.stage = atKernel
			if r.bufs.ring == nil {
				f.stage = readable
			}
			r.again = append(r.again, token)
			granted++
		}
	}
}

// reap appends results while there is room.
func (r *Ring) reap(t *reactor.Turn) {
	n := min(len(r.ready), cap(t.Completions)-len(t.Completions))
	t.Completions = append(t.Completions, r.ready[:n]...)
	r.ready = r.ready[:copy(r.ready, r.ready[n:])]
	taken := 0
	for ; taken < len(r.spilled) && len(t.Completions) < cap(t.Completions); taken++ {
		r.report(t, &r.spilled[taken])
	}
	r.spilled = r.spilled[:copy(r.spilled, r.spilled[taken:])]
	for len(t.Completions) < cap(t.Completions) && len(r.spilled) == 0 {
		e, ok := r.q.next()
		if !ok {
			break
		}
		r.report(t, &e)
	}
	r.q.release()
}

// report works off one completion and appends its result, if it has one.
func (r *Ring) report(t *reactor.Turn, e *cqe) {
	if c, ok := r.finish(e); ok {
		t.Completions = append(t.Completions, c)
	}
}

// one is what a wake-up adds to the event descriptor. It is made once, because
// an argument of a system call would otherwise be allocated each time.
var one = binary.NativeEndian.AppendUint64(nil, 1)

// Wake ends a sleep in Turn. It may be called from any goroutine.
func (r *Ring) Wake() error {
	r.event.mu.Lock()
	defer r.event.mu.Unlock()
	if r.event.fd < 0 {
		return fmt.Errorf("uring: wake: %w", errClosed)
	}
	if _, err := unix.Write(r.event.fd, one); err != nil {
		return fmt.Errorf("uring: wake: %w", err)
	}
	return nil
}

// listenForWake leaves a read of the event descriptor pending.
func (r *Ring) listenForWake() error {
	e, _, err := r.entry()
	if err != nil {
		return err
	}
	e.PrepOperation(abi.IORING_OP_READ, int32(r.event.fd), address(r.event.count), 8, 0)
	e.SetUserData(uint64(wakeToken))
	return nil
}
