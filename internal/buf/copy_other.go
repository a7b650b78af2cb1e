//go:build !amd64

package buf

// Copy is copy.
func Copy(dst, src []byte) int { return copy(dst, src) }
