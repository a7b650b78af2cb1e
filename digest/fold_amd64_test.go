package digest

import (
	"reflect"
	"testing"
)

// TestFoldConstants_Layout pins the offsets that crc32c_amd64.s knows as BY2048 to
// LANES.
func TestFoldConstants_Layout(t *testing.T) {
	c := reflect.TypeOf(foldConstants)
	for name, want := range map[string]uintptr{"by2048": 0, "by1536": 16, "by1024": 32, "by512": 48, "lanes": 64} {
		if f, ok := c.FieldByName(name); !ok || f.Offset != want {
			t.Errorf("%s at %d, want %d", name, f.Offset, want)
		}
	}
	if c.Size() != 128 {
		t.Errorf("%d bytes, want 128", c.Size())
	}
}

// TestFold_BelowTheThreshold covers lengths that Update leaves to run, so that
// the threshold may move.
func TestFold_BelowTheThreshold(t *testing.T) {
	if available()[len(available())-1] != folding {
		t.Skip("needs AVX-512 and VPCLMULQDQ")
	}
	p, q := noise(foldFrom), make([]byte, foldFrom)
	for n := vector; n < len(p); n++ {
		want := ^updatePortable(0, p[:n])
		if got := fold(^uint32(0), p[:n]); got != want {
			t.Errorf("%d bytes: %#08x, want %#08x", n, got, want)
		}
		clear(q)
		if got := foldCopy(^uint32(0), q[:n], p[:n]); got != want || string(q[:n]) != string(p[:n]) {
			t.Errorf("copy of %d bytes: %#08x, want %#08x", n, got, want)
		}
	}
}

// TestRun_AboveTheThreshold does the same for the chain.
func TestRun_AboveTheThreshold(t *testing.T) {
	if available()[len(available())-1] < serial {
		t.Skip("needs SSE4.2")
	}
	p, q := noise(2*standardFrom), make([]byte, 2*standardFrom)
	for n := standardFrom; n < len(p); n++ {
		want := ^updatePortable(0, p[:n])
		clear(q)
		if run(^uint32(0), p[:n]) != want || runCopy(^uint32(0), q[:n], p[:n]) != want || string(q[:n]) != string(p[:n]) {
			t.Errorf("%d bytes differ", n)
		}
	}
}
