package bench

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"lunar/initiator/faketarget"
	"lunar/iscsi/pdu"
)

// An open loop keeps to its rate when the target could do more, in every session.
func TestRun_Rate_IsKept(t *testing.T) {
	_, o := startTarget(t, faketarget.Config{})
	o.Rate, o.Time = 2000, 300*time.Millisecond
	r, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	// However busy this machine is: what became due was either begun or is said not to be.
	if due := r.Operations + r.NotBegun; due < 598 || due > 602 || r.Operations < 100 {
		t.Errorf("%d operations in 0.3 s at 2000 per second, %d not begun", r.Operations, r.NotBegun)
	}
}

// A target that stalls is charged for what became due meanwhile, not only for the
// operations it held.
func TestRun_Rate_StallIsNotHidden(t *testing.T) {
	const stall = 200 * time.Millisecond
	var n atomic.Int64
	_, o := startTarget(t, faketarget.Config{Request: func(_ *faketarget.Conn, h *pdu.Header, _ []byte) bool {
		if h.Opcode() == pdu.OpSCSICommand && n.Add(1) == 100 {
			time.Sleep(stall)
		}
		return false
	}})
	o.Sessions, o.Depth, o.Rate, o.Time = 1, 1, 1000, 500*time.Millisecond
	r, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	// 200 of 500 operations became due in the stall and waited for the rest of it: a
	// tenth of all waited 150 ms and more.
	if r.Latency.P90 < 50_000 || r.Latency.Max < 190_000 {
		t.Errorf("a stall of %v of %v shows as %+v", stall, o.Time, r.Latency)
	}
}

// What a target has no time for is said.
func TestRun_Rate_TooHigh_IsSaid(t *testing.T) {
	_, o := startTarget(t, faketarget.Config{})
	o.Rate, o.Depth = 1e8, 1
	r, err := Run(t.Context(), o)
	if err != nil || r.NotBegun < r.Operations {
		t.Errorf("%+v, %v", r, err)
	}
}

// An operation that is due in a quarter of an hour does not keep a cancelled run.
func TestRun_Rate_Cancelled_EndsAtOnce(t *testing.T) {
	_, o := startTarget(t, faketarget.Config{})
	o.Rate, o.Time = 0.001, time.Hour
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	begun := time.Now()
	if _, err := Run(ctx, o); !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) > time.Minute {
		t.Errorf("ended after %v with %v", time.Since(begun), err)
	}
}

func TestPace_Missed_CountsWhatWasDue(t *testing.T) {
	for _, c := range []struct {
		interval, due float64
		stop          time.Duration
		want          uint64
	}{
		{0, 0, 100, 0}, {10, 100, 100, 0}, {10, 99, 100, 1}, {10, 90, 100, 1}, {10, 0, 100, 10}, {10, 89, 100, 2},
	} {
		p := pace{interval: c.interval, due: c.due}
		if n := p.missed(c.stop); n != c.want {
			t.Errorf("%+v: %d", c, n)
		}
	}
}
