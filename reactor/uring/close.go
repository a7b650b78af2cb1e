package uring

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"lunar/internal/buf"
	"lunar/reactor"
)

const (
	// closeRound is how long Close waits before it cancels once more, for
	// operations that could not be cancelled in the state they were in.
	closeRound = 20 * time.Millisecond
	// closeRounds bounds the wait: a disk that does not answer for ten seconds
	// will not answer.
	closeRounds = 500
)

// Close cancels and awaits everything in flight, closes connections accepted
// but never reported, and frees the ring. When an operation does not end in
// time, the error says so and the memory that the kernel may still write to
// stays mapped.
func (r *Ring) Close() error {
	if r.fd < 0 {
		return fmt.Errorf("uring: close: %w", errClosed)
	}
	var errs []error
	for round := 0; r.inFlight > 0 && round < closeRounds; round++ {
		if err := r.cancelEverything(); err != nil {
			errs = append(errs, fmt.Errorf("uring: close: %w", err))
			break
		}
		if err := r.enter(closeRound.Nanoseconds()); err != nil {
			errs = append(errs, err)
			break
		}
		r.dropCompletions()
	}
	r.closeEvent()
	if r.inFlight > 0 {
		errs = append(errs, fmt.Errorf("uring: close: %d operations are still in flight", r.inFlight))
		errs = append(errs, unix.Close(r.fd))
		r.fd = -1
		return errors.Join(errs...)
	}
	r.free()
	return errors.Join(errs...)
}

// cancelEverything asks the kernel to end all it has of ours.
func (r *Ring) cancelEverything() error {
	if r.features.Extended {
		return r.cancel(0, cancelAny|cancelAll)
	}
	if err := r.cancel(wakeToken, 0); err != nil {
		return err
	}
	for i := range r.flights.slots {
		if f := &r.flights.slots[i]; f.used {
			if err := r.cancel(f.token, 0); err != nil {
				return err
			}
		}
	}
	return nil
}

// dropCompletions works off what has finished; nobody wants the results any
// more, but a connection among them must not be left open.
func (r *Ring) dropCompletions() {
	r.spill()
	for i := range r.spilled {
		e := &r.spilled[i]
		f := r.flights.find(reactor.Token(e.UserData()))
		if f != nil && f.code == reactor.Accept && e.Result() >= 0 {
			_ = unix.Close(int(e.Result()))
		}
		if e.Flags()&cqeMore == 0 {
			r.inFlight--
		}
	}
	r.spilled = r.spilled[:0]
}

// closeEvent ends waking; a Wake that is under way has finished.
func (r *Ring) closeEvent() {
	r.event.mu.Lock()
	defer r.event.mu.Unlock()
	if r.event.fd >= 0 {
		_ = unix.Close(r.event.fd)
		r.event.fd = -1
	}
}

// free gives everything back; the kernel has nothing of ours any more.
func (r *Ring) free() {
	r.closeEvent()
	_ = unix.Close(r.fd)
	r.fd = -1
	r.q.unmap()
	r.bufs.unmap()
	if r.event.count != nil {
		_ = buf.Free(r.event.count)
	}
}
