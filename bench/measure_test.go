package bench

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"lunar/reactor"
)

// Percentiles are those of the sorted durations, within the three digits that are
// kept, and durations out of bounds count as the nearest bound.
func TestLatency_Percentiles_AgainstSorting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.SliceOfN(rapid.Int64Range(-5, 1<<37), 1, 300).Draw(t, "v")
		h := newHistogram()
		for i, n := range v {
			record(h, time.Duration(n))
			v[i] = min(max(n, int64(shortest)), int64(longest))
		}
		slices.Sort(v)
		l := latencyOf(h)
		for p, got := range map[float64]float64{50: l.P50, 90: l.P90, 99: l.P99, 99.9: l.P999, 100: l.Max} {
			exact := float64(v[max(int(p/100*float64(len(v))+0.5)-1, 0)]) / 1000
			if math.Abs(got-exact) > exact/1000+0.001 {
				t.Fatalf("p%v of %v is %v us, got %v", p, v, exact, got)
			}
		}
	})
}

func TestStamp_AnyWrongByte_IsFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := stamp{
			seed: rapid.Uint64().Draw(t, "seed"), lba: rapid.Uint64().Draw(t, "lba"),
			generation: rapid.Uint32().Draw(t, "generation"),
		}
		block := make([]byte, 512*rapid.IntRange(1, 8).Draw(t, "size"))
		s.fill(block)
		if at := s.differs(block); at >= 0 {
			t.Fatalf("a block just filled differs at %d", at)
		}
		at := rapid.IntRange(0, len(block)-1).Draw(t, "at")
		block[at] ^= byte(rapid.IntRange(1, 255).Draw(t, "flip"))
		if got := s.differs(block); got != at {
			t.Fatalf("byte %d was changed, %d was found", at, got)
		}
	})
}

func TestStamp_OtherGenerationOrPlace_HasOtherContent(t *testing.T) {
	var a, b [512]byte
	s := stamp{seed: 1, lba: 5, generation: 3}
	s.fill(a[:])
	for _, other := range []stamp{{2, 5, 3}, {1, 6, 3}, {1, 5, 4}} {
		other.fill(b[:])
		same := 0
		for i := stampBytes; i < len(a); i++ {
			if a[i] == b[i] {
				same++
			}
		}
		if same > 30 { // about 2 by chance
			t.Errorf("%+v and %+v share %d bytes", s, other, same)
		}
	}
}

func TestParseMix_RoundTrip(t *testing.T) {
	for _, s := range []string{"randread", "randwrite", "read", "write", "mix=70", "mix=1"} {
		m, err := ParseMix(s)
		if err != nil || m.String() != s {
			t.Errorf("%s: %+v (%v), %v", s, m, m, err)
		}
	}
	for _, s := range []string{"", "mix", "mix=", "mix=101", "mix=-1", "Read"} {
		if m, err := ParseMix(s); err == nil {
			t.Errorf("%q was taken as %v", s, m)
		}
	}
}

func TestParseBytes_Forms(t *testing.T) {
	for s, want := range map[string]int64{"1": 1, "512": 512, "4k": 4096, "1M": 1 << 20, "2g": 2 << 30} {
		if n, err := ParseBytes(s); err != nil || n != want {
			t.Errorf("%s: %d, %v; want %d", s, n, err, want)
		}
	}
	for _, s := range []string{"", "k", "0", "-4k", "4kk", "9999999999g", "4t"} {
		if n, err := ParseBytes(s); err == nil {
			t.Errorf("%q was taken as %d", s, n)
		}
	}
}

func TestMedian_OddAndEven(t *testing.T) {
	if m := median([]float64{9, 1, 5}); m != 5 {
		t.Errorf("median of three is %v", m)
	}
	if m := median([]float64{4, 1, 3, 2}); m != 2.5 {
		t.Errorf("median of four is %v", m)
	}
}

// A polling generator sets the pace when it found work all the time, whatever its
// processor time says; a sleeping one when it had no processor time left.
func TestGauge_Own_MarksTheBoundRow(t *testing.T) {
	for _, c := range []struct {
		poll      reactor.PollMode
		own, busy time.Duration
		bound     bool
		micros    float64
	}{
		{reactor.Sleep, 960 * time.Millisecond, 0, true, 960},
		{reactor.Sleep, 500 * time.Millisecond, 0, false, 500},
		{reactor.Spin, time.Second, 960 * time.Millisecond, true, 960},
		{reactor.Spin, time.Second, 500 * time.Millisecond, false, 500},
		{reactor.Spin, 600 * time.Millisecond, 700 * time.Millisecond, false, 600}, // it was robbed
	} {
		g := &gauge{o: &Options{Poll: c.poll}}
		r := &Report{Seconds: 1, Operations: 1000}
		g.own(r, reading{own: c.own, busy: c.busy})
		if r.GeneratorBound != c.bound || math.Abs(r.OwnMicros-c.micros) > 0.01 {
			t.Errorf("%v with %v and %v: %+v", c.poll, c.own, c.busy, r)
		}
	}
}
