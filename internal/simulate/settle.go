package simulate

// What is here brings a run to its end without faults, and looks at what is left.

// Bounds of the end of a run.
const (
	// maxRounds and maxWaits bound how long all comes to its end after the faults: rounds
	// of the run, and seconds of its clock.
	maxRounds = 20_000
	maxWaits  = 100
	// vanishWaits is after how many of these seconds a command that another initiator may
	// have ended is taken for gone.
	vanishWaits = 40
	// retainWaits is after how many Time2Retain passes, in steps of retainNanos, where
	// something may be held up by a command that its initiator takes for ended.
	retainWaits = 20
	retainNanos = 60e9
)

// settle goes on without faults until nothing happens any more, and everything must be
// concluded then.
func (w *world) settle(when string) {
	idle, waits, closed := 0, 0, 0
	for round := 0; w.failure == nil; round++ {
		if round == maxRounds {
			w.fail("unrest", "%s: never comes to rest", when)
			return
		}
		if w.round(); w.moved {
			idle = 0
			continue
		}
		if idle++; idle < 4 || idle < 40 && !w.asm.Still() {
			continue
		}
		left := w.unfinished()
		if left == "" && !w.asm.Still() {
			left = "a medium or a message"
		}
		if left == "" {
			return
		}
		if w.closed != closed {
			closed, waits = w.closed, 0
		}
		nanos, retains := int64(1e9), w.retains()
		switch waits++; {
		case retains && waits > retainWaits:
			nanos = retainNanos
		case !retains && waits > maxWaits:
			w.fail("stuck", "%s: %s", when, left)
			return
		}
		idle = 0
		w.rings[0].Advance(nanos)
	}
}

// retains says whether something may be held up by a command that its initiator takes for
// ended and the target keeps until Time2Retain is over: one that was reassigned in spite
// of a function and lost its connection once more (docs/deviations.md, D-30).
func (w *world) retains() bool {
	for _, h := range w.hosts {
		if h.alive && h.abandoned > 0 && w.clock()-h.abandonedAt <= int64(w.plan.Settings.Retain)*1e9+retainNanos {
			return w.parks()
		}
	}
	return false
}

// unfinished names something that is not concluded.
func (w *world) unfinished() string {
	w.vanish()
	for _, h := range w.hosts {
		if h.plug() {
			return "a number that is missing"
		}
		if len(h.open) > 0 {
			return h.open[0].String() + " is not answered"
		}
		if h.alive && h.next < len(h.ops) {
			return "a " + kindNames[h.ops[h.next].Kind] + " that does not begin"
		}
		if h.lead != nil || h.alive && h.joining() {
			return "a login or logout"
		}
		for _, l := range h.slots {
			if l != nil && l.phase == dead {
				return "a connection that broke"
			}
		}
		for _, l := range h.doomed {
			if l.phase != dead {
				return "a connection that the target does not close"
			}
		}
	}
	return ""
}

// vanish ends the commands that somebody else may have ended and that are not answered
// for long.
func (w *world) vanish() {
	for _, h := range w.hosts {
		for _, t := range append([]*task(nil), h.open...) {
			if t.waits++; t.plugs && t.sn.Less(h.exp) {
				t.close(gone, nil, "its number had come") // nothing answers it
				continue
			}
			if t.mayVanish && t.waits > vanishWaits && h.exp == h.sn && !w.retains() {
				t.over(w.now())
				t.close(gone, nil, "it vanished")
			}
		}
	}
}

// checkWindows looks whether every command gave its credit back.
func (w *world) checkWindows() {
	for _, h := range w.hosts {
		if !h.alive || w.failure != nil {
			continue
		}
		// What a function ended whose outcome stood, left by a connection that was lost, holds
		// its place until nobody may ask for it any more.
		missing := int32(w.plan.Settings.Window) - (h.last.Sub(h.exp) + 1)
		if h.exp != h.sn || missing < 0 || missing > int32(h.abandoned) {
			w.fail("credit", "host %d: all is answered, the window is %d..%d, the next command %d", h.n, h.exp.Uint32(), h.last.Uint32(), h.sn.Uint32())
		}
	}
}

// ask has every host hear of the command window, if that may have been lost, or moved with
// the end of a connection that could not tell.
func (w *world) ask() {
	for _, h := range w.hosts {
		if h.alive && (w.plan.Settings.Lossy > 0 || w.parks()) {
			h.ops = append(h.ops, &Op{Kind: Ping, Host: h.n, Now: 1})
		}
	}
}

// verify has the first host read every unit.
func (w *world) verify() {
	if w.failure != nil {
		return
	}
	w.verifying = true
	for unit := range w.disks {
		// One command to hear of what happened, then the reads.
		for range 4 {
			w.hosts[0].ops = append(w.hosts[0].ops, &Op{Kind: Ready, Unit: unit})
		}
		w.hosts[0].ops = append(w.hosts[0].ops, &Op{Kind: Read, Unit: unit, Blocks: unitBlocks / 2, Ordered: 1, N: 1},
			&Op{Kind: Read, Unit: unit, LBA: unitBlocks / 2, Blocks: unitBlocks / 2, N: 1})
	}
}

// leave has every host log out.
func (w *world) leave() {
	w.verifying = false
	for _, h := range w.hosts {
		if h.alive {
			h.ops = append(h.ops, &Op{Kind: LogoutSession, Host: h.n, Now: 1})
		}
	}
}

// checkEnd looks at what is left when every session has ended.
func (w *world) checkEnd() {
	if w.failure != nil {
		return
	}
	if err := w.asm.Leaks(); err != nil {
		w.fail("leak", "%v", err)
	}
	if n := w.rings[0].OpenFDs(); n != len(w.disks) {
		w.fail("leak", "%d descriptors besides those of the media", n-len(w.disks))
	}
	for i, r := range w.rings {
		m := w.recv[i]
		if n := r.FreeBuffers(); n != m {
			w.fail("leak", "core %d: %d of %d receive buffers are free", i, n, m)
		}
	}
}
