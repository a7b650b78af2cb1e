package transport

import (
	"testing"

	"lunar/internal/conform"
)

// A connection that is lost because its peer fell silent is kept no longer than one that
// was cut: its own clock goes on.
func TestPark_SilentPeerEndsInTime(t *testing.T) {
	conform.Covers(t, "R-6.4.1-1", "R-7.2-1", "R-6.12-1")
	w := newWorld(t, options{})
	w.joint = true
	c := w.login("ErrorRecoveryLevel=2", "DefaultTime2Wait=2", "DefaultTime2Retain=20")
	for range 3 {
		w.pass(w.stack.limits.PingNanos)
	}
	if !c.peer.Ended() || w.parked != 1 || w.stack.Live() != 1 {
		t.Fatalf("ended %v, %d parked of %d connections", c.peer.Ended(), w.parked, w.stack.Live())
	}
	w.pass(30e9)
	if n := w.stack.Live(); n != 0 || w.ended != 1 {
		t.Errorf("%d connections are kept, %d ended", n, w.ended)
	}
}
