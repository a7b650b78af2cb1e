package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// localMode is the mode of a local socket: only its owner and root may connect.
const localMode = 0o600

// maxLocalPath is the longest path a local socket can have, in bytes (sockaddr_un).
const maxLocalPath = 107

// ListenLocal opens a listening socket at a path, with mode 0600 from its first moment
// on. One that a dead process left there is replaced; one that answers is not. Closing
// the listener removes it.
func ListenLocal(path string) (net.Listener, error) {
	if len(path) > maxLocalPath {
		return nil, fmt.Errorf("socket %s: the path has %d bytes; give one of at most %d", path, len(path), maxLocalPath)
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("socket %s: %w; choose a directory that can be made", path, err)
	}
	// Of two processes that start at once, one looks and binds, then the other looks.
	unlock, err := lockDir(dir)
	if err != nil {
		return nil, fmt.Errorf("socket %s: %w; choose another directory", path, err)
	}
	defer unlock()
	if err := clearStale(path); err != nil {
		return nil, fmt.Errorf("socket %s: %w", path, err)
	}
	// The kernel gives the name the mode of the socket it is bound to, less the umask.
	l, err := (&net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return control(c, func(fd int) error { return unix.Fchmod(fd, localMode) })
	}}).Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, fmt.Errorf("socket %s: %w; choose another path", path, err)
	}
	if info, err := os.Lstat(path); err != nil || info.Mode().Perm()&^localMode != 0 {
		return nil, errors.Join(fmt.Errorf("socket %s is open to others; choose another file system", path), err, l.Close())
	}
	return l, nil
}

// lockWait is how long another process may hold the lock of a directory.
const lockWait = 2 * time.Second

func lockDir(dir string) (unlock func(), err error) {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", dir, err)
	}
	for end := time.Now().Add(lockWait); ; time.Sleep(time.Millisecond) {
		if err = unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err == nil {
			return func() { _ = unix.Close(fd) }, nil
		}
		if time.Now().After(end) {
			_ = unix.Close(fd)
			return nil, fmt.Errorf("lock %s: %w", dir, err)
		}
	}
}

// clearStale removes a socket that nobody listens on any more.
func clearStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != os.ModeSocket:
		return errors.New("there is something else of that name; choose another path")
	}
	c, err := net.DialTimeout("unix", path, lockWait)
	if err == nil {
		_ = c.Close()
	}
	if !errors.Is(err, unix.ECONNREFUSED) {
		return errors.New("another process answers there; stop it or choose another path")
	}
	return os.Remove(path)
}

// Peer is the process at the other end of a local connection, when it connected.
type Peer struct {
	PID int32
	UID uint32
}

// PeerOf asks the kernel for the peer of a local connection (SO_PEERCRED).
func PeerOf(c syscall.Conn) (p Peer, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return p, fmt.Errorf("peer of a local connection: %w", err)
	}
	err = control(raw, func(fd int) error {
		cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
		if err == nil {
			p = Peer{cred.Pid, cred.Uid}
		}
		return err
	})
	if err != nil {
		return p, fmt.Errorf("peer of a local connection: %w", err)
	}
	return p, nil
}

func control(c syscall.RawConn, f func(fd int) error) error {
	var err error
	if cerr := c.Control(func(fd uintptr) { err = f(int(fd)) }); cerr != nil {
		return cerr
	}
	return err
}
