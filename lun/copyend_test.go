package lun

import (
	"encoding/binary"
	"fmt"
	"testing"

	"lunar/lun/blk"
	"lunar/scsi/sam"
)

// answer has the medium of a unit end a request that it holds.
func (w *copyWorld) answer(d *disk) {
	for n, u := range []*Unit{w.unit, w.far, w.hidden} {
		if u.backend == d {
			w.locals[u.home].Complete(uint32(max(n-1, 0))<<16, 0)
		}
	}
	w.settle()
}

// answerOne has one of the requests end that media hold; answerAll has all, and those behind.
func (w *copyWorld) answerOne() {
	d := w.disk
	if len(d.held) == 0 {
		d = w.farDisk
	}
	w.answer(d)
}

func (w *copyWorld) flying() int { return len(w.disk.held) + len(w.farDisk.held) }

func (w *copyWorld) answerAll() {
	for w.flying() > 0 {
		w.answerOne()
	}
}

// At any moment a copy has few pieces under way, and an abort lets those end and starts no
// other: after it nothing is written.
func TestCopy_Stop_Anywhere(t *testing.T) {
	for r := range 2 {
		for _, p := range []part{{1, 1, 0, 8192, 2800}, {1, 2, 0, 100, 2800}, {2, 1, 0, 100, 2800}, {1, 1, 0, 600, 1600}} {
			for answered := 0; ; answered++ {
				w := newCopyWorld(t, Entry{})
				w.disk.hold, w.farDisk.hold = true, true
				c := w.start(r, 9, p)
				w.settle()
				for range answered {
					if n := w.flying(); n > maxCopyPieces {
						t.Fatalf("%d requests in flight", n)
					}
					if w.flying() > 0 {
						w.answerOne()
					}
				}
				if w.flying() == 0 {
					w.end(r, c)
					break
				}
				w.locals[r].Stop(w.unit, c)
				w.settle()
				for n := w.flying(); n > 0; n-- {
					if w.flying() != n || len(w.events) != 0 {
						t.Fatalf("%+v after %d answers: %d in flight of %d, events %v", p, answered, w.flying(), n, w.events)
					}
					w.answerOne()
				}
				w.end(r, c)
				if c.Status != sam.TaskAborted {
					t.Fatalf("status %v", c.Status)
				}
			}
		}
	}
}

// A reset of the destination ends what is under way there and by that the copy, and concludes
// only then.
func TestCopy_ResetOfTheDestination(t *testing.T) {
	w := newCopyWorld(t, Entry{})
	w.farDisk.hold = true
	c := w.start(home, 9, part{1, 2, 0, 100, 8000})
	w.settle()
	m := &Management{Function: sam.LogicalUnitReset, Nexus: away, Owner: Owner(away, 5)}
	w.locals[away].Manage(w.far, m)
	w.settle()
	if n := len(w.farDisk.held); n != maxCopyPieces || len(w.events) != 0 {
		t.Fatalf("%d requests in flight, events %v", n, w.events)
	}
	for len(w.farDisk.held) > 0 {
		w.answer(w.farDisk)
	}
	w.want(m.Owner, Managed)
	w.end(home, c)
	if c.Sense.Key != sam.CopyAborted || c.Sense.Code != 0x0d01 {
		t.Errorf("%v %+v", c.Status, c.Sense)
	}
	if n := w.farDisk.served[blk.Write]; n != maxCopyPieces {
		t.Errorf("%d writes", n)
	}
}

// What waits behind a copy, or at its destination for what is under way there, does not keep
// it from its end: two copies cross each other, with an ORDERED command behind each.
func TestCopy_OrderedBehindBoth(t *testing.T) {
	w := newCopyWorld(t, Entry{})
	w.disk.hold, w.farDisk.hold = true, true
	a := w.start(home, 9, part{1, 2, 0, 100, 4000})
	w.settle()
	// The other copy is the other unit's.
	list := copyListOf(part{2, 1, 8000, 100, 4000})
	b := command(t, away, 11, fmt.Sprintf("83 00 00 00 00 00 00 00 00 00 %08x", len(list)))
	b.Path, b.ExpectedOutBytes = w.m.Path(), int64(len(list))
	w.locals[away].Begin(w.far, b)
	b.Buffer, b.Received = list, len(list)
	w.locals[away].Execute(w.far, b)
	w.settle()
	var ordered []*sam.Command
	for n, u := range []*Unit{w.unit, w.far} {
		c := command(t, n, uint64(20+n), "28 00 00 00 00 00 00 00 01")
		c.Attribute = sam.Ordered
		w.locals[n].Begin(u, c)
		w.settle()
		ordered = append(ordered, c)
	}
	w.answerAll()
	w.want(b.Owner, Executed)
	w.locals[away].Finish(w.far, b)
	w.want(a.Owner, Executed)
	w.locals[home].Finish(w.unit, a)
	for n, u := range []*Unit{w.unit, w.far} {
		w.want(ordered[n].Owner, Begun)
		w.locals[n].Finish(u, ordered[n])
	}
	if a.Status != sam.Good || b.Status != sam.Good {
		t.Errorf("%v %+v, %v %+v", a.Status, a.Sense, b.Status, b.Sense)
	}
	w.idle()
}

// More copies than there are pieces and buffers all end, each with what it was to copy.
func TestCopy_MoreThanPieces_AllEnd(t *testing.T) {
	w := newCopyWorld(t, Entry{})
	w.disk.hold = true
	before := w.image()
	var all []*sam.Command
	var parts []part
	for id := range uint64(12) {
		parts = append(parts, part{1, 2, id, 1200 * id, 1100})
		all = append(all, w.start(int(id%2), id, parts[id]))
		w.settle()
	}
	if n := len(w.disk.held); n != 8 || w.locals[home].pieces != n {
		t.Errorf("%d pieces are under way; 8 buffers there are", n)
	}
	for len(w.disk.held) > 0 {
		w.answer(w.disk)
	}
	for i, c := range all {
		w.want(c.Owner, Executed)
		if c.Status != sam.Good {
			t.Errorf("copy %d: %v %+v", i, c.Status, c.Sense)
		}
		if i < len(all)-1 {
			w.locals[i%2].Finish(w.unit, c)
		}
	}
	w.events[all[11].Owner] = []Event{{Kind: Executed, Command: all[11]}}
	w.end(1, all[11])
	w.wantCopied(before, parts...)
}

// A piece that waits at its unit is called back when its copy is stopped.
func TestCopy_Stop_WhileItWaitsAtItsUnit(t *testing.T) {
	w := newCopyWorld(t, Entry{})
	// COMPARE AND WRITE is alone at the destination, so that nothing passes it.
	caw := command(t, away, 30, "89 00 00 00 00 00 00 00 00 00 00 00 00 01")
	caw.ExpectedOutBytes = 2 * testBlock
	w.locals[away].Begin(w.far, caw)
	w.settle()
	c := w.start(home, 9, part{1, 2, 0, 100, 8000})
	w.settle()
	if n := len(w.far.waiting); n != maxCopyPieces {
		t.Fatalf("%d commands wait", n)
	}
	w.locals[home].Stop(w.unit, c)
	w.want(c.Owner, Executed)
	w.locals[home].Finish(w.unit, c)
	w.take(caw.Owner)
	w.locals[away].Finish(w.far, caw)
	w.settle()
	w.idle()
}

// An ACA does not hold up a copy that has begun, within its own unit (D-27).
func TestCopy_ACAOfItsOwnUnit(t *testing.T) {
	w := newCopyWorld(t, Entry{})
	w.disk.hold = true
	c := w.start(home, 9, part{1, 1, 0, 8192, 4000})
	w.settle()
	w.fault(away)
	w.answerAll()
	w.clearACA(away)
	w.end(home, c)
	if c.Status != sam.Good {
		t.Errorf("%v %+v", c.Status, c.Sense)
	}
}

// What is told of a copy that is aborted counts from its start, whatever was written behind
// what is missing; a copy from its end has that missing until it is done.
func TestCopy_Residual(t *testing.T) {
	const piece = blk.MaxRequestBytes / testBlock
	for name, k := range map[string]struct {
		part part
		// bad is the piece, by its place, that is not written.
		bad      uint64
		has      bool
		residual uint64
	}{
		"the first":           {part{1, 2, 0, 100, 4*piece + 10}, 0, true, 4*piece + 10},
		"the second":          {part{1, 2, 0, 100, 4*piece + 10}, 1, true, 3*piece + 10},
		"the last":            {part{1, 2, 0, 100, 4*piece + 10}, 4, true, 10},
		"the only":            {part{1, 2, 0, 100, 10}, 0, false, 0},
		"from the end, first": {part{1, 1, 0, 700, 4 * piece}, 3, false, 0},
		"from the end, last":  {part{1, 1, 0, 700, 4 * piece}, 0, true, 4 * piece},
	} {
		w := newCopyWorld(t, Entry{})
		for _, d := range w.disks() {
			d.refuse = func(r *blk.Request) blk.Result {
				if r.Op == blk.Write && r.Offset == int64(k.part.to+k.bad*piece)*testBlock {
					return blk.MediumError
				}
				return blk.Running
			}
		}
		c := w.start(home, 9, part{1, 1, 8000, 12000, 8}, k.part)
		w.end(home, c)
		if c.Sense.Code != 0x0d01 || c.Sense.HasInfo != k.has || c.Sense.Info != k.residual {
			t.Errorf("%s: %+v, want %d", name, c.Sense, k.residual)
		}
		c = command(t, home, 10, "84 00 09 00 00 00 00 00 00 00 00 00 00 0c")
		in := w.do(home, c, nil)
		want := uint64(8 * testBlock)
		if k.has {
			want += (uint64(k.part.blocks) - k.residual) * testBlock
		}
		if in[4] != 2 || in[6] != 2 || uint64(binary.BigEndian.Uint32(in[8:])) != want {
			t.Errorf("%s: status %x, want %d bytes", name, in, want)
		}
	}
}
