package block

import (
	"errors"
	"fmt"

	"lunar/lun/blk"

	"golang.org/x/sys/unix"
)

// minBlockBytes and maxBlockBytes are the logical blocks that a unit may have.
const minBlockBytes, maxBlockBytes = 512, 4096

// inspect is what the device says of itself.
func inspect(fd int, n node, cfg *Config) (blk.Info, error) {
	block, err := blockBytes(fd, cfg.BlockBytes)
	if err != nil {
		return blk.Info{}, err
	}
	if text(n.disk, "queue/zoned") == "host-managed" {
		return blk.Info{}, errors.New("the device has zones that are written in sequence only; use another device")
	}
	size, err := unix.Seek(fd, 0, unix.SEEK_END)
	if err != nil {
		return blk.Info{}, err
	}
	i := blk.Info{
		// What is left over behind the last whole block is not used.
		Bytes: size - size%int64(block), BlockBytes: block, PhysicalBytes: block,
		ReadOnly:   n.readOnly(),
		Rotational: value(n.disk, "queue/rotational") != 0,
	}
	if i.Bytes == 0 {
		return blk.Info{}, fmt.Errorf("the device has %d bytes, not one block; put a medium in, or give it a size", size)
	}
	i.VolatileCache = !i.ReadOnly && !cfg.SyncWrites && text(n.disk, "queue/write_cache") != "write through"
	if p := ioctl(fd, unix.BLKPBSZGET); p > block && p&(p-1) == 0 {
		i.PhysicalBytes = p
		// Misaligned as a whole is -1 to the kernel, and reported as nothing.
		if at := value(n.dir, "alignment_offset"); at < int64(p) {
			i.AlignedBytes = whole(at, block)
		}
	}
	if o := ioctl(fd, unix.BLKIOOPT); o%block == 0 {
		i.OptimalBytes = o
	}
	provision(&i, n)
	return i, nil
}

// provision says whether a discard deallocates. The kernel punches a hole in a device by
// writing zeros with permission to deallocate (blkdev_fallocate), so a range that was
// discarded reads as zeros whatever the device would make of a discard; a device that
// cannot do both keeps its blocks, and has zeros written by whoever asks for a hole.
func provision(i *blk.Info, n node) {
	if i.ReadOnly || value(n.disk, "queue/discard_max_bytes") == 0 || value(n.disk, "queue/write_zeroes_max_bytes") == 0 {
		return
	}
	i.Thin = true
	block := int64(i.BlockBytes)
	granule := max(value(n.disk, "queue/discard_granularity"), block)
	granule += (block - granule%block) % block
	i.DiscardBytes = uint32(min(granule, maxGranule-maxGranule%block))
	if at := value(n.dir, "discard_alignment"); at < granule {
		i.DiscardOffset = whole(at, i.BlockBytes)
	}
}

// maxGranule is the largest granularity that is passed on.
const maxGranule = 1 << 31

// blockBytes is the logical block of the unit: the wanted one, or without one the least of
// those possible that the device takes.
func blockBytes(fd int, want uint32) (uint32, error) {
	has := ioctl(fd, unix.BLKSSZGET)
	switch {
	case has == 0 || has > maxBlockBytes:
		return 0, fmt.Errorf("the device has logical blocks of %d bytes; use one with at most %d", has, maxBlockBytes)
	case want == 0 && has <= minBlockBytes:
		return minBlockBytes, nil
	case want == 0:
		return maxBlockBytes, nil
	case want != minBlockBytes && want != maxBlockBytes:
		return 0, fmt.Errorf("block size is %d bytes; use %d or %d", want, minBlockBytes, maxBlockBytes)
	case want < has:
		return 0, fmt.Errorf("the device has logical blocks of %d bytes and takes none of %d; use bs=%d, or leave it out",
			has, want, maxBlockBytes)
	}
	return want, nil
}

// ioctl is a number that the device has, 0 when it has none. All of them fit.
func ioctl(fd int, request uint) uint32 {
	v, err := unix.IoctlGetUint32(fd, request)
	if err != nil {
		return 0
	}
	return v
}

// whole is n, or 0 when it is no multiple of a block.
func whole(n int64, block uint32) uint32 {
	if n%int64(block) != 0 {
		return 0
	}
	return uint32(n)
}
