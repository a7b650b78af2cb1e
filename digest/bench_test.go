package digest

import (
	"fmt"
	"testing"
)

var sizes = []int{48, 512, 4096, 65536, 1 << 20} // bytes

// benchmark runs f at every size with every implementation in the place of the
// chosen one. The source begins where a data segment does in a receive buffer,
// behind a header.
func benchmark(b *testing.B, f func(dst, src []byte)) {
	defer func(i implementation) { chosen = i }(chosen)
	for _, chosen = range available() {
		for _, n := range sizes {
			src, dst := noise(n + 48)[48:], make([]byte, n)
			b.Run(fmt.Sprintf("%s/%d", chosen, n), func(b *testing.B) {
				b.SetBytes(int64(n))
				for b.Loop() {
					f(dst, src)
				}
			})
		}
	}
}

func BenchmarkUpdate(b *testing.B) {
	benchmark(b, func(_, src []byte) { Update(0, src) })
}

func BenchmarkCopy(b *testing.B) {
	benchmark(b, func(dst, src []byte) { Copy(0, dst, src) })
}

func BenchmarkCopyThenUpdate(b *testing.B) {
	benchmark(b, func(dst, src []byte) { Update(0, dst[:copy(dst, src)]) })
}
