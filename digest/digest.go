package digest

import "hash/crc32"

// implementation is one way to compute a CRC32C. All of them give the same
// result; they differ in the machines they need and in speed.
type implementation uint8

const (
	portable implementation = iota // slicing by 8, on every machine
	standard                       // hash/crc32, which uses ARMv8, POWER and s390x instructions
	serial                         // amd64 with SSE4.2: CRC32Q, and hash/crc32 for the long ones
	folding                        // amd64 with AVX-512 and VPCLMULQDQ
)

// chosen is fixed when the program starts. It is a number and not a function
// value, so that the branch is predicted and nothing is called through memory.
var chosen = fastest()

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Update continues a CRC32C over p; start with 0.
func Update(crc uint32, p []byte) uint32 { return chosen.update(crc, p) }

// Copy copies src to dst and continues a CRC32C over it, reading the bytes once.
// dst is at least as long as src, or Copy panics, and the two do not overlap.
// Bytes of dst behind len(src) stay as they are.
func Copy(crc uint32, dst, src []byte) uint32 {
	return chosen.copy(crc, dst[:len(src):len(dst)], src)
}

// blockBytes is what is copied before it is read again for its CRC: source and
// destination of a block are together half of the smallest level 1 cache in use,
// 32 KiB, and the second pass finds both there.
const blockBytes = 8192

// copyBlocks is Copy for implementations that cannot copy by themselves.
func copyBlocks(i implementation, crc uint32, dst, src []byte) uint32 {
	for len(src) > blockBytes {
		crc = i.update(crc, dst[:copy(dst, src[:blockBytes])])
		dst, src = dst[blockBytes:], src[blockBytes:]
	}
	return i.update(crc, dst[:copy(dst, src)])
}
