package buf

import (
	"testing"
	"unsafe"

	"lunar/internal/invariant"
)

func TestIovec_MatchesTheKernel(t *testing.T) {
	var v Iovec
	if unsafe.Sizeof(v) != 16 || unsafe.Offsetof(v.Len) != 8 {
		t.Errorf("Iovec is %d bytes with Len at %d; want 16 and 8", unsafe.Sizeof(v), unsafe.Offsetof(v.Len))
	}
}

func TestIovec_AdvanceAndBytes(t *testing.T) {
	b := alloc(t, 100)
	copy(b, "0123456789")
	v := IovecOf(b[:10])
	v.Advance(4)
	if got := string(v.Bytes()); got != "456789" {
		t.Errorf("after Advance(4): %q", got)
	}
	v.Advance(6)
	if v.Bytes() != nil {
		t.Error("an empty Iovec has bytes")
	}
}

func TestAlloc_AlignedAndZero(t *testing.T) {
	b := alloc(t, 5000)
	if len(b) != 5000 || uintptr(unsafe.Pointer(&b[0]))%pageBytes != 0 {
		t.Errorf("%d bytes at %p", len(b), &b[0])
	}
	for i, c := range b {
		if c != 0 {
			t.Fatalf("byte %d is %#x", i, c)
		}
	}
}

func TestAlloc_RefusesWhatIsNoSize(t *testing.T) {
	if _, err := Alloc(0); err == nil {
		t.Error("mapped nothing")
	}
	if _, err := AllocSlice[uint64](-1); err == nil {
		t.Error("made a slab of -1")
	}
	if _, err := AllocSlice[struct{}](1); err == nil {
		t.Error("made a slab of nothing")
	}
	b := alloc(t, 2*pageBytes)
	if Free(b[1:]) == nil {
		t.Error("freed the inside of a mapping")
	}
}

func TestAllocSlice_HoldsValues(t *testing.T) {
	type record struct {
		a uint64
		b [3]int16
	}
	s, err := AllocSlice[record](1000)
	if err != nil {
		t.Fatal(err)
	}
	s[999] = record{7, [3]int16{1, 2, 3}}
	if s[999].b[2] != 3 || s[0] != (record{}) {
		t.Errorf("%+v, %+v", s[999], s[0])
	}
	if err := FreeSlice(s); err != nil {
		t.Error(err)
	}
}

func TestAllocSlice_PanicsOnPointers(t *testing.T) {
	refuses[*int](t)
	refuses[string](t)
	refuses[struct{ inner [2]struct{ p []byte } }](t)
	refuses[any](t)
	refuses[unsafe.Pointer](t)
}

func refuses[T any](t *testing.T) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Errorf("made a slab of %T", *new(T))
		}
	}()
	AllocSlice[T](1)
}

func TestPool_Get_TakesTheSmallestThatIsFree(t *testing.T) {
	p := pool(t, Class{4096, 1}, Class{16384, 2})
	if p.Bytes() != 36864 || p.Free() != 36864 {
		t.Errorf("%d of %d bytes free", p.Free(), p.Bytes())
	}
	var held []*Buf
	for _, want := range []int{4096, 16384, 16384} {
		b := p.Get(100)
		if b == nil || len(b.Bytes()) != want {
			t.Fatalf("got %v, want %d bytes", b, want)
		}
		held = append(held, b)
	}
	if p.Get(1) != nil || p.Free() != 0 {
		t.Error("an empty pool lent a buffer")
	}
	held[0].Release()
	if p.Get(4097) != nil {
		t.Error("a buffer was lent that is too small")
	}
	for _, b := range held[1:] {
		b.Release()
	}
	if p.Get(16385) != nil {
		t.Error("a buffer was lent that exceeds the largest class")
	}
}

func TestPool_Buffers_AreAlignedAndApart(t *testing.T) {
	p := pool(t, Class{512, 4}, Class{5000, 4})
	seen := map[uintptr]bool{}
	for range 8 {
		b := p.Get(1)
		at := uintptr(unsafe.Pointer(&b.Bytes()[0]))
		if at%pageBytes != 0 || seen[at] || cap(b.Bytes()) != len(b.Bytes()) {
			t.Errorf("buffer at %#x, capacity %d of %d", at, cap(b.Bytes()), len(b.Bytes()))
		}
		seen[at] = true
		defer b.Release()
	}
}

func TestBuf_LastRelease_ReturnsIt(t *testing.T) {
	p := pool(t, Class{4096, 1})
	b := p.Get(1)
	generation := b.Generation()
	b.Retain()
	b.Release()
	if p.Get(1) != nil || b.Generation() != generation {
		t.Fatal("a retained buffer was given back")
	}
	b.Release()
	if p.Free() != p.Bytes() || b.Generation() == generation {
		t.Fatal("a released buffer was not given back")
	}
}

func TestBuf_ReleaseTooOften(t *testing.T) {
	p := pool(t, Class{4096, 1})
	b := p.Get(1)
	b.Release()
	func() {
		defer func() {
			if (recover() != nil) != invariant.Enabled {
				t.Error("the check does not follow the build tag")
			}
		}()
		b.Release()
	}()
	if p.Get(1) == nil {
		t.Error("the buffer is gone")
	}
	if p.Get(1) != nil {
		t.Error("one buffer was lent twice")
	}
	b.Release()
}

func TestBuf_Poison_ShowsUseAfterRelease(t *testing.T) {
	p := pool(t, Class{4096, 1})
	p.poison = true
	b := p.Get(1)
	old := b.Bytes()
	b.Release()
	if old[0] != poisonByte || old[4095] != poisonByte {
		t.Errorf("released memory reads %#x … %#x", old[0], old[4095])
	}
	if !intact(old) {
		t.Error("released memory counts as written")
	}
	old[7] = 1
	if intact(old) {
		t.Error("a write after release went unseen")
	}
	old[7] = poisonByte
}

func TestPool_Close_RefusesWhileLent(t *testing.T) {
	p, err := NewPool(Class{4096, 2})
	if err != nil {
		t.Fatal(err)
	}
	b := p.Get(1)
	if p.Close() == nil {
		t.Fatal("closed under a holder")
	}
	b.Release()
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if p.Get(1) != nil {
		t.Error("a closed pool lent a buffer")
	}
}

func TestNewPool_RefusesBadClasses(t *testing.T) {
	for _, classes := range [][]Class{{}, {{4096, 0}}, {{0, 1}}, {{8192, 1}, {4096, 1}}, {{4096, 1}, {4096, 1}}} {
		if _, err := NewPool(classes...); err == nil {
			t.Errorf("%v was accepted", classes)
		}
	}
}

func TestPool_NoAllocation(t *testing.T) {
	p := pool(t, Class{4096, 8})
	n := testing.AllocsPerRun(100, func() {
		b := p.Get(4096)
		b.Retain()
		b.Release()
		b.Release()
	})
	if n != 0 {
		t.Errorf("%v allocations per buffer", n)
	}
}

func BenchmarkPool_GetRelease(b *testing.B) {
	p, err := NewPool(Class{4096, 8})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		p.Get(4096).Release()
	}
}

func alloc(t *testing.T, n int) []byte {
	t.Helper()
	b, err := Alloc(n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := Free(b); err != nil {
			t.Error(err)
		}
	})
	return b
}

func pool(t *testing.T, classes ...Class) *Pool {
	t.Helper()
	p, err := NewPool(classes...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Every split of three pieces leaves exactly the bytes behind it, an empty piece
// among them.
func TestDrop(t *testing.T) {
	b := alloc(t, 100)
	const all = "0123456789"
	copy(b, all)
	for n := range len(all) + 1 {
		iov := []Iovec{IovecOf(b[:3]), IovecOf(b[3:3]), IovecOf(b[3:7]), IovecOf(b[7:10])}
		got := ""
		for _, v := range Drop(iov, n) {
			got += string(v.Bytes())
		}
		if got != all[n:] {
			t.Errorf("after %d bytes: %q", n, got)
		}
	}
}
