package session

import (
	"fmt"
	"testing"

	"lunar/internal/conform"
)

// TestState_EveryTransition walks every state and transition of RFC 3720 §7.1.4,
// the forbidden ones included.
func TestState_EveryTransition(t *testing.T) {
	conform.Covers(t, "R-7-1")
	want := map[State]map[Transition]State{
		Free:            {T3: TransportUp},
		TransportUp:     {T4: InLogin, T6: Free},
		InLogin:         {T5: LoggedIn, T7: Free},
		LoggedIn:        {T8: Free, T9: InLogout, T11: LogoutRequested, T15: CleanupWait},
		InLogout:        {T13: Free, T17: CleanupWait},
		LogoutRequested: {T10: InLogout, T12: LogoutRequested, T16: CleanupWait, T18: Free},
	}
	for s := range State(12) {
		for by := range Transition(22) {
			to, legal := want[s][by]
			if !legal {
				to = s
			}
			if got, ok := s.Next(by); ok != legal || got != to {
				t.Errorf("state %d by T%d: %d %v, want %d %v", s, by, got, ok, to, legal)
			}
		}
	}
}

// TestUnsolicited_Matrix is InitialR2T × ImmediateData with data that is exact,
// short, long or late (RFC 3720 §12.10, §12.11, §10.4.7.2).
func TestUnsolicited_Matrix(t *testing.T) {
	conform.Covers(t, "R-12.10-1", "R-12.11-1", "R-12.11-2", "R-10.4.7.2-1", "R-3.2.4.2-4", "R-10.8-1", "MS-4")
	conform.Trap(t, 10)
	const first, total = 4096, 8192
	for _, initial := range []bool{true, false} {
		for _, immediate := range []bool{true, false} {
			for _, k := range []struct {
				name            string
				immediate, data uint32
				final           bool // F of the command
				late            bool
			}{
				{"none", 0, 0, true, false},
				{"immediate", 1024, 0, true, false},
				{"immediate, all of the first burst", first, 0, true, false},
				{"immediate, too long", first + 512, 0, true, false},
				{"data", 0, first, false, false},
				{"data, short", 0, first - 512, false, false},
				{"data, long", 0, first + 512, false, false},
				{"data, late", 0, first, true, true},
				{"both", 1024, first - 1024, false, false},
				{"both, short", 1024, 512, false, false},
				{"both, long", 1024, first, false, false},
			} {
				name := fmt.Sprintf("InitialR2T=%v ImmediateData=%v %s", initial, immediate, k.name)
				want := ""
				switch {
				case k.immediate > 0 && (!immediate || k.immediate > first):
					want = "sense=b/0c0c"
				case k.data > 0 && (initial || k.late || k.immediate+k.data > first):
					want = "sense=b/0c0c"
				case k.data > 0 && k.immediate+k.data < first:
					want = "sense=b/0c0d"
				}
				playUnsolicited(t, name, initial, immediate, k.immediate, k.data, k.final, want)
			}
		}
	}
}

func playUnsolicited(t *testing.T, name string, initial, immediate bool, now, later uint32, final bool, want string) {
	t.Helper()
	s := defaults()
	s.params.InitialR2T, s.params.ImmediateData, s.params.FirstBurstLength = initial, immediate, 4096
	p := newPlay(s)
	f := ""
	if final {
		f = " F"
	}
	p.take(request(p, fmt.Sprintf("cmd itt=1 sn=10 W edtl=8192 dev=write:8192 len=%d%s", now, f)))
	if later > 0 && (want == "" || !final || now == 0) {
		p.take(request(p, fmt.Sprintf("data itt=1 dsn=0 off=%d len=%d F", now, later)))
	}
	// Whatever was asked for is answered in full.
	for range 4 {
		for _, said := range p.out {
			var itt, stat, low, high, r2tsn, off, n, ttt uint32
			if k, _ := fmt.Sscanf(said, "r2t itt=%d stat=%d win=%d..%d flags=F len=0 r2tsn=%d off=%d want=%d ttt=%x",
				&itt, &stat, &low, &high, &r2tsn, &off, &n, &ttt); k == 8 {
				p.out = nil
				p.take(request(p, fmt.Sprintf("data itt=1 ttt=%x off=%d len=%d F", ttt, off, n)))
			}
		}
	}
	p.check(t)
	if len(p.out) != 1 {
		t.Errorf("%s: said %q", name, p.out)
		return
	}
	if want == "" {
		want = "status=0"
	}
	if !matches(p.out[0], "scsi-response "+want) {
		t.Errorf("%s: said %s, want %s", name, p.out[0], want)
	}
}
