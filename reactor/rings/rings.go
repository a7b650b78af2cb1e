// Package rings makes the ring that a machine allows: io_uring, or epoll where that is
// refused.
//
// Owner: whoever makes a ring uses it on the goroutine that made it; see reactor.Ring.
package rings

import (
	"errors"
	"fmt"

	"lunar/reactor"
	"lunar/reactor/epoll"
	"lunar/reactor/uring"
)

// Check says whether name is that of a ring: "auto", "uring" or "epoll".
func Check(name string) error {
	switch name {
	case "auto", "uring", "epoll":
		return nil
	}
	return fmt.Errorf("ring %q: use auto, uring or epoll", name)
}

// Available are the names of the rings that this machine has, first the one that
// "auto" takes.
func Available() []string {
	if _, err := uring.Probe(); err != nil {
		return []string{"epoll"}
	}
	return []string{"uring", "epoll"}
}

// New makes the ring of a name that receives into recv, cut into buffers of recvBytes.
// "auto" is uring, and epoll where the machine offers no io_uring: then refused is
// why, and no error. The calling goroutine must be locked to its thread.
func New(name string, recv []byte, recvBytes int) (r reactor.Ring, refused, err error) {
	if err := Check(name); err != nil {
		return nil, nil, err
	}
	if name != "epoll" {
		r, err := uring.New(uring.Config{RecvBuffers: recv, RecvBytes: recvBytes})
		if err == nil {
			return r, nil, nil
		}
		if name == "uring" || !errors.Is(err, uring.ErrUnavailable) {
			return nil, nil, err
		}
		refused = err
	}
	e, err := epoll.New(epoll.Config{RecvBuffers: recv, RecvBytes: recvBytes})
	if err != nil {
		return nil, refused, err
	}
	return e, refused, nil
}
