package engine

import (
	"fmt"
	"slices"
	"testing"

	"lunar/internal/conform"
	"lunar/iscsi/login"
	"lunar/iscsi/pdu"
	"lunar/iscsi/transport"
)

// trio is a directory with one session of three connections, 1 to 3.
func trio(t *testing.T) *directory {
	t.Helper()
	d := newDirectory(8, 3)
	for i := range 3 {
		r := placed(conn(i+1), port(1, pdu.TSIH(min(i, 1)), pdu.CID(i)))
		r.Params.MaxConnections, r.Params.TaskReporting = 8, login.ResponseFence
		if o := d.admit(r); len(o) != 1 || o[0].admit.Status != pdu.LoginSuccess {
			t.Fatalf("connection %d: %q", i+1, said(o))
		}
	}
	return d
}

// fences writes the orders that are about fences as text.
func fences(orders []order) (s []string) {
	for _, o := range orders {
		what := map[orderKind]string{orderFence: "ask", orderFenced: "tell", orderUnfence: "free"}[o.kind]
		if what != "" {
			s = append(s, fmt.Sprintf("%s %d %d", what, o.conn.Index, o.token))
		}
	}
	return s
}

func wantFences(t *testing.T, what string, orders []order, want ...string) {
	t.Helper()
	if got := fences(orders); !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

var holding = transport.Hold{Wanted: true}

// One fence that holds stands at a time; the next is put up when it is cleared.
func TestDirectory_OneFenceAtATime(t *testing.T) {
	conform.Covers(t, "N-4")
	d := trio(t)
	wantFences(t, "the first", d.ask(conn(1), 11, holding), "ask 2 1", "ask 3 1")
	wantFences(t, "the second", d.ask(conn(2), 22, holding))
	// One that holds nothing needs nobody's turn.
	wantFences(t, "a plain one", d.ask(conn(3), 33, transport.Hold{}), "ask 1 2", "ask 2 2")
	wantFences(t, "one passes", d.passed(conn(2), 1))
	wantFences(t, "it says so twice", d.passed(conn(2), 1))
	wantFences(t, "the other passes", d.passed(conn(3), 1), "tell 1 1")
	wantFences(t, "it is cleared", d.cleared(1), "free 2 1", "free 3 1", "ask 1 3", "ask 3 3")
	wantFences(t, "it is cleared twice", d.cleared(1))
	wantFences(t, "the plain one", append(d.passed(conn(1), 2), d.passed(conn(2), 2)...), "tell 3 0")
	wantFences(t, "the second passes", append(d.passed(conn(1), 3), d.passed(conn(3), 3)...), "tell 2 3")
	wantFences(t, "and is cleared", d.cleared(3), "free 1 3", "free 3 3")
	if len(d.fences) != 0 {
		t.Errorf("%d fences are left", len(d.fences))
	}
}

// Whoever ends or is lost holds nobody up: its own fence comes down, its turn is given up,
// and others do not wait for its answer. Who is alone waits for nobody.
func TestDirectory_FencesOfThoseThatEnd(t *testing.T) {
	conform.Covers(t, "N-4")
	for _, lost := range []bool{false, true} {
		d := trio(t)
		end := d.ended
		if lost {
			end = func(h transport.Handle) []order { return d.parked(h, true) }
		}
		d.ask(conn(1), 11, holding)
		d.ask(conn(2), 22, holding)
		d.ask(conn(3), 33, holding)
		wantFences(t, "one that waits for its turn", end(conn(2)))
		wantFences(t, "that who asked", end(conn(1)), "free 3 1", "tell 3 0")
		wantFences(t, "one that is alone", d.ask(conn(3), 34, holding), "tell 3 0")
		wantFences(t, "one that is gone", d.ask(transport.Handle{Index: 9}, 1, holding))
		if len(d.fences) != 0 {
			t.Errorf("%d fences are left", len(d.fences))
		}
	}
	d := trio(t)
	d.ask(conn(1), 11, holding)
	d.passed(conn(2), 1)
	wantFences(t, "one that was asked", d.ended(conn(3)), "tell 1 1")
	wantFences(t, "cleared", d.cleared(1), "free 2 1")
}
