package file

import (
	"errors"

	"lunar/lun/blk"

	"golang.org/x/sys/unix"
)

// Granule implements blk.Sharer: blocks of the file system that holds both files. Whether it
// can share them shows when it is first asked to.
func (b *Backend) Granule(from blk.Backend) int64 {
	o, ok := from.(*Backend)
	if !ok || b.unshared.Load() || o.device != b.device {
		return 0
	}
	return max(b.fsBlock, o.fsBlock)
}

// Share implements blk.Sharer by FICLONERANGE.
func (b *Backend) Share(from blk.Backend, source, destination, bytes int64, durable bool) blk.Result {
	err := unix.IoctlFileCloneRange(b.fd, &unix.FileCloneRange{
		Src_fd: int64(from.(*Backend).fd), Src_offset: uint64(source), Src_length: uint64(bytes), Dest_offset: uint64(destination),
	})
	switch {
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return blk.NoSpace
	case errors.Is(err, unix.EIO):
		return blk.MediumError
	case err != nil:
		// Whatever else it says, moving the data says it again if it is wrong with that too.
		b.unshared.Store(true)
		return blk.Unsupported
	case (durable || b.about.SyncWrites) && unix.Fdatasync(b.fd) != nil:
		return blk.MediumError
	}
	return blk.OK
}
