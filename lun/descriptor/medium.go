package descriptor

import (
	"errors"
	"fmt"
	"sync/atomic"

	"lunar/lun/blk"

	"golang.org/x/sys/unix"
)

// Config describes a medium behind an open descriptor, which stays the caller's.
type Config struct {
	FD int
	// Info is what the medium says of itself; its size may change (SetBytes).
	Info blk.Info
	// Direct says that operations go past the page cache.
	Direct bool
	// Async hands every operation to a worker of the kernel: submitting it could sleep.
	Async bool
	// SyncWrites makes every write durable before it is reported, and every deallocation.
	SyncWrites bool
	// Device says that this is a block device. It does not tell of holes, and answers by
	// errors of its own when it is gone or has become smaller.
	Device bool
}

// Medium is a medium behind a descriptor.
type Medium struct {
	cfg Config
	// bytes is the size; queues of any reactor look at it.
	bytes atomic.Int64
	// zeros is read-only memory for what cannot zero a range.
	zeros []byte
	// syncFailed is set by a flush that failed, until the medium is opened again.
	syncFailed atomic.Bool
	// lost says that the device is gone: nothing is tried.
	lost atomic.Bool
}

// New returns the medium of cfg.
func New(cfg Config) (*Medium, error) {
	m := &Medium{cfg: cfg}
	m.bytes.Store(cfg.Info.Bytes)
	var err error
	m.zeros, err = unix.Mmap(-1, 0, blk.MaxRequestBytes, unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, fmt.Errorf("map a page of zeros: %w", err)
	}
	return m, nil
}

// Flush makes what is volatile durable, before the descriptor is closed for good. What
// failed before, or is gone, fails here again.
func (m *Medium) Flush(path string) error {
	if m.cfg.Info.ReadOnly {
		return nil
	}
	err := unix.Fdatasync(m.cfg.FD)
	if err == nil && (m.syncFailed.Load() || m.lost.Load()) {
		err = unix.EIO
	}
	if err != nil {
		return fmt.Errorf("flush %s: %w; writes since the last good flush may be lost", path, err)
	}
	return nil
}

// Close closes a descriptor and releases its medium, nil when none was made of it.
func Close(m *Medium, fd int, path string) error {
	err := unix.Close(fd)
	if m != nil {
		err = errors.Join(err, m.Release())
	}
	if err != nil {
		return fmt.Errorf("close %s: %w", path, err)
	}
	return nil
}

// Release gives back the memory of the medium. Every queue is idle.
func (m *Medium) Release() error {
	if m.zeros == nil {
		return nil
	}
	err := unix.Munmap(m.zeros)
	m.zeros = nil
	return err
}

// Info describes the medium.
func (m *Medium) Info() blk.Info {
	info := m.cfg.Info
	info.Bytes = m.bytes.Load()
	return info
}

// Direct says whether operations go past the page cache.
func (m *Medium) Direct() bool { return m.cfg.Direct }

// SetBytes says that the medium has another size, a multiple of its block size. Requests
// behind its end fail as medium errors. It may be called from any goroutine.
func (m *Medium) SetBytes(bytes int64) { m.bytes.Store(bytes) }

// SyncFailed says whether a flush failed, so that data that was reported written may be
// lost.
func (m *Medium) SyncFailed() bool { return m.syncFailed.Load() }

// Lose says that the device is gone: requests end as NotReady until Regain. It may be
// called from any goroutine.
func (m *Medium) Lose() { m.lost.Store(true) }

// Regain says that the device is there again, opened anew: what failed before does not
// count any more.
func (m *Medium) Regain() {
	m.syncFailed.Store(false)
	m.lost.Store(false)
}

// Lost says whether the device is gone.
func (m *Medium) Lost() bool { return m.lost.Load() }

// Size is the size that the kernel has of what the descriptor leads to, in bytes. It looks
// at memory only and may be called from any goroutine.
func (m *Medium) Size() (int64, error) { return m.seek(0, unix.SEEK_END) }

// reconsider corrects the result of an operation on a device that is not what it was. The
// kernel gives a device that went a size of zero (set_capacity); behind the end it answers
// reads with nothing, writes with ENOSPC and the rest as it likes.
func (m *Medium) reconsider(r *blk.Request, result blk.Result) blk.Result {
	if !m.cfg.Device {
		return result
	}
	size, err := m.Size()
	switch {
	case err != nil:
		return result
	case size == 0:
		return blk.NotReady
	case result == blk.NoSpace && r.Offset+r.Length > size:
		return blk.MediumError
	}
	return result
}
