package buf

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Trim gives whole pages of b, memory of Alloc, back to the system; they read as
// zeros afterwards.
func Trim(b []byte) error {
	if err := unix.Madvise(b, unix.MADV_DONTNEED); err != nil {
		return fmt.Errorf("give back %d bytes of memory: %w", len(b), err)
	}
	return nil
}
