package file

import (
	"errors"
	"fmt"
	"time"

	"lunar/lun/blk"
	"lunar/lun/descriptor"
	"lunar/scsi/pi"

	"golang.org/x/sys/unix"
)

// TuplesPath is the file beside that of a unit which holds its protection information.
func TuplesPath(path string) string { return path + ".pi" }

// OpenTuples opens, and creates when there is none, the sparse file that holds the protection
// information of the file at path, of so many blocks. It goes through the page cache, is
// locked as that one is, and has the size that they need: a file that was resized while its
// process ended is put right. Its blocks are pi.Bytes long.
func OpenTuples(path string, blocks uint64, syncWrites bool, lockWait time.Duration) (*Backend, error) {
	cfg := Config{Path: TuplesPath(path), Bytes: int64(blocks) * pi.Bytes, Create: true, LockWait: lockWait}
	fd, created, err := openFile(&cfg)
	if err != nil {
		return nil, err
	}
	b := &Backend{path: cfg.Path, fd: fd, about: descriptor.Config{FD: fd, SyncWrites: syncWrites}}
	if err := b.prepareTuples(&cfg); err != nil {
		if created {
			err = errors.Join(err, unix.Unlink(cfg.Path))
		}
		return nil, errors.Join(err, b.release())
	}
	return b, nil
}

func (b *Backend) prepareTuples(cfg *Config) error {
	if err := b.lock(cfg); err != nil {
		return err
	}
	var st unix.Stat_t
	var fs unix.Statfs_t
	if err := unix.Fstat(b.fd, &st); err != nil {
		return fmt.Errorf("stat %s: %w", b.path, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return fmt.Errorf("open %s: not a regular file; protection information needs one, remove what has its name", b.path)
	}
	if err := unix.Fstatfs(b.fd, &fs); err != nil {
		return fmt.Errorf("stat the file system of %s: %w", b.path, err)
	}
	if st.Size != cfg.Bytes {
		if err := b.extend(cfg.Bytes); err != nil {
			return err
		}
	}
	b.about.Async = blockingMagics[int64(uint32(fs.Type))]
	b.about.Info = blk.Info{
		Bytes: cfg.Bytes, BlockBytes: pi.Bytes, PhysicalBytes: minPhysicalBytes,
		Thin: b.canPunch(cfg.Bytes), VolatileCache: !b.about.SyncWrites,
	}
	var err error
	if b.Medium, err = descriptor.New(b.about); err != nil {
		return fmt.Errorf("open %s: %w", b.path, err)
	}
	return nil
}
