package descriptor

import (
	"unsafe"

	"lunar/lun/blk"

	"golang.org/x/sys/unix"
)

// The ioctl that lists the extents of a file (linux/fiemap.h): a header, and room for one.
const (
	fsIocFiemap     = 0xc020660b
	extentUnwritten = 0x0800
)

// fiemap is struct fiemap with one struct fiemap_extent.
type fiemap struct {
	start, length           uint64
	flags, found, room, pad uint32
	extent                  struct {
		logical, physical, length uint64
		reserved                  [2]uint64
		flags                     uint32
		reserved2                 [3]uint32
	}
}

func extentAt(fd int, offset, length int64) (f fiemap, e unix.Errno) {
	f.start, f.length, f.room = uint64(offset), uint64(length), 1
	_, _, e = unix.Syscall(unix.SYS_IOCTL, uintptr(fd), fsIocFiemap, uintptr(unsafe.Pointer(&f)))
	return f, e
}

// Anchors says whether the file system behind a descriptor tells what it holds for a
// file and was never written. That is true of files that go past the page cache.
func Anchors(fd int) bool {
	_, e := extentAt(fd, 0, 1)
	return e == 0
}

// anchored tells what the first bytes of a hole are: without an extent they are one, with
// one that was never written they are anchored, and any other says that they are mapped, though
// nothing was found there a moment ago.
func (m *Medium) anchored(r *blk.Request) blk.Result {
	if !m.cfg.Info.Anchors {
		return blk.OK
	}
	f, e := extentAt(m.cfg.FD, r.Offset, r.Progress)
	if e != 0 {
		return resultOf(e)
	}
	block := int64(m.cfg.Info.BlockBytes)
	begins, end := int64(f.extent.logical), int64(f.extent.logical+f.extent.length)
	switch {
	case f.found == 0 || begins >= r.Offset+r.Progress:
	case begins >= r.Offset+block:
		r.Progress = begins - begins%block - r.Offset
	default:
		r.Progress = min(max(end-end%block-r.Offset, block), r.Progress)
		r.Hole, r.Anchored = false, f.extent.flags&extentUnwritten != 0
	}
	return blk.OK
}
