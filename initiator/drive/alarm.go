package drive

import (
	"time"

	"lunar/reactor"
)

// Alarm calls a function at a time. It belongs to the loop's goroutine.
type Alarm struct {
	l     *Loop
	do    func()
	index uint32
	set   bool
}

// Alarm makes an alarm that calls do; it lives as long as the loop.
func (l *Loop) Alarm(do func()) *Alarm {
	a := &Alarm{l: l, do: do, index: uint32(len(l.alarms))}
	l.alarms = append(l.alarms, a)
	return a
}

// Set has the alarm ring once Now has reached at. One that is set already keeps its
// time.
func (a *Alarm) Set(at time.Duration) {
	if !a.set {
		a.set = true
		a.l.loop.Arm(reactor.NewToken(kindAlarm, 0, a.index), int64(at))
	}
}

func (a *Alarm) ring() {
	a.set = false
	a.do()
}
