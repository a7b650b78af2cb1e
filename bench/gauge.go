package bench

import (
	"sync"
	"time"
)

// gauge takes a run's clock and processor times and tells of its progress.
type gauge struct {
	jobs []*job
	o    *Options
	base time.Time

	mu          sync.Mutex
	begun       bool
	at          time.Duration
	own, target time.Duration
	err         error
}

// watch starts the measurement when the warm-up is over and then reports every
// second until quit.
func (g *gauge) watch(quit <-chan struct{}) {
	if g.o.Warmup > 0 {
		select {
		case <-quit:
			return
		case <-time.After(g.o.Warmup):
		}
		g.begin()
	}
	if g.o.Progress == nil {
		return
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	last, lastAt := g.count(), time.Since(g.base)
	for {
		select {
		case <-quit:
			return
		case <-tick.C:
		}
		now, at := g.count(), time.Since(g.base)
		rate := float64(now-last) / (at - lastAt).Seconds()
		g.o.Progress(Tick{Elapsed: at, IOPS: rate, MiBps: rate * float64(g.o.BlockBytes) / (1 << 20)})
		last, lastAt = now, at
	}
}

func (g *gauge) count() (n uint64) {
	for _, j := range g.jobs {
		n += j.ops.Load()
	}
	return n
}

func (g *gauge) begin() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.begun, g.at, g.own = true, time.Since(g.base), ownCPU()
	g.target, g.err = processCPU(g.o.TargetPID)
}

// finish writes what was measured; the jobs are idle.
func (g *gauge) finish(r *Report) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.begun || g.err != nil {
		return
	}
	elapsed := (time.Since(g.base) - g.at).Seconds()
	target, err := processCPU(g.o.TargetPID)
	g.err = err
	all := newHistogram()
	for _, j := range g.jobs {
		all.Merge(j.hist)
	}
	r.Seconds, r.Operations, r.Latency = elapsed, uint64(all.TotalCount()), latencyOf(all)
	r.IOPS = float64(r.Operations) / elapsed
	r.MiBps = r.IOPS * float64(g.o.BlockBytes) / (1 << 20)
	r.OwnCPU = (ownCPU() - g.own).Seconds() / elapsed
	r.GeneratorBound = r.OwnCPU >= boundShare
	if g.o.TargetPID != 0 && r.Operations > 0 {
		used := target - g.target
		r.TargetCPU = used.Seconds() / elapsed
		r.TargetMicros = float64(used) / float64(time.Microsecond) / float64(r.Operations)
	}
}
