package lun

import (
	"sync"
	"sync/atomic"
	"testing"

	"lunar/lun/blk"
	"lunar/scsi/sam"
)

// newGateWorld is a world whose unit reaches its medium from both reactors.
func newGateWorld(t testing.TB) *world {
	w := newWorld(t)
	w.locals[away].Attach(w.unit, func(uint32) blk.Queue { return w.disk })
	w.open()
	return w
}

const read1, write1, startUnit, stopUnit = "28 00 00 00 00 00 00 00 01", "2a 00 00 00 00 08 00 00 01", "1b 00 00 00 01", "1b"

// issue begins a command without waiting, and says whether it has begun.
func (w *world) issue(r int, id uint64, attribute sam.Attribute, cdb string) (c *sam.Command, begun bool) {
	c = command(w.t, r, id, cdb)
	c.Attribute = attribute
	return c, w.locals[r].Begin(w.unit, c)
}

func (w *world) mustIssue(r int, id uint64, attribute sam.Attribute, cdb string, begun bool) *sam.Command {
	w.t.Helper()
	c, got := w.issue(r, id, attribute, cdb)
	if got != begun {
		w.t.Fatalf("%s on reactor %d: begun %v, want %v", cdb, r, got, begun)
	}
	return c
}

func (w *world) finish(r int, commands ...*sam.Command) {
	for _, c := range commands {
		w.locals[r].Finish(w.unit, c)
	}
	w.settle()
}

// A plain read or write runs where its connection is and sends no message; every
// other command begins at the home.
func TestGate_PlainCommandsStay(t *testing.T) {
	w := newGateWorld(t)
	for _, cdb := range []string{read1, write1, "08 00 00 00 01", "8a 00 00 00 00 00 00 00 00 00 00 00 00 01"} {
		c := w.mustIssue(away, 1, sam.Simple, cdb, true)
		q := w.move(away, c, make([]byte, testBlock))
		if q.Result != blk.OK || len(w.pipes[away][home]) > 0 {
			t.Fatalf("%s: %+v, %d messages to the home", cdb, q, len(w.pipes[away][home]))
		}
		w.finish(away, c)
	}
	if w.locals[away].Passed() != 4 {
		t.Errorf("passed %d", w.locals[away].Passed())
	}
	for _, cdb := range []string{
		"00", "35", "1a 00 3f 00 ff", "2f 00 00 00 00 00 00 00 01",
		"28 00 ff ff ff ff 00 00 01",    // outside the medium: the home has the sense
		"28 01 00 00 00 00 00 00 01",    // a bit nobody evaluates
		"28 00 00 00 00 00 00 00 01 04", // NACA
	} {
		c := w.mustIssue(away, 2, sam.Simple, cdb, false)
		w.want(c.Owner, Begun)
		w.finish(away, c)
	}
	w.idle()
}

// A unit attention is told of at the home, and once told reads stay again.
func TestGate_AttentionGoesHome(t *testing.T) {
	w := newGateWorld(t)
	w.manage(home, 9, sam.LogicalUnitReset)
	w.want(Owner(home, 9), Managed)
	c := w.mustIssue(away, 1, sam.Simple, read1, false)
	w.want(c.Owner, Begun)
	if c.Status != sam.CheckCondition || c.Sense.Code != 0x2903 {
		t.Errorf("%v %+v", c.Status, c.Sense)
	}
	w.finish(away, c)
	w.finish(away, w.mustIssue(away, 2, sam.Simple, read1, true))
	w.attention(home, 0x2903)
	w.idle()
}

// SAM-5 §8.5.3: an ORDERED command waits for everything before it and is waited for
// by everything behind it, on whatever reactor that runs.
func TestGate_OrderedRunsAlone(t *testing.T) {
	for _, at := range []int{home, away} {
		w := newGateWorld(t)
		before := [2]*sam.Command{w.mustIssue(home, 1, sam.Simple, read1, true), w.mustIssue(away, 1, sam.Simple, read1, true)}
		ordered := w.mustIssue(at, 2, sam.Ordered, write1, false)
		w.settle()
		var behind [2]*sam.Command
		for r := range behind {
			behind[r] = w.mustIssue(r, 3, sam.Simple, read1, false)
		}
		w.want(ordered.Owner)
		w.finish(home, before[home])
		w.want(ordered.Owner)
		w.finish(away, before[away])
		w.want(ordered.Owner, Begun)
		for r := range behind {
			w.want(behind[r].Owner)
		}
		head := w.mustIssue(home, 4, sam.HeadOfQueue, read1, true)
		w.finish(at, ordered)
		for r := range behind {
			w.want(behind[r].Owner, Begun)
		}
		w.finish(home, head, behind[home])
		w.finish(away, behind[away])
		w.finish(away, w.mustIssue(away, 5, sam.Simple, read1, true)) // open again
		w.idle()
	}
}

// SBC-3 §5.2: between the halves of COMPARE AND WRITE nothing runs, not even at the
// head of the queue, and it starts beside nothing itself, whatever its attribute.
func TestGate_CompareAndWriteIsIndivisible(t *testing.T) {
	const compare1 = "89 00 00 00 00 00 00 00 00 08 00 00 00 01"
	for _, attribute := range []sam.Attribute{sam.Simple, sam.Ordered, sam.HeadOfQueue} {
		w := newGateWorld(t)
		before := w.mustIssue(away, 1, sam.Simple, write1, true)
		compare := w.mustIssue(home, 2, attribute, compare1, false)
		behind := w.mustIssue(home, 3, sam.Simple, write1, false)
		w.want(compare.Owner)
		w.finish(away, before)
		w.want(compare.Owner, Begun)
		head, second := w.mustIssue(home, 4, sam.HeadOfQueue, write1, false), w.mustIssue(away, 5, sam.Simple, write1, false)
		w.want(head.Owner)
		w.want(behind.Owner)
		w.want(second.Owner)
		w.disk.hold = true
		if w.execute(home, compare, make([]byte, 2*testBlock)) {
			t.Fatal("it is done before the medium was asked")
		}
		w.settle()
		w.want(head.Owner)
		w.drive()
		w.want(compare.Owner, Executed)
		w.want(head.Owner)
		w.finish(home, compare)
		w.want(head.Owner, Begun)
		w.want(behind.Owner, Begun)
		w.want(second.Owner, Begun)
		w.finish(home, head, behind)
		w.finish(away, second)
		w.finish(away, w.mustIssue(away, 6, sam.Simple, read1, true)) // open again
		w.idle()
	}
}

// What changes the unit for all is quiet too: a stopped unit refuses the reads that
// came behind, wherever they came.
func TestGate_StopIsSeenEverywhere(t *testing.T) {
	w := newGateWorld(t)
	running := w.mustIssue(away, 1, sam.Simple, read1, true)
	stop := w.mustIssue(home, 2, sam.Simple, stopUnit, false)
	w.finish(away, running)
	w.want(stop.Owner, Begun)
	if !w.execute(home, stop, nil) { // it flushes first
		w.want(stop.Owner, Executed)
	}
	if stop.Status != sam.Good {
		t.Fatalf("stop: %v %+v", stop.Status, stop.Sense)
	}
	w.finish(home, stop)
	refused := w.mustIssue(away, 3, sam.Simple, read1, false)
	w.want(refused.Owner, Begun)
	if refused.Status != sam.CheckCondition || refused.Sense.Code != 0x0402 {
		t.Errorf("a read of the stopped unit: %v %+v", refused.Status, refused.Sense)
	}
	w.finish(away, refused)
	start := w.mustIssue(home, 4, sam.Simple, startUnit, true)
	w.execute(home, start, nil)
	w.finish(home, start)
	w.finish(away, w.mustIssue(away, 5, sam.Simple, read1, true))
	w.idle()
}

// A function ends commands on every side, and ends itself after the last of them; a
// command that came behind it in its own connection is not for it, even before the
// home has heard of the function.
func TestGate_FunctionsReachEverySide(t *testing.T) {
	for _, f := range unitFunctions {
		w := newGateWorld(t)
		mine, other := w.mustIssue(away, 1, sam.Simple, read1, true), w.mustIssue(home, 1, sam.Simple, read1, true)
		w.locals[away].Manage(w.unit, &Management{Function: f, Nexus: away, Owner: Owner(away, 9)})
		later := w.mustIssue(away, 2, sam.Simple, read1, true)
		w.want(mine.Owner, Abort)
		hit := f != sam.AbortTaskSet
		if got := w.take(other.Owner); hit != (len(got) == 1) {
			t.Fatalf("function %d: the other nexus got %+v", f, got)
		}
		if hit {
			w.want(Owner(away, 9))
			w.finish(home, other)
		}
		w.want(Owner(away, 9))
		w.finish(away, mine)
		w.want(Owner(away, 9), Managed)
		w.want(later.Owner)
		w.finish(away, later)
		if !hit {
			w.finish(home, other)
		}
		w.idle()
	}
}

// A command that waits for its turn can be ended without it, by its owner or by a
// function, and what waited behind it goes on.
func TestGate_WaitingCommandsCanBeEnded(t *testing.T) {
	for _, byFunction := range []bool{false, true} {
		w := newGateWorld(t)
		running := w.mustIssue(home, 1, sam.Simple, read1, true)
		ordered := w.mustIssue(away, 2, sam.Ordered, write1, false)
		w.settle()
		behind := w.mustIssue(home, 3, sam.Simple, read1, false)
		if byFunction {
			w.manage(away, 9, sam.AbortTaskSet)
			w.want(ordered.Owner, Abort, Begun)
		} else {
			w.locals[away].Withdraw(w.unit, ordered.Owner)
			w.want(ordered.Owner, Begun)
		}
		if ordered.Action != sam.Complete {
			t.Errorf("ended with action %d", ordered.Action)
		}
		w.want(behind.Owner, Begun)
		w.finish(away, ordered)
		if byFunction {
			w.want(Owner(away, 9), Managed)
		}
		w.finish(home, running, behind)
		w.finish(away, w.mustIssue(away, 4, sam.Simple, read1, true))
		w.locals[away].Withdraw(w.unit, 77) // nobody
		w.idle()
	}
}

// Reactors that come and go as they like are never inside while the home, having
// closed the gate and found it empty, is alone; and the home never waits for ever.
func TestGate_Stress(t *testing.T) {
	const reactors, laps = 3, 20000
	var g Gate
	for r := range reactors {
		g.join(r)
	}
	for n := range sam.Nexus(40) {
		g.allow(n, n != 7)
	}
	var alone atomic.Bool
	knocks := make(chan struct{}, 1)
	var wg sync.WaitGroup
	for r := range reactors {
		wg.Go(func() {
			for range laps {
				if g.admits(7) || !g.admits(39) || g.admits(1000) {
					t.Error("admits the wrong nexus")
				}
				if g.enter(r) && alone.Load() {
					t.Error("inside while the home is alone")
				}
				if g.leave(r) {
					select {
					case knocks <- struct{}{}:
					default:
					}
				}
			}
		})
	}
	over := make(chan struct{})
	go func() { wg.Wait(); close(over) }()
	for lap := 0; ; lap++ {
		g.close()
		for !g.empty() {
			select {
			case <-knocks:
			case <-over:
			}
		}
		alone.Store(true)
		alone.Store(false)
		g.open()
		select {
		case <-over:
			if lap == 0 {
				t.Error("the home was never alone")
			}
			return
		default:
		}
	}
}

// A reservation closes the gate to everyone but its holder, on whatever reactor, until
// it ends.
func TestGate_Reservation(t *testing.T) {
	w := newGateWorld(t)
	for _, lost := range []bool{false, true} {
		r, begun := w.issue(home, 1, sam.Simple, "16")
		if !begun || w.locals[home].Execute(w.unit, r) != true || r.Status != sam.Good {
			t.Fatalf("RESERVE(6): %v, %v", begun, r.Status)
		}
		w.finish(home, r)
		w.finish(home, w.mustIssue(home, 2, sam.Simple, read1, true))
		c := w.mustIssue(away, 3, sam.Simple, read1, false)
		w.want(c.Owner, Begun)
		if c.Status != sam.ReservationConflict {
			t.Errorf("a read of another nexus: %v", c.Status)
		}
		w.finish(away, c)
		if lost {
			w.locals[home].Lose(w.unit, 0)
			w.attention(home, 0x2907)
		} else {
			r = w.mustIssue(home, 4, sam.Simple, "17", true)
			w.locals[home].Execute(w.unit, r)
			w.finish(home, r)
		}
		w.finish(away, w.mustIssue(away, 5, sam.Simple, read1, true))
	}
	w.idle()
}
