package engine

import (
	"net/netip"
	"testing"
	"time"
)

func TestDoor_LimitsBySourceAndInAll(t *testing.T) {
	d := newDoor(Limits{Logins: 5, LoginsPerSource: 2})
	now := time.Unix(1000, 0)
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("::ffff:192.0.2.2")
	six, near, far := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2"), netip.MustParseAddr("2001:db8:0:1::1")
	for i, k := range []struct {
		from netip.Addr
		in   bool
	}{{a, true}, {a, true}, {a, false}, {b, true}, {six, true}, {near, true}, {far, false}} {
		if in := d.enter(k.from, now); in != k.in {
			t.Errorf("%d: %s let in: %v", i, k.from, in)
		}
	}
	if logins, turned := d.under(); logins != 5 || turned != 2 {
		t.Errorf("%d logins, %d turned away", logins, turned)
	}
	d.leave(near, now)
	if !d.enter(six, now) || d.enter(far, now) {
		t.Error("a network of 64 bits is not one source")
	}
	for _, x := range []netip.Addr{a, a, b, six, six} {
		d.leave(x, now)
	}
	if n := len(d.sources); n != 0 {
		t.Errorf("%d sources are remembered", n)
	}
}

// Who fails waits longer and longer, and not for ever.
func TestDoor_BackOff(t *testing.T) {
	d := newDoor(Limits{})
	now := time.Unix(1000, 0)
	a := netip.MustParseAddr("192.0.2.1")
	for i, want := range []time.Duration{0, 500e6, 1e9, 2e9, 4e9, 4e9} {
		if !d.enter(a, now) {
			t.Fatal("turned away")
		}
		if got := d.failed(a, now); got != want {
			t.Errorf("failure %d waits %v, want %v", i+1, got, want)
		}
		d.leave(a, now)
		now = now.Add(time.Second)
	}
	now = now.Add(forgetAfter)
	d.enter(a, now)
	if got := d.failed(a, now); got != 0 {
		t.Errorf("after a minute: %v", got)
	}
}

// Failures of very many sources take bounded memory.
func TestDoor_ForgetsSources(t *testing.T) {
	d := newDoor(Limits{})
	now := time.Unix(1000, 0)
	for i := range 3 * maxSources {
		a := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		d.enter(a, now)
		d.failed(a, now)
		d.leave(a, now)
	}
	if n := len(d.sources); n > maxSources {
		t.Errorf("%d sources", n)
	}
}
