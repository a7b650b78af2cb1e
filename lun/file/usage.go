package file

import (
	"fmt"

	"lunar/lun/blk"

	"golang.org/x/sys/unix"
)

// sectorBytes is the unit of st_blocks (stat(2)).
const sectorBytes = 512

// Usage implements blk.Meter: what the file takes of its file system, and what that has
// left for those without privileges.
func (b *Backend) Usage() (blk.Usage, error) {
	var st unix.Stat_t
	if err := unix.Fstat(b.fd, &st); err != nil {
		return blk.Usage{}, fmt.Errorf("stat %s: %w", b.path, err)
	}
	var fs unix.Statfs_t
	if err := unix.Fstatfs(b.fd, &fs); err != nil {
		return blk.Usage{}, fmt.Errorf("stat the file system of %s: %w", b.path, err)
	}
	return blk.Usage{Used: st.Blocks * sectorBytes, Available: int64(fs.Bavail) * fs.Frsize, Known: true}, nil
}
