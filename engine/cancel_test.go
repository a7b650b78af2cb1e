package engine

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"lunar/initiator"
)

// Callers that lose patience while connections break get their context's error, soon,
// and the session outlives them.
func TestSoak_Cancelled(t *testing.T) {
	for name, cfg := range map[string]initiator.Config{
		"level 0":       {Reconnect: &initiator.Reconnect{Delay: time.Millisecond}},
		"level 2":       {Connections: 3, RecoveryLevel: 2, Time2Retain: 5},
		"level 2 alone": {RecoveryLevel: 2, Time2Retain: 5, Probe: 20 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			e := soakEngine(t, 3)
			p := startProxy(t, e.Portals()[0], false)
			s := soakSession(t, e, p, cfg)
			d := diskOf(t, s)
			stop := make(chan struct{})
			var trouble, load sync.WaitGroup
			trouble.Go(func() { p.cutEvery(30*time.Millisecond, stop) })
			until := time.Now().Add(soakTime(t) / 2)
			for i := range 8 {
				load.Go(func() { impatient(t, d, i, until) })
			}
			load.Wait()
			close(stop)
			trouble.Wait()
			if _, err := d.ReadAt(make([]byte, 4096), 0); err != nil {
				t.Error(err)
			}
			t.Logf("%+v", s.Counters())
		})
	}
}

// impatient reads and writes with little time for each.
func impatient(t *testing.T, d *initiator.Disk, worker int, until time.Time) {
	r := rand.New(rand.NewPCG(uint64(worker), 5))
	b := make([]byte, 64<<10)
	for time.Now().Before(until) {
		limit := time.Duration(r.IntN(4000)) * time.Microsecond
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		began := time.Now()
		var err error
		if n := 512 * (1 + r.IntN(128)); r.IntN(2) == 0 {
			_, err = d.WriteAtContext(ctx, b[:n], int64(worker)*int64(len(b)))
		} else {
			_, err = d.ReadAtContext(ctx, b[:n], int64(worker)*int64(len(b)))
		}
		cancel()
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
			return
		}
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("%v for a caller who had %v", took, limit)
		}
	}
}
