package ram

import "github.com/klauspost/cpuid/v2"

var (
	// hasString: the processor moves strings of any alignment at the speed of whole
	// cache lines (ERMS) and does not read lines that it will overwrite.
	hasString = cpuid.CPU.Supports(cpuid.ERMS)
	hasStream = cpuid.CPU.Supports(cpuid.AVX2)
)

//go:noescape
func moveString(dst, src *byte, n int)

//go:noescape
func moveStream(dst, src *byte, n int)

// load copies from the medium. A medium is larger than the caches, so most of what
// is read comes from memory; there the processor's own string move is a quarter
// faster than copy for a 4 KiB block, and no slower for a long or a cached one
// (BenchmarkMove).
func load(dst, src []byte) {
	n := min(len(dst), len(src))
	if n < stringBytes || !hasString {
		copy(dst, src)
		return
	}
	moveString(&dst[0], &src[0], n)
}

// store copies to the medium. A string move does not fetch the lines that it
// overwrites, which copy does; a long piece goes around the caches altogether,
// where it would only replace what is of more use.
func store(dst, src []byte) {
	n := min(len(dst), len(src))
	switch {
	case n >= streamBytes && n%streamStep == 0 && hasStream:
		moveStream(&dst[0], &src[0], n)
	case n >= stringBytes && hasString:
		moveString(&dst[0], &src[0], n)
	default:
		copy(dst, src)
	}
}

const (
	// stringBytes is the length from which a string move pays for its start-up.
	stringBytes = 2048
	// streamBytes is the length from which writing around the caches wins.
	streamBytes = 32 << 10
	// streamStep is what moveStream does at a time. Blocks of a medium start at
	// multiples of 512, so its stores are aligned.
	streamStep = 256
)
