package digest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
)

func (i implementation) String() string {
	return [...]string{"portable", "standard", "serial", "folding"}[i]
}

// noise is the same for every run.
func noise(n int) []byte {
	r := rand.New(rand.NewPCG(3720, uint64(n)))
	p := make([]byte, (n+7)&^7)
	for i := 0; i < n; i += 8 {
		binary.LittleEndian.PutUint64(p[i:], r.Uint64())
	}
	return p[:n]
}

// bitwise divides bit by bit, as RFC 3720 §12.1 defines it and nothing else here
// does.
func bitwise(crc uint32, p []byte) uint32 {
	const reflected = 0x82f63b78
	crc = ^crc
	for _, b := range p {
		crc ^= uint32(b)
		for range 8 {
			crc = crc>>1 ^ crc&1*reflected
		}
	}
	return ^crc
}

func TestPortable_IsTheDivision(t *testing.T) {
	p := noise(300)
	for n := range p {
		if got, want := updatePortable(0x12345678, p[:n]), bitwise(0x12345678, p[:n]); got != want {
			t.Fatalf("%d bytes: %#08x, want %#08x", n, got, want)
		}
	}
}

// TestPower_IsWhatOneBitLeaves: the bit x⁰ of a byte is its highest, and k bytes
// that follow make it x⁸ᵏ, which is counted 32 powers higher.
func TestPower_IsWhatOneBitLeaves(t *testing.T) {
	p := make([]byte, 260)
	p[0] = 0x80
	for k := range len(p) {
		if got, want := power(32+8*k), ^bitwise(^uint32(0), p[:k+1]); got != want {
			t.Errorf("x^%d: %#08x, want %#08x", 32+8*k, got, want)
		}
	}
}

const (
	longest = 4096 // bytes, every length up to it is tried
	vector  = 64   // bytes, alignments are counted within it
)

// alignments are all of a vector, or some that differ in kind with -short.
func alignments() []int {
	if testing.Short() {
		return []int{0, 1, 8, 48, 63}
	}
	all := make([]int, vector)
	for i := range all {
		all[i] = i
	}
	return all
}

// prefixes gives the CRC of every prefix of p.
func prefixes(crc uint32, p []byte) []uint32 {
	all := []uint32{crc}
	for n := range p {
		crc = updatePortable(crc, p[n:n+1])
		all = append(all, crc)
	}
	return all
}

// mapped is memory with unmapped pages directly before and, from a multiple of the
// page size on, behind it: reading outside ends the test.
func mapped(t *testing.T, n int) []byte {
	t.Helper()
	page := syscall.Getpagesize()
	size := (n + page - 1) / page * page
	m, err := syscall.Mmap(-1, 0, size+2*page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Munmap(m) })
	for _, guard := range [][]byte{m[:page], m[page+size:]} {
		if err := syscall.Mprotect(guard, syscall.PROT_NONE); err != nil {
			t.Fatal(err)
		}
	}
	return m[page : page+size]
}

// filled has the bytes of p from the start of a page on, and so of a vector.
func filled(t *testing.T, p []byte) []byte {
	t.Helper()
	m := mapped(t, len(p))
	return m[:copy(m, p)]
}

func each(t *testing.T, f func(t *testing.T, i implementation)) {
	for _, i := range available() {
		t.Run(i.String(), func(t *testing.T) { f(t, i) })
	}
}

func TestUpdate_EveryLengthAndAlignment(t *testing.T) {
	p := filled(t, noise(longest+vector))
	each(t, func(t *testing.T, i implementation) {
		for _, a := range alignments() {
			const start = 0xdeadbeef
			for n, want := range prefixes(start, p[a:a+longest]) {
				if got := i.update(start, p[a:a+n]); got != want {
					t.Fatalf("%d bytes at %d: %#08x, want %#08x", n, a, got, want)
				}
			}
		}
	})
}

// TestCopy_EveryLengthAndAlignment walks through the pairs of alignments with the
// lengths: every length meets each alignment of the source with one of the
// destination.
func TestCopy_EveryLengthAndAlignment(t *testing.T) {
	src := filled(t, noise(longest+vector))
	before := bytes.Clone(src)
	blank := bytes.Repeat([]byte{0xa5}, longest+3*vector)
	dst := filled(t, blank)
	each(t, func(t *testing.T, i implementation) {
		for _, a := range alignments() {
			const start = 0x1badf00d
			for n, want := range prefixes(start, src[a:a+longest]) {
				to := vector + (n*5+a*11)%vector
				if got := i.copy(start, dst[to:to+n], src[a:a+n]); got != want {
					t.Fatalf("%d bytes from %d to %d: %#08x, want %#08x", n, a, to, got, want)
				}
				around := !bytes.Equal(dst[:to], blank[:to]) || !bytes.Equal(dst[to+n:], blank[to+n:])
				if around || !bytes.Equal(dst[to:to+n], src[a:a+n]) {
					t.Fatalf("%d bytes from %d to %d: written wrongly", n, a, to)
				}
				copy(dst[to:to+n], blank)
			}
		}
	})
	if !bytes.Equal(src, before) {
		t.Fatal("the source was written")
	}
}

// TestEdgeOfMemory lets inputs begin and end where pages do that may not be
// touched.
func TestEdgeOfMemory(t *testing.T) {
	src, dst := mapped(t, longest), mapped(t, longest)
	copy(src, noise(len(src)))
	each(t, func(t *testing.T, i implementation) {
		for n := range longest + 1 {
			for _, from := range []int{0, len(src) - n} {
				p, q := src[from:from+n], dst[from:from+n]
				want := updatePortable(0, p)
				if got := i.update(0, p); got != want {
					t.Fatalf("%d bytes: %#08x, want %#08x", n, got, want)
				}
				if got := i.copy(0, q, p); got != want || !bytes.Equal(p, q) {
					t.Fatalf("copy of %d bytes: %#08x, want %#08x", n, got, want)
				}
			}
		}
	})
}

// TestUpdate_Long covers the long loops, and blocks of copies.
func TestUpdate_Long(t *testing.T) {
	p := noise(1<<20 + 77)
	q := make([]byte, len(p))
	each(t, func(t *testing.T, i implementation) {
		for _, n := range []int{blockBytes - 1, blockBytes, blockBytes + 1, 3*blockBytes + 5, 65536, 1 << 20, len(p)} {
			want := updatePortable(7, p[:n])
			if got := i.update(7, p[:n]); got != want {
				t.Fatalf("%d bytes: %#08x, want %#08x", n, got, want)
			}
			clear(q)
			if got := i.copy(7, q[:n], p[:n]); got != want || !bytes.Equal(q[:n], p[:n]) {
				t.Fatalf("copy of %d bytes: %#08x, want %#08x", n, got, want)
			}
		}
	})
}

func TestUpdate_SplitAnywhere(t *testing.T) {
	p := noise(1500)
	want := updatePortable(0, p)
	each(t, func(t *testing.T, i implementation) {
		for cut := range p {
			if got := i.update(i.update(0, p[:cut]), p[cut:]); got != want {
				t.Fatalf("split at %d: %#08x, want %#08x", cut, got, want)
			}
		}
	})
}

// FuzzUpdate holds all implementations to the portable one, in two parts and from
// any alignment.
func FuzzUpdate(f *testing.F) {
	for _, border := range []int{0, 8, 48, 64, 128, 256, 320, 504, 512, 4096, blockBytes} {
		for n := max(border-1, 0); n <= border+1; n++ {
			f.Add(noise(n), uint16(n/3), uint8(n), uint32(n))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, cut uint16, offset uint8, crc uint32) {
		p := append(make([]byte, offset), data...)[offset:]
		at := min(int(cut), len(p))
		want := updatePortable(crc, p)
		for _, i := range available() {
			if got := i.update(i.update(crc, p[:at]), p[at:]); got != want {
				t.Errorf("%s: %#08x, want %#08x", i, got, want)
			}
			q := make([]byte, len(p)+1)
			got := i.copy(i.copy(crc, q[:at], p[:at]), q[at:len(p)], p[at:])
			if got != want || !bytes.Equal(q[:len(p)], p) || q[len(p)] != 0 {
				t.Errorf("copy by %s: %#08x, want %#08x", i, got, want)
			}
		}
	})
}

func TestCopy_ShortDestination_Panics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Fatal("copied to a destination that is too short")
		}
	}()
	Copy(0, make([]byte, 7, 8), make([]byte, 8))
}

func TestAllocatesNothing(t *testing.T) {
	p, q := noise(5000), make([]byte, 5000)
	for _, n := range []int{0, 48, 300, 5000} {
		got := testing.AllocsPerRun(10, func() { Copy(Update(0, p[:n]), q, p[:n]) })
		if got != 0 {
			t.Errorf("%d bytes: %v allocations", n, got)
		}
	}
}

func ExampleUpdate() {
	fmt.Printf("%#08x\n", Update(Update(0, []byte("12345")), []byte("6789")))
	// Output: 0xe3069283
}
