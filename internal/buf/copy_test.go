package buf

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestCopy_LikeCopy holds Copy against copy: lengths around the threshold, any place
// of a block, slices of different length, and nothing touched beside it.
func TestCopy_LikeCopy(t *testing.T) {
	const most = 300 << 10
	rng := rand.New(rand.NewPCG(1, 2))
	from, to := aligned(t, most), aligned(t, most)
	for i := range from {
		from[i] = byte(rng.Uint32())
	}
	for _, n := range []int{0, 1, 511, 512, 2047, 2048, 2049, 4096, 4608, 64 << 10, 65<<10 + 3, 256 << 10} {
		for _, at := range []int{0, 1, 512, 4096, 4096 + 512} {
			clear(to)
			if got := Copy(to[at:at+n], from[1:]); got != n {
				t.Errorf("%d bytes to %d: it says %d", n, at, got)
			}
			if !bytes.Equal(to[at:at+n], from[1:1+n]) {
				t.Errorf("%d bytes to %d: wrong bytes", n, at)
			}
			if touched(to[:at]) || touched(to[at+n:]) {
				t.Errorf("%d bytes to %d: wrote beside it", n, at)
			}
			if got := Copy(to, from[:n]); got != n {
				t.Errorf("%d bytes to more: it says %d", n, got)
			}
		}
	}
}

func touched(p []byte) bool {
	return bytes.ContainsFunc(p, func(r rune) bool { return r != 0 })
}

func aligned(tb testing.TB, n int) []byte {
	tb.Helper()
	m, err := Alloc(n)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := Free(m); err != nil {
			tb.Error(err)
		}
	})
	return m
}

// BenchmarkCopy compares Copy with copy, between buffers that stay in
// the cache and random places of a medium that is hot (2 MiB) or cold (128 MiB).
func BenchmarkCopy(b *testing.B) {
	ways := []struct {
		name string
		move func(medium, buffer []byte)
	}{
		{"read/copy", func(m, p []byte) { copy(p, m) }},
		{"read/Copy", func(m, p []byte) { Copy(p, m) }},
		{"write/copy", func(m, p []byte) { copy(m, p) }},
		{"write/Copy", func(m, p []byte) { Copy(m, p) }},
	}
	medium := aligned(b, 128<<20)
	for i := range medium {
		medium[i] = byte(i)
	}
	for _, n := range []int{512, 4096, 128 << 10} {
		for _, span := range []int{2 << 20, len(medium)} {
			for _, w := range ways {
				b.Run(fmt.Sprintf("%d/%dMiB/%s", n, span>>20, w.name), func(b *testing.B) {
					benchmarkCopy(b, medium[:span], n, w.move)
				})
			}
		}
	}
}

func benchmarkCopy(b *testing.B, medium []byte, n int, move func(medium, buffer []byte)) {
	rng := rand.New(rand.NewPCG(3, 4))
	places := make([]int, 1<<14)
	for i := range places {
		places[i] = rng.IntN(len(medium)/n) * n
	}
	buffers := aligned(b, 8*n)
	b.SetBytes(int64(n))
	for i := 0; b.Loop(); i++ {
		at := places[i%len(places)]
		move(medium[at:at+n], buffers[i%8*n:][:n])
	}
}
