package block

import (
	"fmt"

	"lunar/lun/blk"

	"golang.org/x/sys/unix"
)

// sectorBytes is the unit of st_blocks (stat(2)).
const sectorBytes = 512

// Usage implements blk.Meter. A device that deallocates nothing has given all it has; of
// those that do, only a loop device has a store that can be asked.
func (b *Backend) Usage() (blk.Usage, error) {
	i := b.Info()
	switch {
	case b.Lost():
		return blk.Usage{}, nil
	case !i.Thin:
		return blk.Usage{Used: i.Bytes, Known: true}, nil
	case b.node.dir == b.node.disk && b.node.has("loop"):
		return b.ofFile()
	}
	return blk.Usage{}, nil
}

// ofFile asks for the file behind a loop device, when all of it is the device and its path
// still leads to it.
func (b *Backend) ofFile() (blk.Usage, error) {
	l, err := unix.IoctlLoopGetStatus64(b.fd)
	if err != nil {
		return blk.Usage{}, fmt.Errorf("status of %s: %w", b.path, err)
	}
	path := text(b.node.dir, "loop/backing_file")
	var st unix.Stat_t
	if l.Offset != 0 || l.Sizelimit != 0 || unix.Stat(path, &st) != nil || st.Dev != l.Device || st.Ino != l.Inode {
		return blk.Usage{}, nil
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err != nil {
		return blk.Usage{}, fmt.Errorf("stat the file system of %s, behind %s: %w", path, b.path, err)
	}
	return blk.Usage{Used: st.Blocks * sectorBytes, Available: int64(fs.Bavail) * fs.Frsize, Known: true}, nil
}
