package digest

import (
	"hash/crc32"

	"github.com/klauspost/cpuid/v2"
)

// Where an implementation takes over from the one for short inputs, in bytes.
const (
	foldFrom     = 128 // measured; 64 and 96 are a draw, and fewer fill no vector
	standardFrom = 504 // hash/crc32 runs three CRC32Q side by side from here
)

// available lists what this machine can run, the fastest last. cpuid reports
// AVX-512 only when the operating system saves its registers too.
func available() []implementation {
	a := []implementation{portable, standard}
	if cpuid.CPU.Supports(cpuid.SSE42) {
		a = append(a, serial)
		if cpuid.CPU.Supports(cpuid.AVX512F, cpuid.AVX512VL, cpuid.VPCLMULQDQ) {
			a = append(a, folding)
		}
	}
	return a
}

// fastest is never portable: without SSE4.2 hash/crc32 slices by 8 as well.
func fastest() implementation {
	a := available()
	return a[len(a)-1]
}

func (i implementation) update(crc uint32, p []byte) uint32 {
	switch {
	case i == folding && len(p) >= foldFrom:
		return ^fold(^crc, p)
	case i >= serial && len(p) < standardFrom:
		return ^run(^crc, p)
	case i >= standard:
		return crc32.Update(crc, castagnoli, p)
	default:
		return updatePortable(crc, p)
	}
}

// copy expects a dst of the length of src: the assembly checks no bounds.
func (i implementation) copy(crc uint32, dst, src []byte) uint32 {
	switch {
	case i == folding && len(src) >= foldFrom:
		return ^foldCopy(^crc, dst, src)
	case i >= serial && len(src) < standardFrom:
		return ^runCopy(^crc, dst, src)
	default:
		return copyBlocks(i, crc, dst, src)
	}
}

// multipliers are the constants of the folding, derived in doc.go: for a distance
// of d bits, x^(d+31) for the low and x^(d-33) for the high half of a lane.
type multipliers [2]uint64

func multipliersFor(distanceBits int) multipliers {
	return multipliers{uint64(power(distanceBits + 31)), uint64(power(distanceBits - 33))}
}

// constants is what fold_amd64.s reads; the order is the order of its offsets.
type constants struct {
	by2048, by1536, by1024, by512 multipliers // distances of four, three, two vectors and one
	// lanes moves the first three lanes of a vector onto its last one, which takes
	// part with zeros: it stays where it is.
	lanes [4]multipliers
}

var foldConstants = constants{
	by2048: multipliersFor(2048),
	by1536: multipliersFor(1536),
	by1024: multipliersFor(1024),
	by512:  multipliersFor(512),
	lanes:  [4]multipliers{multipliersFor(384), multipliersFor(256), multipliersFor(128), {}},
}

// The functions in assembly continue a remainder that is not inverted, and do
// not keep their arguments.

// fold needs at least 64 bytes.
//
//go:noescape
func fold(remainder uint32, p []byte) uint32

// foldCopy needs at least 64 bytes, and a dst of that length.
//
//go:noescape
func foldCopy(remainder uint32, dst, src []byte) uint32

//go:noescape
func run(remainder uint32, p []byte) uint32

//go:noescape
func runCopy(remainder uint32, dst, src []byte) uint32
