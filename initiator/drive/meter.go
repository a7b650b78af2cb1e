package drive

import (
	"time"

	"lunar/reactor"
)

// meter tells turns that worked from turns that looked in vain. The loop reads its
// clock once behind each crossing of the ring, and that reading is all it needs: the
// time since the one before was the handling of what came then, and this crossing.
type meter struct {
	start time.Time
	busy  int64 // nanoseconds
	last  int64
	// crossed says that there was a crossing whose end the clock has not seen, and
	// worked that it, or the handling of what the one before brought, was work.
	crossed, worked bool
	// brought says that the latest crossing brought something.
	brought bool
}

// clock is the loop's clock.
func (m *meter) clock() int64 {
	now := int64(time.Since(m.start))
	if m.crossed {
		if m.worked {
			m.busy += now - m.last
		}
		m.crossed, m.last = false, now
	}
	return now
}

// metered is a ring that tells the meter of its crossings.
type metered struct {
	reactor.Ring
	m *meter
}

// Turn implements reactor.Ring.
func (r metered) Turn(t *reactor.Turn) error {
	m := r.m
	before, submits, sleeps := m.brought, len(t.Ops) > 0, t.WaitNanos != 0
	err := r.Ring.Turn(t)
	m.brought = len(t.Completions) > 0
	m.worked = !sleeps && (before || submits || m.brought)
	m.crossed = true
	return err
}
