package block

import (
	"errors"
	"fmt"
	"time"

	"lunar/lun/descriptor"

	"golang.org/x/sys/unix"
)

// Config names a device and how to use it.
type Config struct {
	// Path leads to the device. Names that stay, such as those in /dev/disk/by-id, are
	// better than /dev/sdX: what a unit keeps is kept under this path.
	Path string
	// BlockBytes is the logical block size of the unit, 512 or 4096 and no less than the
	// device's. Zero takes the device's.
	BlockBytes uint32
	// SyncWrites makes every write durable before it is reported, so that there is
	// no volatile cache to flush.
	SyncWrites bool
	// LockWait is how long to wait for a predecessor to let go of the device. One that
	// was killed holds it until its last disk operation has ended.
	LockWait time.Duration
}

// lockRetry is the pause between two attempts to have the device.
const lockRetry = 20 * time.Millisecond

// Backend is a medium on a block device.
type Backend struct {
	*descriptor.Medium
	path string
	fd   int
	node node
	// named is what the device says it is.
	named string
}

// Open opens the device of cfg for this process alone. Errors name the device and
// what to do about it.
func Open(cfg Config) (*Backend, error) {
	n, err := find(cfg.Path)
	if err != nil {
		return nil, err
	}
	fd, err := acquire(cfg.Path, n, cfg.LockWait)
	if err != nil {
		return nil, err
	}
	b := &Backend{path: cfg.Path, fd: fd, node: n, named: n.identity()}
	info, err := inspect(fd, n, &cfg)
	if err == nil {
		b.Medium, err = descriptor.New(descriptor.Config{
			FD: fd, Info: info, Direct: true, SyncWrites: cfg.SyncWrites, Device: true,
		})
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", cfg.Path, err), b.release())
	}
	return b, nil
}

// find says which device a path leads to.
func find(path string) (node, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return node{}, fmt.Errorf("open %s: %w; check the path, and that the device is there", path, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFBLK {
		return node{}, fmt.Errorf("open %s: not a block device; use the medium file for a file", path)
	}
	return nodeOf(path, st.Rdev)
}

// acquire opens the device. O_EXCL on a block device keeps away mounts and everybody else
// who wants it alone, as they keep us; it goes with the descriptor.
func acquire(path string, n node, wait time.Duration) (int, error) {
	access := unix.O_RDWR
	if n.readOnly() {
		access = unix.O_RDONLY
	}
	end := time.Now().Add(wait)
	for {
		fd, err := unix.Open(path, access|unix.O_EXCL|unix.O_DIRECT|unix.O_CLOEXEC, 0)
		switch {
		case err == nil:
			return fd, confirm(path, fd, n)
		case errors.Is(err, unix.EINTR):
			continue
		case !errors.Is(err, unix.EBUSY):
			return -1, fmt.Errorf("open %s: %w", path, err)
		}
		if why := n.holder(); why != "" {
			return -1, fmt.Errorf("open %s: %s: %w", path, why, err)
		}
		if !time.Now().Before(end) {
			return -1, fmt.Errorf("open %s: another program, or another unit, has the device for itself (waited %s); "+
				"stop it, or give this unit a device of its own: %w", path, wait, err)
		}
		time.Sleep(lockRetry)
	}
}

// confirm closes a descriptor that does not lead to the device that was found.
func confirm(path string, fd int, n node) error {
	var st unix.Stat_t
	err := unix.Fstat(fd, &st)
	if err == nil && st.Rdev == n.number {
		return nil
	}
	if err == nil {
		err = errors.New("it became another device meanwhile; try again")
	}
	return errors.Join(fmt.Errorf("open %s: %w", path, err), unix.Close(fd))
}

// Describe names the medium in messages.
func (b *Backend) Describe() string { return "block " + b.path }

// Close flushes what is volatile and gives the device back. Every queue must be idle.
func (b *Backend) Close() error {
	var err error
	if b.fd >= 0 {
		err = b.Flush(b.path)
	}
	return errors.Join(err, b.release())
}

func (b *Backend) release() error {
	if b.fd < 0 {
		return nil
	}
	fd := b.fd
	b.fd = -1
	return descriptor.Close(b.Medium, fd, b.path)
}
