package descriptor

import (
	"errors"

	"lunar/lun/blk"
	"lunar/lun/descriptor/extents"

	"golang.org/x/sys/unix"
)

// Anchors says whether the file system behind a descriptor tells what it holds for a
// file and was never written. That is true of files that go past the page cache.
func Anchors(fd int) bool {
	_, err := extents.First(fd, 0, 1)
	return err == nil
}

// anchored tells what the first bytes of a hole are: without an extent they are one, with
// one that was never written they are anchored, and any other says that they are mapped, though
// nothing was found there a moment ago.
func (m *Medium) anchored(r *blk.Request) blk.Result {
	if !m.cfg.Info.Anchors {
		return blk.OK
	}
	x, err := extents.First(m.cfg.FD, r.Offset, r.Progress)
	var e unix.Errno
	switch block, end := int64(m.cfg.Info.BlockBytes), x.Offset+x.Bytes; {
	case errors.As(err, &e):
		return resultOf(e)
	case x.Bytes == 0 || x.Offset >= r.Offset+r.Progress:
	case x.Offset >= r.Offset+block:
		r.Progress = x.Offset - x.Offset%block - r.Offset
	default:
		r.Progress = min(max(end-end%block-r.Offset, block), r.Progress)
		r.Hole, r.Anchored = false, x.Unwritten
	}
	return blk.OK
}
