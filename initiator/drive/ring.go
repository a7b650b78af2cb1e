package drive

import (
	"fmt"
	"net"
	"syscall"

	"lunar/reactor/host"
)

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
