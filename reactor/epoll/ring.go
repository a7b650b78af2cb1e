package epoll

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"lunar/reactor"
)

// turnEvents is how many descriptors one look at the kernel brings.
const turnEvents = 256

// errClosed says that the ring has been closed.
var errClosed = errors.New("the ring is closed")

// Config describes a ring.
type Config struct {
	// RecvBuffers are the receive buffers in one piece, RecvBytes the size of each.
	RecvBuffers []byte
	RecvBytes   int
	// Workers is how many file operations run at once; 0 means 4.
	Workers int
}

// Ring is a reactor's ring on epoll.
type Ring struct {
	fd          int
	recv        []byte
	recvBytes   int
	free        []int32
	descriptors []descriptor
	// starved and again are descriptors to be tried next turn: once a buffer is
	// free, and at once.
	starved []int32
	again   []int32
	ready   []reactor.Completion
	disk    disk
	events  [turnEvents]unix.EpollEvent
	timeout unix.Timespec
	message message
	// coarse is set when the kernel waits in milliseconds only.
	coarse bool
	bell   bell
}

// bell is how others end a sleep of this ring. The workers follow the protocol
// of the loop: publish the result, then ring if the ring sleeps, while the ring
// says that it sleeps and then looks for results.
type bell struct {
	sleeping atomic.Bool
	mu       sync.Mutex // held while fd is used, so that Close cannot take it away
	fd       int
}

// New makes a ring.
func New(cfg Config) (*Ring, error) {
	if cfg.RecvBytes < 0 || cfg.RecvBytes == 0 && len(cfg.RecvBuffers) > 0 ||
		cfg.RecvBytes > 0 && len(cfg.RecvBuffers)%cfg.RecvBytes != 0 {
		return nil, fmt.Errorf("epoll: new ring: %d bytes are no whole number of receive buffers of %d", len(cfg.RecvBuffers), cfg.RecvBytes)
	}
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: new ring: create: %w", err)
	}
	r := &Ring{fd: fd, recv: cfg.RecvBuffers, recvBytes: cfg.RecvBytes}
	if r.bell.fd, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return nil, errors.Join(fmt.Errorf("epoll: new ring: make an event descriptor: %w", err), unix.Close(fd))
	}
	// Edge-triggered: every write is news, so nobody needs to read the count.
	event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: int32(r.bell.fd)}
	if err := unix.EpollCtl(fd, unix.EPOLL_CTL_ADD, r.bell.fd, &event); err != nil {
		return nil, errors.Join(fmt.Errorf("epoll: new ring: watch the event descriptor: %w", err), unix.Close(fd), unix.Close(r.bell.fd))
	}
	for i := range int32(r.buffers()) {
		r.free = append(r.free, i)
	}
	r.disk.open(cfg.Workers, r.wakeIfAsleep)
	return r, nil
}

func (r *Ring) buffers() int {
	if r.recvBytes == 0 {
		return 0
	}
	return len(r.recv) / r.recvBytes
}

// Name is "epoll".
func (r *Ring) Name() string { return "epoll" }

// Turn starts t.Ops, which mostly finishes them, and looks once for what the
// kernel and the workers have.
func (r *Ring) Turn(t *reactor.Turn) error {
	if r.fd < 0 {
		return errClosed
	}
	r.takeBack(t.Recycled)
	for n := len(r.again); n > 0; n-- {
		fd := r.again[0]
		r.again = r.again[:copy(r.again, r.again[1:])]
		r.attempt(fd)
	}
	for i := range t.Ops {
		if err := r.start(&t.Ops[i]); err != nil {
			return err
		}
	}
	r.disk.dispatch()
	if err := r.look(t.WaitNanos); err != nil {
		return err
	}
	r.disk.reap(r)
	r.disk.dispatch()
	n := min(len(r.ready), cap(t.Completions)-len(t.Completions))
	t.Completions = append(t.Completions, r.ready[:n]...)
	r.ready = r.ready[:copy(r.ready, r.ready[n:])]
	return nil
}

// takeBack makes buffers free and tries those that waited for one.
func (r *Ring) takeBack(recycled []int32) {
	r.free = append(r.free, recycled...)
	for n := len(r.starved); n > 0 && len(r.free) > 0; n-- {
		fd := r.starved[0]
		r.starved = r.starved[:copy(r.starved, r.starved[1:])]
		r.at(fd).starved = false
		r.attempt(fd)
	}
}

// look fetches events, asleep if nothing has finished, and acts on them.
func (r *Ring) look(waitNanos int64) error {
	if len(r.ready)+len(r.again) > 0 {
		waitNanos = 0
	}
	if waitNanos != 0 {
		r.bell.sleeping.Store(true)
		if !r.disk.results.Empty() {
			waitNanos = 0
		}
	}
	n, errno := r.wait(waitNanos)
	r.bell.sleeping.Store(false)
	if errno != 0 && errno != syscall.EINTR {
		return fmt.Errorf("wait for events: %w", errno)
	}
	for i := range n {
		if fd := r.events[i].Fd; int(fd) != r.bell.fd {
			r.happened(fd, r.events[i].Events)
		}
	}
	return nil
}

// wait asks the kernel for events.
func (r *Ring) wait(nanos int64) (n int, errno syscall.Errno) {
	events := uintptr(unsafe.Pointer(&r.events[0]))
	var got uintptr
	switch {
	case nanos == 0:
		// This does not sleep, so the Go scheduler need not know of it.
		got, _, errno = syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(r.fd), events, turnEvents, 0, 0, 0)
	case nanos < 0:
		got, _, errno = syscall.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(r.fd), events, turnEvents, ^uintptr(0), 0, 0)
	case !r.coarse:
		r.timeout = unix.NsecToTimespec(nanos)
		got, _, errno = syscall.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(r.fd), events, turnEvents, uintptr(unsafe.Pointer(&r.timeout)), 0, 0)
		if errno == syscall.ENOSYS {
			r.coarse = true
			return 0, 0
		}
	default:
		// Rounded up, or the last moment before a timer would be spent polling.
		ms := min((nanos+999999)/1000000, 1<<30)
		got, _, errno = syscall.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(r.fd), events, turnEvents, uintptr(ms), 0, 0)
	}
	if errno != 0 {
		return 0, errno
	}
	return int(got), 0
}

// one is what a wake-up adds to the event descriptor. It is made once, because
// an argument of a system call would otherwise be allocated each time.
var one = binary.NativeEndian.AppendUint64(nil, 1)

// Wake ends a sleep in Turn. It may be called from any goroutine.
func (r *Ring) Wake() error {
	r.bell.mu.Lock()
	defer r.bell.mu.Unlock()
	if r.bell.fd < 0 {
		return fmt.Errorf("epoll: wake: %w", errClosed)
	}
	if _, err := unix.Write(r.bell.fd, one); err != nil {
		return fmt.Errorf("epoll: wake: %w", err)
	}
	return nil
}

// wakeIfAsleep is what a worker does after publishing a result. A ring that is
// being closed needs no waking: it waits for the workers themselves.
func (r *Ring) wakeIfAsleep() {
	if r.bell.sleeping.Load() && r.bell.sleeping.CompareAndSwap(true, false) {
		_ = r.Wake()
	}
}

// Close awaits the file operations that are running, drops all others, closes
// connections accepted but never reported, and frees the ring.
func (r *Ring) Close() error {
	if r.fd < 0 {
		return fmt.Errorf("epoll: close: %w", errClosed)
	}
	r.disk.close()
	for _, c := range r.ready {
		if c.More && c.Result >= 0 {
			_ = unix.Close(int(c.Result))
		}
	}
	r.bell.mu.Lock()
	defer r.bell.mu.Unlock()
	err := errors.Join(unix.Close(r.bell.fd), unix.Close(r.fd))
	r.bell.fd, r.fd = -1, -1
	if err != nil {
		return fmt.Errorf("epoll: close: %w", err)
	}
	return nil
}
