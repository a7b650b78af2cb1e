package file

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"time"

	"lunar/lun/descriptor"

	"golang.org/x/sys/unix"
)

// Mode says whether to go past the page cache.
type Mode uint8

// Modes.
const (
	// Auto goes past the page cache if the file system can.
	Auto Mode = iota
	// On does or refuses to open.
	On
	// Off never does.
	Off
)

// Config names a file and how to use it.
type Config struct {
	Path string
	// Bytes is the capacity; zero takes the size the file has.
	Bytes int64
	// BlockBytes is the logical block size, 512 or 4096.
	BlockBytes uint32
	Direct     Mode
	// SyncWrites makes every write durable before it is reported, so that there is
	// no volatile cache to flush.
	SyncWrites bool
	// ReadOnly opens the file for reading and shares its lock with other readers.
	ReadOnly bool
	// Create makes a sparse file of Bytes if there is none.
	Create bool
	// LockWait is how long to wait for a predecessor to let go of the file. One
	// that was killed holds it until its last disk operation has ended.
	LockWait time.Duration
}

const (
	// lockRetry is the pause between two attempts to lock.
	lockRetry = 20 * time.Millisecond

	// minPhysicalBytes and maxPhysicalBytes bound what a file system may call its
	// block size; some network file systems name a transfer size instead.
	minPhysicalBytes = 4096
	maxPhysicalBytes = 64 << 10

	filePermissions = 0o600
)

// Backend is a medium in a file.
type Backend struct {
	*descriptor.Medium
	path string
	fd   int
	// about is what the file was opened as; its size may have changed since.
	about descriptor.Config
	// device and fsBlock are its file system's; unshared, that blocks of the file cannot be
	// shared with others.
	device   uint64
	fsBlock  int64
	unshared atomic.Bool
}

// Open opens, and if asked creates, the file of cfg. Errors name the file and
// say what to do.
func Open(cfg Config) (*Backend, error) {
	if cfg.BlockBytes != 512 && cfg.BlockBytes != 4096 {
		return nil, fmt.Errorf("open %s: block size is %d bytes; use 512 or 4096", cfg.Path, cfg.BlockBytes)
	}
	if cfg.Bytes < 0 || cfg.Bytes%int64(cfg.BlockBytes) != 0 {
		return nil, fmt.Errorf("open %s: size is %d bytes; use a multiple of the block size, %d",
			cfg.Path, cfg.Bytes, cfg.BlockBytes)
	}
	fd, created, err := openFile(&cfg)
	if err != nil {
		return nil, err
	}
	b := &Backend{path: cfg.Path, fd: fd, about: descriptor.Config{FD: fd, SyncWrites: cfg.SyncWrites}}
	if err := b.prepare(&cfg, created); err != nil {
		if created {
			// What we made and cannot use is taken away again, so that the next
			// attempt does not find a file of the wrong size.
			err = errors.Join(err, unix.Unlink(cfg.Path))
		}
		return nil, errors.Join(err, b.release())
	}
	return b, nil
}

// openFile opens the file and says whether it made it.
func openFile(cfg *Config) (fd int, created bool, err error) {
	access := unix.O_RDWR
	if cfg.ReadOnly {
		access = unix.O_RDONLY
	}
	fd, err = open(cfg.Path, access)
	if errors.Is(err, unix.ENOENT) && cfg.Create && !cfg.ReadOnly {
		if cfg.Bytes == 0 {
			return -1, false, fmt.Errorf("create %s: no size given; name the size of the unit", cfg.Path)
		}
		fd, err = open(cfg.Path, access|unix.O_CREAT|unix.O_EXCL)
		created = err == nil
	}
	switch {
	case errors.Is(err, unix.ENOENT):
		return -1, false, fmt.Errorf("open %s: %w; create the file, or check the path", cfg.Path, err)
	case err != nil:
		return -1, false, fmt.Errorf("open %s: %w", cfg.Path, err)
	}
	return fd, created, nil
}

// open opens path, again after a signal. O_NONBLOCK keeps a FIFO or a device
// with that name from holding up the start; it has no effect on a regular file.
func open(path string, flags int) (int, error) {
	for {
		fd, err := unix.Open(path, flags|unix.O_CLOEXEC|unix.O_NONBLOCK, filePermissions)
		if !errors.Is(err, unix.EINTR) {
			return fd, err
		}
	}
}

// prepare locks, checks and sizes the open file and fills in what it can do.
func (b *Backend) prepare(cfg *Config, created bool) error {
	if err := b.lock(cfg); err != nil {
		return err
	}
	bytes, err := b.size(cfg, created)
	if err != nil {
		return err
	}
	if err := b.inspect(cfg, bytes); err != nil {
		return err
	}
	if b.Medium, err = descriptor.New(b.about); err != nil {
		return fmt.Errorf("open %s: %w", b.path, err)
	}
	return nil
}

// lock takes the file for this process alone. The lock goes with the descriptor,
// so nothing is left behind by a process that dies.
func (b *Backend) lock(cfg *Config) error {
	how := unix.LOCK_EX
	if cfg.ReadOnly {
		how = unix.LOCK_SH
	}
	end := time.Now().Add(cfg.LockWait)
	for {
		err := unix.Flock(b.fd, how|unix.LOCK_NB)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, unix.EINTR):
			continue
		case !errors.Is(err, unix.EWOULDBLOCK):
			return fmt.Errorf("lock %s: %w", b.path, err)
		case !time.Now().Before(end):
			return fmt.Errorf("lock %s: another process uses the file (waited %s); stop it, or give this unit a file of its own: %w",
				b.path, cfg.LockWait, err)
		}
		time.Sleep(lockRetry)
	}
}

// size returns the capacity, making a new file that large first.
func (b *Backend) size(cfg *Config, created bool) (int64, error) {
	var st unix.Stat_t
	if err := unix.Fstat(b.fd, &st); err != nil {
		return 0, fmt.Errorf("stat %s: %w", b.path, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return 0, fmt.Errorf("open %s: not a regular file; a block device has the medium block", b.path)
	}
	if created {
		return cfg.Bytes, b.extend(cfg.Bytes)
	}
	switch {
	case st.Size == 0:
		return 0, fmt.Errorf("open %s: the file is empty; remove it and let it be created, or give it its size (truncate -s)", b.path)
	case cfg.Bytes != 0 && cfg.Bytes != st.Size:
		return 0, fmt.Errorf("open %s: the file has %d bytes but the unit is configured with %d; "+
			"configure the size of the file, or resize the file (truncate -s) if that is what you want",
			b.path, st.Size, cfg.Bytes)
	case st.Size%int64(cfg.BlockBytes) != 0:
		return 0, fmt.Errorf("open %s: the file has %d bytes, no multiple of the block size %d; use another block size, or resize the file",
			b.path, st.Size, cfg.BlockBytes)
	}
	return st.Size, nil
}

// extend gives a new file its size and makes file and name durable, so that a
// unit that was reported made is there after a power cut.
func (b *Backend) extend(bytes int64) error {
	if err := unix.Ftruncate(b.fd, bytes); err != nil {
		return fmt.Errorf("size %s to %d bytes: %w", b.path, bytes, err)
	}
	if err := unix.Fsync(b.fd); err != nil {
		return fmt.Errorf("sync %s: %w", b.path, err)
	}
	dir := filepath.Dir(b.path)
	fd, err := open(dir, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return fmt.Errorf("open directory %s: %w", dir, err)
	}
	defer func() { _ = unix.Close(fd) }() // read only: nothing to lose
	if err := unix.Fsync(fd); err != nil {
		return fmt.Errorf("sync directory %s: %w", dir, err)
	}
	return nil
}

// Describe names the medium in messages.
func (b *Backend) Describe() string { return "file " + b.path }

// Close flushes what is volatile and gives the file back. Every queue must be
// idle.
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

// Resize gives the file another size, a multiple of the block size, and makes that
// durable. Requests behind the new end fail as medium errors.
func (b *Backend) Resize(bytes int64) error {
	if bytes <= 0 || bytes%int64(b.about.Info.BlockBytes) != 0 {
		return fmt.Errorf("resize %s: %d bytes is no multiple of the block size %d; give a multiple", b.path, bytes, b.about.Info.BlockBytes)
	}
	if b.about.Info.ReadOnly {
		return fmt.Errorf("resize %s: the file is open read-only", b.path)
	}
	if err := unix.Ftruncate(b.fd, bytes); err != nil {
		return fmt.Errorf("resize %s to %d bytes: %w", b.path, bytes, err)
	}
	if err := unix.Fsync(b.fd); err != nil {
		return fmt.Errorf("sync %s: %w", b.path, err)
	}
	b.SetBytes(bytes)
	return nil
}
