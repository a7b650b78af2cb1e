// Package extents asks a file system what it holds for a range of a file
// (linux/fiemap.h): one system call, apart because its structure is handed to the kernel by
// address.
package extents

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	fsIocFiemap = 0xc020660b
	unwritten   = 0x0800 // FIEMAP_EXTENT_UNWRITTEN
)

// fiemap is struct fiemap with room for one struct fiemap_extent.
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

// Extent is a part of a file that has a place in its file system, in bytes.
type Extent struct {
	Offset, Bytes int64
	// Unwritten: nothing was ever written there, and it reads as zeros.
	Unwritten bool
}

// First is the first extent in a range of a file; without one its Bytes are 0. Errors are
// those of the ioctl: EOPNOTSUPP and ENOTTY say that the file system does not tell.
func First(fd int, offset, bytes int64) (Extent, error) {
	f := fiemap{start: uint64(offset), length: uint64(bytes), room: 1}
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), fsIocFiemap, uintptr(unsafe.Pointer(&f))); e != 0 {
		return Extent{}, e
	}
	if f.found == 0 {
		return Extent{}, nil
	}
	return Extent{int64(f.extent.logical), int64(f.extent.length), f.extent.flags&unwritten != 0}, nil
}
