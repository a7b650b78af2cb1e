package ram

import (
	"lunar/internal/buf"

	"github.com/klauspost/cpuid/v2"
)

var hasStream = cpuid.CPU.Supports(cpuid.AVX2)

//go:noescape
func moveStream(dst, src *byte, n int)

// store copies to the medium. A long piece goes around the caches, where it would
// only replace what is of more use.
func store(dst, src []byte) {
	n := min(len(dst), len(src))
	if n < streamBytes || n%streamStep != 0 || !hasStream {
		buf.Copy(dst, src)
		return
	}
	moveStream(&dst[0], &src[0], n)
}

const (
	// streamBytes is the length from which writing around the caches wins.
	streamBytes = 32 << 10
	// streamStep is what moveStream does at a time. Blocks of a medium start at
	// multiples of 512, so its stores are aligned.
	streamStep = 256
)
