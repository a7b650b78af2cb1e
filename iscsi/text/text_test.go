package text

import (
	"bytes"
	"strings"
	"testing"

	"lunar/internal/conform"
)

func TestNextPair_Syntax(t *testing.T) {
	conform.Covers(t, "R-5.1-1", "R-5.1-2", "R-5.1-3", "R-12.22-1")
	for _, c := range []struct {
		in, key, value string
		ok             bool
	}{
		{"A=b\x00", "A", "b", true},
		{"A=\x00", "A", "", true},
		{"A=b=c\x00", "A", "b=c", true},
		{"X-com.example.k=1\x00", "X-com.example.k", "1", true},
		{"X#NodeArchitecture=x\x00", "X#NodeArchitecture", "x", true},
		{"A=b", "", "", false},
		{"A\x00", "", "", false},
		{"a=b\x00", "", "", false},
		{"=b\x00", "", "", false},
		{"A b=c\x00", "", "", false},
		{"\x00", "", "", false},
		{strings.Repeat("A", 63) + "=1\x00", strings.Repeat("A", 63), "1", true},
		{strings.Repeat("A", 64) + "=1\x00", "", "", false},
	} {
		p, _, ok := NextPair([]byte(c.in))
		if ok != c.ok || string(p.Key) != c.key || string(p.Value) != c.value {
			t.Errorf("%q: %q=%q %v", c.in, p.Key, p.Value, ok)
		}
	}
}

func TestNumber(t *testing.T) {
	conform.Covers(t, "R-5.1-5", "R-5.1-6")
	for _, c := range []struct {
		in string
		n  uint64
		ok bool
	}{
		{"0", 0, true},
		{"8192", 8192, true},
		{"0x2000", 8192, true},
		{"0Xff", 255, true},
		{"18446744073709551615", 1<<64 - 1, true},
		{"18446744073709551616", 0, false},
		{"0xffffffffffffffff", 1<<64 - 1, true},
		{"0x10000000000000000", 0, false},
		{"007", 0, false},
		{"", 0, false},
		{"0x", 0, false},
		{"-1", 0, false},
		{"1a", 0, false},
		{"+1", 0, false},
	} {
		if n, ok := Number([]byte(c.in)); n != c.n || ok != c.ok {
			t.Errorf("%q: %d %v", c.in, n, ok)
		}
	}
}

func TestName(t *testing.T) {
	conform.Covers(t, "R-3.2.6.1-2", "R-3.2.6.1-3", "R-3.2.6.2-1", "R-3.2.6.2-2", "R-3.2.6.2-3", "R-3.2.6.3-1", "R-3.2.6.3.2-1", "N-8", "N-9")
	for _, c := range []struct {
		in, out string
		ok      bool
	}{
		{"iqn.2026-11.lunar:default", "iqn.2026-11.lunar:default", true},
		{"IQN.2026-11.Lunar:Default", "iqn.2026-11.lunar:default", true},
		{"eui.02004567a425678d", "eui.02004567a425678d", true},
		{"eui.02004567a425678", "", false},
		{"naa.6001405abcdef012", "naa.6001405abcdef012", true},
		{"naa.6001405abcdef0126001405abcdef012", "naa.6001405abcdef0126001405abcdef012", true},
		{"iqn.2026-11.a b", "", false},
		{"foo.bar.baz", "", false},
		{"", "", false},
		{"iqn", "", false},
		{"iqn.x%n", "", false},
		{"iqn.x\n", "", false},
		{"EUI.02004567A425678D", "eui.02004567a425678d", true},
		{"eui.02004567a425678dd", "", false},
		{"eui.02004567a425678g", "", false},
		{"naa.6001405abcdef01", "", false},
		{"naa.6001405abcdef0126001405a", "", false},
		{"iqn.2026-11.x:größe", "iqn.2026-11.x:größe", true},
		{"iqn.2026-11.x:\xe5\xad\x98", "iqn.2026-11.x:\xe5\xad\x98", true},
		{"iqn.2026-11.x:\xe5\xad", "", false}, // half a character
		{"iqn.2026-11.x:\xff", "", false},
		{"iqn.2026-11.x:\u00c4", "", false}, // a capital: not prepared
		{"iqn.2026-11.x\u3002y", "", false},
		{"iqn.2026-11.x\u00a0y", "", false},
		{"iqn.2026-11.x\u200by", "", false},
		{"iqn.2026-11.x\u2019y", "", false},
		{"iqn.2026_11.x", "", false},
		{"iqn." + strings.Repeat("a", 219), "iqn." + strings.Repeat("a", 219), true},
		{"iqn." + strings.Repeat("a", 220), "", false},
	} {
		n, ok := Name([]byte(c.in))
		if ok != c.ok || ok && n != c.out {
			t.Errorf("%q: %q %v", c.in, n, ok)
		}
	}
}

// Case matters in words, not in names.
func TestBool_IsCaseSensitive(t *testing.T) {
	conform.Covers(t, "R-5.1-1")
	for in, want := range map[string][2]bool{"Yes": {true, true}, "No": {false, true}, "yes": {}, "NO": {}, "": {}, "Yes ": {}} {
		if v, ok := Bool([]byte(in)); v != want[0] || ok != want[1] {
			t.Errorf("%q: %v %v", in, v, ok)
		}
	}
}

func TestCollectorAndWriter_KeepTheirLimits(t *testing.T) {
	c := NewCollector(10)
	if !c.Add([]byte("12345")) || !c.Add([]byte("67890")) || c.Add([]byte("x")) {
		t.Fatal("limit of the collector")
	}
	w := NewWriter(8)
	w.Put("A", "b")
	w.Put("Long", "value")
	if !w.Full() || string(w.Bytes()) != "A=b\x00" {
		t.Fatalf("%q full=%v", w.Bytes(), w.Full())
	}
}

// FuzzPairs: no input panics, splitting makes progress, and what was split off
// can be written and split again.
func FuzzPairs(f *testing.F) {
	f.Add([]byte("InitiatorName=iqn.2026-11.x:a\x00SessionType=Discovery\x00"))
	f.Add([]byte("A=b"))
	f.Add([]byte("A=b\x00\x00\x00"))
	f.Add(bytes.Repeat([]byte("A=b\x00"), 2048))
	f.Fuzz(func(t *testing.T, b []byte) {
		for len(b) > 0 {
			p, rest, ok := NextPair(b)
			if !ok {
				return
			}
			if len(rest) >= len(b) {
				t.Fatal("no progress")
			}
			w := NewWriter(1 << 20)
			w.Put(string(p.Key), string(p.Value))
			q, _, ok := NextPair(w.Bytes())
			if !ok || !bytes.Equal(p.Key, q.Key) || !bytes.Equal(p.Value, q.Value) {
				t.Fatalf("%q=%q came back as %q=%q", p.Key, p.Value, q.Key, q.Value)
			}
			Number(p.Value)
			Bool(p.Value)
			Name(p.Value)
			b = rest
		}
	})
}
