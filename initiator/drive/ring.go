package drive

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"lunar/reactor"
	"lunar/reactor/epoll"
	"lunar/reactor/host"
	"lunar/reactor/uring"
)

// newRing makes a ring by its name; "auto" takes epoll where io_uring is refused.
func newRing(name string, recv []byte) (reactor.Ring, error) {
	switch name {
	case "", "auto", "uring":
		r, err := uring.New(uring.Config{RecvBuffers: recv, RecvBytes: recvBytes})
		if err == nil {
			return r, nil
		}
		if name == "uring" || !errors.Is(err, uring.ErrUnavailable) {
			return nil, fmt.Errorf("drive: %w", err)
		}
	case "epoll":
	default:
		return nil, fmt.Errorf("drive: ring %q: use auto, uring or epoll", name)
	}
	r, err := epoll.New(epoll.Config{RecvBuffers: recv, RecvBytes: recvBytes})
	if err != nil {
		return nil, fmt.Errorf("drive: %w", err)
	}
	return r, nil
}

// Detach moves the socket of an open connection out of the runtime's hands, for
// Loop.Link, and closes nc. The descriptor is non-blocking and closed on exec. On an
// error nc is as it was.
func Detach(nc net.Conn) (fd int32, err error) {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return -1, fmt.Errorf("drive: connection %T has no descriptor; use a TCP connection", nc)
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return -1, fmt.Errorf("drive: detach %v: %w", nc.RemoteAddr(), err)
	}
	var copied uintptr
	var errno syscall.Errno
	err = raw.Control(func(fd uintptr) {
		copied, _, errno = syscall.Syscall(syscall.SYS_FCNTL, fd, syscall.F_DUPFD_CLOEXEC, 0)
	})
	if err == nil && errno != 0 {
		err = errno
	}
	if err != nil {
		return -1, fmt.Errorf("drive: detach %v: %w", nc.RemoteAddr(), err)
	}
	_ = nc.Close() // the connection lives on in the copy
	fd = int32(copied)
	_ = host.ConfigureStream(fd) // without it only latency suffers
	return fd, nil
}

// closeFD closes a descriptor that no ring uses any more.
func closeFD(fd int32) error { return host.CloseFD(fd) }
