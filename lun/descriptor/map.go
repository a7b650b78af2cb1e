package descriptor

import (
	"errors"

	"lunar/lun/blk"

	"golang.org/x/sys/unix"
)

// mapped answers a Map: it looks for the first byte of data, and from there, if
// need be, for the first hole behind it.
//
// There is no ring operation for it, so these are two system calls on the
// reactor. They move no data and look at the file's extents and the state of its
// pages, which are in memory for a file in use: a microsecond or two, and a unit
// asks only a fixed number of times for one command. Behind a file system whose
// calls are known to wait for a process or a network nothing is asked, and
// everything counts as mapped; so it does where holes are unknown, as a device's are.
//
// Blocks that were zeroed but never written are holes to it. Where the file system tells what
// it holds for them they are anchored (anchor.go).
func (m *Medium) mapped(r *blk.Request) blk.Result {
	r.Hole, r.Anchored = false, false
	if m.cfg.Async || m.cfg.Device {
		return allMapped(r)
	}
	end := r.Offset + r.Length
	data, err := m.seek(r.Offset, unix.SEEK_DATA)
	switch {
	case errors.Is(err, unix.ENXIO):
		// There is no data from here to the end of the file.
		r.Progress, r.Hole = r.Length, true
		return m.anchored(r)
	case err != nil:
		return unknown(r, err)
	}
	// A block that is mapped in part is mapped: the hole ends where it starts.
	block := int64(m.cfg.Info.BlockBytes)
	if data -= data % block; data > r.Offset {
		r.Progress, r.Hole = min(data, end)-r.Offset, true
		return m.anchored(r)
	}
	hole, err := m.seek(r.Offset, unix.SEEK_HOLE)
	if err != nil {
		return unknown(r, err)
	}
	hole += (block - hole%block) % block
	r.Progress = min(max(hole, r.Offset+block), end) - r.Offset
	return blk.OK
}

// seek finds the next data or hole at or behind offset. It moves the file's own
// position, which nothing uses: every operation names its offset.
func (m *Medium) seek(offset int64, whence int) (int64, error) {
	for range maxRetries {
		n, err := unix.Seek(m.cfg.FD, offset, whence)
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
	return 0, unix.EIO
}

func allMapped(r *blk.Request) blk.Result {
	r.Progress = r.Length
	return blk.OK
}

// unknown is the result of a look-up that failed: OK, with everything mapped,
// where the file system does not know holes.
func unknown(r *blk.Request, err error) blk.Result {
	var e unix.Errno
	if !errors.As(err, &e) {
		return blk.MediumError
	}
	if e == unix.EINVAL || e == unix.EOPNOTSUPP {
		return allMapped(r)
	}
	return resultOf(e)
}
