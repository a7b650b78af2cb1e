package simulate

import "math"

// Bounds of a run.
const (
	maxSteps = 20_000
	// maxJumped is how far time may jump while faults happen, so that no bound of a login
	// or a silent connection is passed.
	maxJumped = 8e9
	// patience is after how many steps without any progress time goes on.
	patience = 600
)

// play runs the plan, lets the faults end, reads everything once more, and looks at what
// is left.
func (w *world) play() {
	for still := 0; w.failure == nil && w.step < maxSteps && !w.planned(); still++ {
		if w.once(); w.moved {
			w.moved, still = false, 0
		}
		if still == patience {
			// Everyone waits for time.
			w.rings[0].Advance(4e8)
			still = 0
		}
	}
	w.calm = true
	w.settle("after the faults")
	w.ask()
	w.settle("after a ping")
	w.checkWindows()
	w.verify()
	w.settle("after the last reads")
	w.leave()
	w.settle("after the logouts")
	if w.failure == nil && w.asm.Live() > 0 {
		w.fail("leak", "%d connections are left", w.asm.Live())
	}
	w.checkEnd()
}

// planned says whether every operation has begun.
func (w *world) planned() bool {
	for _, h := range w.hosts {
		if h.next < len(h.ops) {
			return false
		}
	}
	return true
}

// once is a step.
func (w *world) once() {
	w.step++
	switch n := w.dice.below(16); {
	case n < 6:
		w.turn(w.dice.below(len(w.rings)))
	case n < 9:
		if l := w.someLink(); l != nil && l.quietIn <= w.step && len(l.out) > 0 {
			l.deliver(w.piece(len(l.out)))
			l.quietIn = w.stall(l.quietIn)
		}
	case n < 12:
		if l := w.someLink(); l != nil && l.quietOut <= w.step {
			l.receive(w.piece(1 << 16))
			l.quietOut = w.stall(l.quietOut)
		}
	default:
		w.hosts[w.dice.below(len(w.hosts))].act()
	}
}

// someLink is a connection that is not at its end.
func (w *world) someLink() *link {
	n := 0
	for _, l := range w.links {
		if l.phase != dead {
			w.links[n] = l
			n++
		}
	}
	w.links = w.links[:n]
	if n == 0 {
		return nil
	}
	return w.links[w.dice.below(n)]
}

// stall is until which step something stands still now: mostly it does not.
func (w *world) stall(until int) int {
	if s := w.plan.Settings.Stall; s > 0 && w.dice.oneIn(24) {
		return w.step + w.dice.below(s)
	}
	return until
}

// turn turns a core, unless it stalls: then its messages wait.
func (w *world) turn(core int) {
	if w.stalled[core] > w.step && !w.calm {
		return
	}
	if err := w.asm.Turn(core); err != nil {
		w.fail("turn", "%v", err)
	}
	w.stalled[core] = w.stall(0)
}

// jump moves time on, often to just before or behind what somebody waits for.
func (w *world) jump(n int) {
	nanos := []int64{1e6, 1e8, 1e9, abortNanos, abortNanos - 1, abortNanos + 1}[n%6]
	if w.jumped+nanos > maxJumped {
		nanos = 1e6
	}
	w.jumped += nanos
	w.say("   %d ms pass", nanos/1e6)
	w.rings[0].Advance(nanos)
}

// round lets everyone act once.
func (w *world) round() {
	w.step++
	w.moved = false
	for _, h := range w.hosts {
		h.act()
	}
	for i := 0; i < len(w.links) && w.failure == nil; i++ {
		l := w.links[i]
		if l.phase != dead {
			l.deliver(len(l.out))
			l.receive(math.MaxInt)
		}
	}
	unread := w.unread()
	for core := range w.rings {
		w.turn(core)
	}
	w.moved = w.moved || w.unread() != unread
}

// unread is how many bytes the target has before it.
func (w *world) unread() (n int) {
	for _, l := range w.links {
		n += l.peer.Unread()
	}
	return n
}
