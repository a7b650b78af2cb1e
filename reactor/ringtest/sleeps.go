package ringtest

import (
	"sync/atomic"
	"testing"
	"time"

	"lunar/reactor"
)

var sleepCases = []testCase{
	{name: "WakeEndsASleep", run: wakeEnds},
	{name: "WakeStress", run: wakeStress},
	{name: "SleepUntilTheTimer", run: sleepUntil},
	{name: "TimersKeepTheirOrder", run: timersInOrder},
	{name: "ClosedRingRefuses", run: closedRefuses},
}

func wakeEnds(r *rig) {
	var woken atomic.Bool
	time.AfterFunc(20*time.Millisecond, func() {
		woken.Store(true)
		r.loop.Wake()
	})
	r.until("the wake-up", woken.Load)
	r.finish()
}

// wakeStress answers each wake-up by asking for the next, so that sleeping and
// waking meet at every possible moment.
func wakeStress(r *rig) {
	const rounds = 2000
	var asked, answered atomic.Int64
	asked.Store(1)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		for answered.Load() < rounds {
			if answered.Load() < asked.Load() {
				answered.Add(1)
				r.loop.Wake()
			}
		}
	}()
	r.until("every answer", func() bool {
		asked.Store(answered.Load() + 1)
		return answered.Load() == rounds
	})
	<-gone
	r.finish()
}

func sleepUntil(r *rig) {
	start := r.loop.Now()
	at := start + int64(30*time.Millisecond)
	token := r.token()
	r.loop.Arm(token, at)
	turns := 0
	for len(r.done[token]) == 0 {
		r.turn()
		turns++
	}
	c := r.next(token)
	if !c.Timer || c.Buffer != reactor.NoBuffer || r.loop.Now() < at {
		r.Errorf("%+v after %d ns", c, r.loop.Now()-start)
	}
	// The Go scheduler may interrupt a sleep, but only now and then.
	if turns > 100 {
		r.Errorf("%d turns: it did not sleep", turns)
	}
	r.finish()
}

func timersInOrder(r *rig) {
	start := r.loop.Now()
	var tokens []reactor.Token
	for i := range 5 {
		tokens = append(tokens, r.token())
		r.loop.Arm(tokens[i], start+int64(5-i)*int64(2*time.Millisecond))
	}
	var order []reactor.Token
	for len(order) < len(tokens) {
		done, err := r.loop.Turn()
		if err != nil {
			r.Fatal(err)
		}
		for _, c := range done {
			order = append(order, c.Token)
		}
	}
	for i, token := range order {
		if token != tokens[len(tokens)-1-i] {
			r.Errorf("timer %d is %#x", i, uint64(token))
		}
	}
	r.finish()
}

func closedRefuses(r *rig) {
	ring := r.Ring()
	r.finish()
	if ring.Wake() == nil {
		r.Error("a closed ring was woken")
	}
	if ring.Close() == nil {
		r.Error("a closed ring was closed")
	}
	if ring.Name() == "" {
		r.Error("a ring without a name")
	}
}

// allocations is the number per run, after the ring has grown to its size.
func allocations(run func()) float64 {
	for range 100 {
		run()
	}
	return testing.AllocsPerRun(200, run)
}
