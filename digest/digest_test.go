package digest

import (
	"encoding/binary"
	"encoding/hex"
	"testing"

	"lunar/internal/conform"
)

// TestUpdate_Vectors are the five of RFC 3720 appendix B.4, digests as they stand
// on the wire.
func TestUpdate_Vectors(t *testing.T) {
	conform.Covers(t, "R-12.1-4")
	up, down := make([]byte, 32), make([]byte, 32)
	ones := make([]byte, 32)
	for i := range up {
		up[i], down[i], ones[i] = byte(i), byte(31-i), 0xff
	}
	read, _ := hex.DecodeString(
		"01c00000" + "00000000" + "00000000" + "00000000" + "14000000" + "00000400" +
			"00000014" + "00000018" + "28000000" + "00000000" + "02000000" + "00000000")
	for _, c := range []struct {
		name string
		in   []byte
		wire string
	}{
		{"zeros", make([]byte, 32), "aa36918a"},
		{"ones", ones, "43aba862"},
		{"up", up, "4e79dd46"},
		{"down", down, "5cdb3f11"},
		{"READ(10)", read, "563a96d9"},
	} {
		for _, i := range available() {
			got := hex.EncodeToString(binary.LittleEndian.AppendUint32(nil, i.update(0, c.in)))
			if got != c.wire {
				t.Errorf("%s by %s: %s, want %s", c.name, i, got, c.wire)
			}
		}
	}
}

func TestCopy_CopiesAndContinues(t *testing.T) {
	src := []byte("lunar: one pass over the data")
	dst := make([]byte, len(src))
	crc := Copy(0, dst, src[:7])
	crc = Copy(crc, dst[7:], src[7:])
	if string(dst) != string(src) || crc != Update(0, src) {
		t.Fatalf("%q %#x, want %#x", dst, crc, Update(0, src))
	}
}
