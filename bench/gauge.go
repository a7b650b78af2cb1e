package bench

import (
	"errors"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"lunar/initiator/drive"
	"lunar/reactor"
)

// gauge takes a run's clock and processor times and tells of its progress.
type gauge struct {
	jobs []*job
	o    *Options
	loop *drive.Loop
	hist *hdrhistogram.Histogram
	base time.Duration

	mu    sync.Mutex
	begun bool
	at    reading
	err   error
}

// reading is what the machine says at one moment.
type reading struct {
	at        time.Duration // of the loop's clock
	own, busy time.Duration
	target    usage
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
	last, lastAt := g.count(), g.loop.Clock()
	for {
		select {
		case <-quit:
			return
		case <-tick.C:
		}
		now, at := g.count(), g.loop.Clock()
		rate := float64(now-last) / (at - lastAt).Seconds()
		g.o.Progress(Tick{Elapsed: at - g.base, IOPS: rate, MiBps: rate * float64(g.o.BlockBytes) / (1 << 20)})
		last, lastAt = now, at
	}
}

// count is how many operations were measured so far; 0 when the loop has ended.
func (g *gauge) count() (n uint64) {
	_ = g.loop.Call(func() {
		for _, j := range g.jobs {
			n += j.ops
		}
	})
	return n
}

func (g *gauge) begin() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.begun = true
	// What is counted and the time it is counted over begin at the same moment.
	g.at, g.err = g.read(func(now time.Duration) {
		for _, j := range g.jobs {
			j.measure = now - j.base
		}
	})
}

// read reads everything, and calls do on the loop at the moment that counts.
func (g *gauge) read(do func(now time.Duration)) (r reading, err error) {
	r.target, err = processUsage(g.o.TargetPID)
	r.own = ownCPU()
	lerr := g.loop.Call(func() {
		r.at, r.busy = g.loop.Now(), g.loop.Busy()
		do(r.at)
	})
	return r, errors.Join(lerr, err)
}

// finish writes what was measured; the jobs are idle.
func (g *gauge) finish(r *Report) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.begun || g.err != nil {
		return
	}
	var end reading
	if end, g.err = g.read(func(time.Duration) {}); g.err != nil {
		return
	}
	elapsed := (end.at - g.at.at).Seconds()
	r.Seconds, r.Operations, r.Latency = elapsed, uint64(g.hist.TotalCount()), latencyOf(g.hist)
	r.IOPS = float64(r.Operations) / elapsed
	r.MiBps = r.IOPS * float64(g.o.BlockBytes) / (1 << 20)
	for _, j := range g.jobs {
		r.NotBegun += j.pace.missed(j.stop)
	}
	g.own(r, end)
	g.target(r, end)
}

// own writes what the generator used. A sleeping one is busy while it has a
// processor; a polling one always has one and is busy in turns that found something.
func (g *gauge) own(r *Report, end reading) {
	used := end.own - g.at.own
	r.OwnCPU = used.Seconds() / r.Seconds
	r.OwnBusy = r.OwnCPU
	if g.o.Poll != reactor.Sleep {
		busy := end.busy - g.at.busy
		r.OwnBusy = busy.Seconds() / r.Seconds
		used = min(used, busy) // what others had of the processor is not its work
	}
	r.GeneratorBound = r.OwnBusy >= boundShare
	if r.Operations > 0 {
		r.OwnMicros = micros(used) / float64(r.Operations)
	}
}

// target writes what the target's process used.
func (g *gauge) target(r *Report, end reading) {
	if g.o.TargetPID == 0 {
		return
	}
	used := end.target.cpu - g.at.target.cpu
	r.TargetCPU = used.Seconds() / r.Seconds
	r.TargetRSS = end.target.resident
	if r.Operations > 0 {
		r.TargetMicros = micros(used) / float64(r.Operations)
		r.TargetSwitches = (float64(end.target.switches) - float64(g.at.target.switches)) / float64(r.Operations)
	}
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
