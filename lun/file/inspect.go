package file

import (
	"errors"
	"fmt"

	"lunar/lun/blk"
	"lunar/lun/descriptor"

	"golang.org/x/sys/unix"
)

// pageBytes is the alignment of the memory of every request.
const pageBytes = 4096

// Magic numbers of file systems that package unix does not name.
const (
	magicCIFS = 0xff534d42
	magicCeph = 0x00c36400
)

// blockingMagics are file systems whose operations can sleep in submission,
// asked not to or not: behind them stands a process or a network.
var blockingMagics = map[int64]bool{
	unix.FUSE_SUPER_MAGIC:      true,
	unix.NFS_SUPER_MAGIC:       true,
	unix.OVERLAYFS_SUPER_MAGIC: true,
	unix.SMB2_SUPER_MAGIC:      true,
	unix.V9FS_MAGIC:            true,
	magicCIFS:                  true,
	magicCeph:                  true,
}

// inspect finds out what the file and its file system can do.
func (b *Backend) inspect(cfg *Config, bytes int64) error {
	var fs unix.Statfs_t
	if err := unix.Fstatfs(b.fd, &fs); err != nil {
		return fmt.Errorf("stat the file system of %s: %w", b.path, err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(b.fd, &st); err != nil {
		return fmt.Errorf("stat %s: %w", b.path, err)
	}
	b.device, b.fsBlock = st.Dev, fs.Bsize
	b.about.Async = blockingMagics[int64(uint32(fs.Type))]
	physical := uint32(minPhysicalBytes)
	if n := fs.Bsize; n > minPhysicalBytes && n <= maxPhysicalBytes && n&(n-1) == 0 {
		physical = uint32(n)
	}
	thin := !cfg.ReadOnly && b.canPunch(bytes)
	b.about.Info = blk.Info{
		Bytes: bytes, BlockBytes: cfg.BlockBytes, PhysicalBytes: physical,
		ReadOnly: cfg.ReadOnly, Thin: thin,
		VolatileCache: !cfg.ReadOnly && !cfg.SyncWrites,
	}
	if thin {
		b.about.Info.DiscardBytes = physical
	}
	if cfg.Direct == Off {
		return nil
	}
	if err := b.goDirect(); err != nil {
		if cfg.Direct == On {
			return fmt.Errorf("open %s past the page cache: %w; set direct to auto or off", b.path, err)
		}
		// The probe may have left the flag on.
		return b.setDirect(false)
	}
	b.about.Direct = true
	// Pages that were read and not written would pass for data.
	b.about.Info.Anchors = thin && !b.about.Async && descriptor.Anchors(b.fd)
	return nil
}

// canPunch asks for a hole behind the end of the file, which changes nothing but
// fails where holes are unknown.
func (b *Backend) canPunch(bytes int64) bool {
	return unix.Fallocate(b.fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, bytes, pageBytes) == nil
}

// goDirect turns O_DIRECT on and proves that requests of one logical block work.
func (b *Backend) goDirect() error {
	if err := b.setDirect(true); err != nil {
		return err
	}
	// The file system says it, where it can: a read of a hole proves nothing, as
	// it never reaches the device whose sectors may be larger than our blocks.
	var st unix.Statx_t
	err := unix.Statx(b.fd, "", unix.AT_EMPTY_PATH, unix.STATX_DIOALIGN, &st)
	if err == nil && st.Mask&unix.STATX_DIOALIGN != 0 {
		switch {
		case st.Dio_offset_align == 0:
			return errors.New("the file system cannot")
		case st.Dio_offset_align > b.about.Info.BlockBytes || st.Dio_mem_align > pageBytes:
			return fmt.Errorf("it needs requests aligned to %d bytes and memory to %d, the unit has blocks of %d",
				st.Dio_offset_align, st.Dio_mem_align, b.about.Info.BlockBytes)
		}
	}
	return b.probeRead()
}

// probeRead reads one block at an offset that only its own size divides.
func (b *Backend) probeRead() error {
	mem, err := unix.Mmap(-1, 0, pageBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return fmt.Errorf("map a page: %w", err)
	}
	defer func() { _ = unix.Munmap(mem) }()
	offset := int64(b.about.Info.BlockBytes)
	if offset >= b.about.Info.Bytes {
		offset = 0
	}
	for {
		_, err := unix.Pread(b.fd, mem[:b.about.Info.BlockBytes], offset)
		switch {
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.EAGAIN):
			continue
		case errors.Is(err, unix.EIO):
			// A bad block at the probe is the initiator's business, not ours.
			return nil
		}
		return err
	}
}

func (b *Backend) setDirect(on bool) error {
	flags, err := unix.FcntlInt(uintptr(b.fd), unix.F_GETFL, 0)
	if err != nil {
		return fmt.Errorf("read the flags of %s: %w", b.path, err)
	}
	want := flags &^ unix.O_DIRECT
	if on {
		want |= unix.O_DIRECT
	}
	if want == flags {
		return nil
	}
	if _, err := unix.FcntlInt(uintptr(b.fd), unix.F_SETFL, want); err != nil {
		return fmt.Errorf("set O_DIRECT of %s: %w", b.path, err)
	}
	return nil
}
