package serial

import (
	"math/rand/v2"
	"testing"
)

func TestNumber_Less_WrapsAsRFC1982(t *testing.T) {
	for _, c := range []struct {
		a, b uint32
		want bool
	}{
		{0, 1, true},
		{1, 0, false},
		{5, 5, false},
		{0xffffffff, 0, true},
		{0, 0xffffffff, false},
		{0xfffffff0, 0x10, true},
		{0x7fffffff, 0x80000000, true},
		{0, 0x7fffffff, true},
		{0x7fffffff, 0, false},
	} {
		if got := Cmd(c.a).Less(Cmd(c.b)); got != c.want {
			t.Errorf("%#x < %#x = %v, want %v", c.a, c.b, got, c.want)
		}
	}
}

func TestNumber_In_WindowEdges(t *testing.T) {
	for _, c := range []struct {
		n, first, last uint32
		want           bool
	}{
		{10, 10, 20, true},
		{20, 10, 20, true},
		{9, 10, 20, false},
		{21, 10, 20, false},
		{0, 0xfffffffe, 3, true},
		{0xfffffffd, 0xfffffffe, 3, false},
		{4, 0xfffffffe, 3, false},
		{10, 10, 9, false},
		{9, 10, 9, false},
		{11, 10, 9, false},
	} {
		if got := Cmd(c.n).In(Cmd(c.first), Cmd(c.last)); got != c.want {
			t.Errorf("%#x in %#x..%#x = %v, want %v", c.n, c.first, c.last, got, c.want)
		}
	}
}

func TestNumber_AddSub_AreInverse(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 10000 {
		n, d := Stat(r.Uint32()), r.Uint32()>>1
		if got := n.Add(d).Sub(n); got != int32(d) {
			t.Fatalf("%v + %d - %v = %d", n, d, n, got)
		}
		if d > 0 && !n.Less(n.Add(d)) {
			t.Fatalf("%v is not before %v", n, n.Add(d))
		}
	}
}
