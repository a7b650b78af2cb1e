package ram

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"lunar/internal/buf"
)

// TestMove_LikeCopy holds every way of moving against copy: lengths around each
// threshold, any place of a block, and nothing touched beside it.
func TestMove_LikeCopy(t *testing.T) {
	const most = 300 << 10
	rng := rand.New(rand.NewPCG(1, 2))
	from, to := aligned(t, most), aligned(t, most)
	for i := range from {
		from[i] = byte(rng.Uint32())
	}
	lengths := []int{0, 1, 511, 512, stringLeast - 1, stringLeast, 4096, 4608, 16 << 10, 32<<10 - 512, 32 << 10, 32<<10 + 512, 65 << 10, 256 << 10}
	for _, n := range lengths {
		for _, at := range []int{0, 512, 4096, 4096 + 512} {
			for name, move := range map[string]func(dst, src []byte){"load": func(dst, src []byte) { buf.Copy(dst, src) }, "store": store} {
				clear(to)
				move(to[at:at+n], from[1:1+n])
				if !bytes.Equal(to[at:at+n], from[1:1+n]) {
					t.Errorf("%s of %d bytes to %d: wrong bytes", name, n, at)
				}
				if touched(to[:at]) || touched(to[at+n:]) {
					t.Errorf("%s of %d bytes to %d: wrote beside it", name, n, at)
				}
			}
		}
	}
}

// stringLeast stands for the threshold of processors that have one.
const stringLeast = 2048

func touched(p []byte) bool {
	return bytes.ContainsFunc(p, func(r rune) bool { return r != 0 })
}

func aligned(tb testing.TB, n int) []byte {
	tb.Helper()
	m, err := buf.Alloc(n)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := buf.Free(m); err != nil {
			tb.Error(err)
		}
	})
	return m
}

// BenchmarkMove compares the ways of moving with copy, between buffers that stay in
// the cache and random places of a medium that is hot (2 MiB) or cold (128 MiB).
func BenchmarkMove(b *testing.B) {
	ways := []struct {
		name string
		move func(medium, buffer []byte)
	}{
		{"read/copy", func(m, p []byte) { copy(p, m) }},
		{"read/load", func(m, p []byte) { buf.Copy(p, m) }},
		{"write/copy", func(m, p []byte) { copy(m, p) }},
		{"write/store", func(m, p []byte) { store(m, p) }},
	}
	medium := aligned(b, 128<<20)
	for i := range medium {
		medium[i] = byte(i)
	}
	for _, n := range []int{512, 4096, 128 << 10} {
		for _, span := range []int{2 << 20, len(medium)} {
			for _, w := range ways {
				b.Run(fmt.Sprintf("%d/%dMiB/%s", n, span>>20, w.name), func(b *testing.B) {
					benchmarkMove(b, medium[:span], n, w.move)
				})
			}
		}
	}
}

func benchmarkMove(b *testing.B, medium []byte, n int, move func(medium, buffer []byte)) {
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
