package bench

import (
	"math"
	"time"

	"lunar/initiator/drive"
)

// pace is the open loop of a job: operations are due at fixed times, whether the
// target is ready for them or not, and their latency counts from then. A target that
// stalls is charged for everything that became due meanwhile.
type pace struct {
	// interval is the time between two operations in nanoseconds, 0 without a pace;
	// due is when the next one is due, since the job's base.
	interval, due float64
	alarm         *drive.Alarm
	// parked are slots that wait for an operation to become due.
	parked []*slot
}

// setPace gives the job its part of rate operations per second; the jobs take turns.
func (j *job) setPace(rate float64, index, jobs int) {
	if rate <= 0 {
		return
	}
	j.pace = pace{interval: float64(time.Second) * float64(jobs) / rate, parked: make([]*slot, 0, len(j.slots))}
	j.pace.due = j.pace.interval * float64(index) / float64(jobs)
}

// take is when the next operation became due, which is then the slot's. When none is
// due at now, the slot waits or, when none will be before the phase ends, retires.
func (p *pace) take(sl *slot, now time.Duration) (time.Duration, bool) {
	j := sl.j
	due := time.Duration(p.due)
	if due <= now {
		p.due += p.interval
		return due, true
	}
	if j.stop > 0 && due >= j.stop {
		j.leave()
		return 0, false
	}
	p.parked = append(p.parked, sl)
	if p.alarm == nil {
		p.alarm = j.loop.Alarm(j.ring)
	}
	p.alarm.Set(j.base + due)
	return 0, false
}

// ring starts what has become due.
func (j *job) ring() {
	p := &j.pace
	for n := len(p.parked); n > 0; n-- {
		sl := p.parked[len(p.parked)-1]
		p.parked = p.parked[:len(p.parked)-1]
		sl.next()
		if len(p.parked) == n { // it waits again, and so would the others
			break
		}
	}
	j.session.Flush() // this is no callback of the session
}

// missed is how many operations were due before the phase ended and never begun.
func (p *pace) missed(stop time.Duration) uint64 {
	if p.interval == 0 || p.due >= float64(stop) {
		return 0
	}
	return uint64(math.Ceil((float64(stop) - p.due) / p.interval))
}
