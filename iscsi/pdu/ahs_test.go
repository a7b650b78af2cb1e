package pdu

import (
	"bytes"
	"testing"

	"lunar/internal/conform"
)

func TestAHS_RoundTrip(t *testing.T) {
	conform.Covers(t, "R-10.2.2.3-1", "R-10.2.2.4-1", "R-10.2.1.5-1")
	long := bytes.Repeat([]byte{0xab}, 17)
	var b []byte
	b = AppendAHS(b, AHS{AHSExtendedCDB, append([]byte{0}, long...)})
	b = AppendAHS(b, AHS{AHSBidiRead, []byte{0, 0, 1, 0, 0}})
	if len(b)%4 != 0 {
		t.Fatalf("%d bytes are not whole words", len(b))
	}
	first, rest, ok := NextAHS(b)
	cdb, isCDB := first.ExtendedCDB()
	if !ok || !isCDB || !bytes.Equal(cdb, long) {
		t.Fatalf("extended CDB %x, %v %v", cdb, ok, isCDB)
	}
	second, rest, ok := NextAHS(rest)
	n, isBidi := second.BidiReadBytes()
	if !ok || !isBidi || n != 65536 || len(rest) != 0 {
		t.Fatalf("bidi %d %v %v, %d bytes left", n, ok, isBidi, len(rest))
	}
}

// TestAHS_LengthsThatLie covers every TotalAHSLength up to three words with
// every AHSLength near it: never a panic, never bytes beyond what was received.
func TestAHS_LengthsThatLie(t *testing.T) {
	conform.Covers(t, "R-10.2.2.2-1")
	for total := 0; total <= 12; total += 4 {
		for n := 0; n <= 16; n++ {
			for typ := range 4 {
				b := make([]byte, total)
				if total >= 4 {
					b[1], b[2] = byte(n), byte(typ)
				}
				a, rest, ok := NextAHS(b)
				if want := total >= 4 && 3+n+PadBytes(3+n) <= total; ok != want {
					t.Fatalf("total %d length %d: ok=%v", total, n, ok)
				}
				if ok && len(a.Specific)+len(rest) > total {
					t.Fatalf("total %d length %d: %d+%d bytes", total, n, len(a.Specific), len(rest))
				}
				if cdb, isCDB := a.ExtendedCDB(); ok && isCDB && (typ != 1 || len(cdb) != n-1) {
					t.Fatalf("type %d length %d: extended CDB of %d", typ, n, len(cdb))
				}
			}
		}
	}
}
