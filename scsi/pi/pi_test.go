package pi

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

func sequence(n int, at func(i int) byte) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = at(i)
	}
	return b
}

// The first five are the examples of SBC-4 annex, the last one is the check value that
// catalogues of CRCs name.
func TestCRC_KnownVectors(t *testing.T) {
	for name, k := range map[string]struct {
		data []byte
		want uint16
	}{
		"zeros":      {make([]byte, 32), 0x0000},
		"ones":       {sequence(32, func(int) byte { return 0xff }), 0xa293},
		"increasing": {sequence(32, func(i int) byte { return byte(i) }), 0x0224},
		"two ones":   {append([]byte{0xff, 0xff}, make([]byte, 30)...), 0x21b8},
		"decreasing": {sequence(32, func(i int) byte { return byte(0xff - i) }), 0xa0b7},
		"check":      {[]byte("123456789"), 0xd0db},
	} {
		if got := CRC(k.data); got != k.want {
			t.Errorf("%s: %04x, want %04x", name, got, k.want)
		}
	}
}

// Whatever the length, sixteen bytes at once give what the definition gives bit by bit.
func TestCRC_IsTheRemainder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		data := rapid.SliceOfN(rapid.Byte(), 0, 100).Draw(t, "data")
		r := uint32(0)
		for _, c := range append(bytes.Clone(data), 0, 0) {
			for bit := 7; bit >= 0; bit-- {
				if r = r<<1 | uint32(c>>bit&1); r&0x10000 != 0 {
					r ^= 0x10000 | polynomial
				}
			}
		}
		if got := CRC(data); got != uint16(r) {
			t.Fatalf("%04x, want %04x", got, r)
		}
	})
}

func TestGenerate_ByType(t *testing.T) {
	data := append(make([]byte, 512), sequence(512, func(int) byte { return 0xff })...)
	for _, k := range []struct {
		f         Format
		tag       uint16
		reference [2]uint32
	}{
		{Format{Type: Type1}, 0, [2]uint32{0xffffffff, 0}},
		{Format{Type: Type2}, 0xffff, [2]uint32{0xffffffff, 0xffffffff}},
		{Format{Type: Type3}, 0, [2]uint32{0xffffffff, 0xffffffff}},
		{Format{Type: Type1, Owned: true}, 0xffff, [2]uint32{0xffffffff, 0}},
		{Format{Type: Type3, Owned: true}, 0xffff, [2]uint32{0xffffffff, 0xffffffff}},
	} {
		var b [2 * Bytes]byte
		k.f.Generate(b[:], data, 512, 0x5ffffffff)
		for n := range 2 {
			got, want := Get(b[n*Bytes:]), Tuple{CRC(data[n*512:][:512]), k.tag, k.reference[n]}
			if got != want {
				t.Errorf("%+v, block %d: %+v, want %+v", k.f, n, got, want)
			}
		}
		e := k.f.Plain(0x5ffffffff)
		if n, wrong := e.Verify(b[:], data, 512); wrong != 0 {
			t.Errorf("%+v: what was generated is wrong in block %d, field %d", k.f, n, wrong)
		}
	}
}

func TestVerify_FindsEachField(t *testing.T) {
	data := sequence(3*512, func(i int) byte { return byte(i / 3) })
	var right [3 * Bytes]byte
	for n := range 3 {
		Tuple{CRC(data[n*512:][:512]), 0x1234, 0xffffffff + uint32(n)}.Put(right[n*Bytes:])
	}
	expect := func(kind Type, c Checks) Expect { return Expect{kind, c, 0xffffffff, 0x1034, 0xf0ff} }
	for name, k := range map[string]struct {
		at, value int // a byte of the tuples that is another one
		e         Expect
		block     int
		wrong     Checks
	}{
		"right":                 {0, int(right[0]), expect(Type2, All), 0, 0},
		"guard":                 {8, int(right[8]) ^ 1, expect(Type2, All), 1, Guard},
		"guard, not checked":    {8, int(right[8]) ^ 1, expect(Type2, Application|Reference), 0, 0},
		"application":           {19, 0x35, expect(Type2, All), 2, Application},
		"application, masked":   {18, 0x14, expect(Type2, All), 0, 0},
		"application, no check": {19, 0x35, expect(Type2, Guard|Reference), 0, 0},
		"reference":             {7, 0xfe, expect(Type2, All), 0, Reference},
		"reference, behind":     {23, 2, expect(Type2, Reference), 2, Reference},
		"reference, no check":   {7, 0xfe, expect(Type2, Guard|Application), 0, 0},
	} {
		b := bytes.Clone(right[:])
		b[k.at] = byte(k.value)
		if n, wrong := k.e.Verify(b, data, 512); n != k.block || wrong != k.wrong {
			t.Errorf("%s: block %d, field %d", name, n, wrong)
		}
	}
}

// FFFFh as application tag keeps a block from being checked; of type 3 only with FFFF_FFFFh
// as reference tag (SBC-4 §4.21.3).
func TestVerify_EscapedIsNotChecked(t *testing.T) {
	data := make([]byte, 512)
	for _, k := range []struct {
		tuple Tuple
		of    Type
		wrong Checks
	}{
		{Tuple{1, 0xffff, 5}, Type1, 0},
		{Tuple{1, 0xffff, 5}, Type2, 0},
		{Tuple{1, 0xffff, 5}, Type3, Guard},
		{Tuple{1, 0xffff, 0xffffffff}, Type3, 0},
		{Tuple{1, 0xfffe, 0xffffffff}, Type1, Guard},
	} {
		var b [Bytes]byte
		k.tuple.Put(b[:])
		e := Expect{Type: k.of, Checks: All, Mask: 0xffff}
		if _, wrong := e.Verify(b[:], data, 512); wrong != k.wrong {
			t.Errorf("%+v of type %d: field %d, want %d", k.tuple, k.of, wrong, k.wrong)
		}
	}
}

func TestInvert(t *testing.T) {
	b := sequence(3*Bytes, func(i int) byte { return byte(i) })
	Invert(b)
	for i := range b {
		if b[i] != ^byte(i) {
			t.Fatalf("byte %d: %02x", i, b[i])
		}
	}
}

func TestPI_NoAllocation(t *testing.T) {
	data, tuples := make([]byte, 64<<10), make([]byte, 128*Bytes)
	f := Format{Type: Type1}
	if n := testing.AllocsPerRun(100, func() {
		f.Generate(tuples, data, 512, 7)
		e := f.Plain(7)
		if _, wrong := e.Verify(tuples, data, 512); wrong != 0 {
			t.Fatal("wrong")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkCRC(b *testing.B) {
	data := make([]byte, 4096)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		CRC(data)
	}
}
