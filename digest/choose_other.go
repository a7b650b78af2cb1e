//go:build !amd64

package digest

import "hash/crc32"

// available lists what this machine can run, the fastest last.
func available() []implementation { return []implementation{portable, standard} }

// fastest needs no look at the processor: hash/crc32 takes the CRC32C
// instructions of ARMv8, POWER, s390x and LoongArch where they are, and slices by
// 8 where they are not.
func fastest() implementation { return standard }

func (i implementation) update(crc uint32, p []byte) uint32 {
	if i == portable {
		return updatePortable(crc, p)
	}
	return crc32.Update(crc, castagnoli, p)
}

// copy expects a dst of the length of src.
func (i implementation) copy(crc uint32, dst, src []byte) uint32 {
	if len(src) <= blockBytes {
		copy(dst, src)
		return i.update(crc, dst)
	}
	return copyBlocks(i, crc, dst, src)
}
