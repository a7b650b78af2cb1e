package digest

import "hash/crc32"

var table = crc32.MakeTable(crc32.Castagnoli)

// Update continues a CRC32C over p; start with 0.
func Update(crc uint32, p []byte) uint32 { return crc32.Update(crc, table, p) }

// Copy copies src to dst, which is at least as long, and continues a CRC32C over
// it.
func Copy(crc uint32, dst, src []byte) uint32 {
	return Update(crc, dst[:copy(dst, src)])
}
