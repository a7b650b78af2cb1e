package lun

import (
	"slices"
	"testing"

	"lunar/internal/conform"
	"lunar/scsi/sam"

	"pgregory.net/rapid"
)

// waits are the owners of the commands that wait, in order.
func (w *world) waits() (ids []uint64) {
	for _, c := range w.unit.waiting {
		ids = append(ids, OwnerBits(c.Owner))
	}
	return ids
}

// SIMPLE commands that wait do so in the order of their priorities, and among equal ones
// in that of their arrival; nothing passes what passes nothing, and no other attribute
// has a priority. When they may, all of them begin at once: nobody is kept waiting.
func TestPriority_OrdersWhatWaits(t *testing.T) {
	conform.Covers(t, "N-25")
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t)
		w.t = rt
		first := command(rt, home, 1, "28 00 00000000 00 0001 00")
		first.Attribute = sam.Ordered
		w.begin(home, first)
		n := uint64(rapid.IntRange(1, 12).Draw(rt, "commands"))
		cs := map[uint64]*sam.Command{}
		for id := uint64(2); id < n+2; id++ {
			c := command(rt, home, id, "28 00 00000000 00 0001 00")
			c.Attribute = rapid.SampledFrom([]sam.Attribute{sam.Simple, sam.Simple, sam.Simple, sam.Ordered, sam.Untagged}).Draw(rt, "attribute")
			c.Priority = sam.Priority(rapid.IntRange(0, 15).Draw(rt, "priority"))
			cs[id] = c
			if w.locals[home].Begin(w.unit, c) {
				rt.Fatal("it does not wait")
			}
		}
		got := w.waits()
		at := func(id uint64) int { return slices.Index(got, id) }
		for a := uint64(2); a < n+2; a++ {
			for b := a + 1; b < n+2; b++ {
				if at(b) < at(a) && !passes(cs, a, b) {
					rt.Fatalf("%d passes %d: %v", b, a, got)
				}
				if at(b) == at(a)+1 && passes(cs, a, b) {
					rt.Fatalf("%d stands behind %d: %v", b, a, got)
				}
			}
		}
		finishAll(rt, w, first, cs, got)
	})
}

// passes says whether b, which came later, may pass a and has a reason to.
func passes(cs map[uint64]*sam.Command, a, b uint64) bool {
	for id := a; id <= b; id++ {
		if cs[id].Attribute != sam.Simple {
			return false
		}
	}
	return cs[b].Priority.Before(cs[a].Priority)
}

// finishAll ends the command that runs, and then all that begin, until none is left; up to
// the next ORDERED one all begin together.
func finishAll(rt *rapid.T, w *world, first *sam.Command, cs map[uint64]*sam.Command, order []uint64) {
	w.locals[home].Finish(w.unit, first)
	w.settle()
	for len(order) > 0 {
		k := 1
		if cs[order[0]].Attribute != sam.Ordered {
			for k < len(order) && cs[order[k]].Attribute != sam.Ordered {
				k++
			}
		}
		for _, id := range order[:k] {
			w.want(cs[id].Owner, Begun)
		}
		if left := w.waits(); !slices.Equal(left, order[k:]) {
			rt.Fatalf("%v wait, not %v", left, order[k:])
		}
		for _, id := range order[:k] {
			w.locals[home].Finish(w.unit, cs[id])
		}
		w.settle()
		order = order[k:]
	}
	if n := w.unit.Tasks(home); n != 0 {
		rt.Fatalf("%d commands are left", n)
	}
}

// 1 is the highest and 15 the lowest; none is in the middle.
func TestPriority_Values(t *testing.T) {
	conform.Covers(t, "N-25")
	if p := sam.Priority(0); !sam.Priority(1).Before(2) || !sam.Priority(7).Before(p) || !p.Before(9) || p.Before(8) || p.Before(0) || sam.Priority(15).Before(14) {
		t.Error("priorities are in another order")
	}
}
