package lun

import (
	"bytes"
	"testing"

	"lunar/lun/blk"
	"lunar/scsi/sam"
)

// sharingDisk is a disk whose blocks can be shared, eight by eight.
type sharingDisk struct {
	*disk
	// result is how it ends; OK shares.
	result blk.Result
	shares int
}

func (d *sharingDisk) Describe() string { return "a disk that shares" }

func (d *sharingDisk) Granule(from blk.Backend) int64 {
	if _, ok := from.(*sharingDisk); !ok {
		return 0
	}
	return 8 * testBlock
}

func (d *sharingDisk) Share(from blk.Backend, source, destination, n int64, _ bool) blk.Result {
	d.shares++
	if d.result == blk.OK {
		copy(d.mem[destination:][:n], from.(*sharingDisk).mem[source:][:n])
	}
	return d.result
}

// shareWorld is a copyWorld whose unit and far share, when the test says so.
type shareWorld struct {
	*copyWorld
	media   map[*Unit]*sharingDisk
	pending []*Sharing
}

func (w *shareWorld) Share(s *Sharing) { w.pending = append(w.pending, s) }

func newShareWorld(t testing.TB, result blk.Result) *shareWorld {
	t.Helper()
	w := &shareWorld{copyWorld: newCopyWorld(t, Entry{}), media: map[*Unit]*sharingDisk{}}
	for u, d := range map[*Unit]*disk{w.unit: w.disk, w.far: w.farDisk} {
		w.media[u] = &sharingDisk{disk: d, result: result}
		u.backend = w.media[u]
	}
	for _, l := range w.locals {
		l.ShareBy(w)
	}
	return w
}

// share carries out what is pending, the newest first.
func (w *shareWorld) share() {
	for w.settle(); len(w.pending) > 0; w.settle() {
		s := w.pending[len(w.pending)-1]
		w.pending = w.pending[:len(w.pending)-1]
		s.Do()
		w.locals[s.Reactor()].Shared(s)
	}
}

// ways are segments of 350 granules, and what of them does not fit into any.
var ways = []part{
	{1, 2, 0, 8192, 2800}, {2, 1, 16, 0, 2800}, {1, 1, 0, 8192, 2800}, {1, 2, 0, 8192, 2803}, {1, 2, 3, 8192, 2800}, {1, 2, 0, 3, 7},
}

// What fits is shared, and what does not moves; with a medium that cannot after all everything
// moves. Either way the destination reads as the source.
func TestShare_InsteadOfMoving(t *testing.T) {
	for r := range 2 {
		for _, p := range ways {
			for _, result := range []blk.Result{blk.OK, blk.Unsupported} {
				w := newShareWorld(t, result)
				source, destination := w.disks()[p.source], w.disks()[p.destination]
				want := bytes.Clone(source.mem[p.from*testBlock:][:int(p.blocks)*testBlock])
				c := w.start(r, 9, p)
				w.share()
				w.end(r, c)
				if got := destination.mem[p.to*testBlock:][:len(want)]; c.Status != sam.Good || !bytes.Equal(got, want) {
					t.Errorf("%+v: %v %+v, equal %v", p, c.Status, c.Sense, bytes.Equal(got, want))
				}
				moved, fits := destination.served[blk.Write], (p.from|p.to)%8 == 0 && p.blocks >= 8
				if all := (int(p.blocks) + 511) / 512; result == blk.Unsupported && moved != all {
					t.Errorf("%+v: %d of %d pieces moved", p, moved, all)
				}
				rest := min(p.blocks%8, 1)
				if result == blk.OK && fits && moved != int(rest) || !fits && destination.served[blk.Read]+source.served[blk.Read] == 0 {
					t.Errorf("%+v: %d pieces moved", p, moved)
				}
				w.pending = nil
			}
		}
	}
}

// A function at either unit, or the end of the copy's own command, waits for what the file
// system does, and nothing is shared afterwards.
func TestShare_EndsWithItsCommands(t *testing.T) {
	reset := func(at *Unit, w *shareWorld) uint64 {
		m := &Management{Function: sam.LogicalUnitReset, Nexus: away, Owner: Owner(away, 5)}
		w.locals[away].Manage(at, m)
		return m.Owner
	}
	for name, end := range map[string]func(w *shareWorld, c *sam.Command) uint64{
		"stop":                 func(w *shareWorld, c *sam.Command) uint64 { w.locals[home].Stop(w.unit, c); return 0 },
		"reset of destination": func(w *shareWorld, _ *sam.Command) uint64 { return reset(w.far, w) },
		"reset of source":      func(w *shareWorld, _ *sam.Command) uint64 { return reset(w.unit, w) },
	} {
		for _, result := range []blk.Result{blk.OK, blk.Unsupported, blk.NoSpace} {
			w := newShareWorld(t, result)
			c := w.start(home, 9, part{1, 2, 0, 8192, 8000})
			w.settle()
			owner := end(w, c)
			w.settle()
			if len(w.pending) != maxCopyPieces {
				t.Fatalf("%s: %d under way", name, len(w.pending))
			}
			if e := w.events[owner]; owner != 0 && len(e) != 0 {
				t.Fatalf("%s: %+v while it is shared", name, e)
			}
			if len(w.events[c.Owner]) > 0 && w.events[c.Owner][0].Kind == Abort {
				w.take(c.Owner)
				w.locals[home].Stop(w.unit, c)
			}
			w.share()
			if name == "reset of source" {
				// It ends the command of the copy as well, and waits for that.
				w.want(c.Owner, Executed)
				w.locals[home].Finish(w.unit, c)
				w.want(owner, Managed)
				w.idle()
			} else {
				if owner != 0 {
					w.want(owner, Managed)
				}
				w.end(home, c)
			}
			if c.Status == sam.Good || w.media[w.far].shares != maxCopyPieces {
				t.Errorf("%s: %v, %d shared", name, c.Status, w.media[w.far].shares)
			}
		}
	}
}

// What keeps a write out keeps sharing out, and the store that is full is said to be.
func TestShare_Refused(t *testing.T) {
	w := newShareWorld(t, blk.NoSpace)
	c := w.start(home, 9, part{1, 2, 0, 8192, 2800})
	w.share()
	w.end(home, c)
	if c.Sense.Key != sam.CopyAborted || w.farDisk.served[blk.Write] != 0 {
		t.Errorf("%v %+v, %d writes", c.Status, c.Sense, w.farDisk.served[blk.Write])
	}
	w = newShareWorld(t, blk.OK)
	w.at(w.far, away, "16 00 00 00 00 00") // RESERVE(6) by the other nexus
	c = w.start(home, 9, part{1, 2, 0, 8192, 2800})
	w.share()
	w.end(home, c)
	if c.Status == sam.Good || w.media[w.far].shares != 0 {
		t.Errorf("%v, %d shared", c.Status, w.media[w.far].shares)
	}
}

// A reset of a source that is not the copy's unit ends the read that a piece holds, and by that the
// copy alone.
func TestShare_ResetOfASourceElsewhere(t *testing.T) {
	w := newShareWorld(t, blk.OK)
	c := w.start(home, 9, part{2, 1, 0, 8192, 8000})
	w.settle()
	m := &Management{Function: sam.LogicalUnitReset, Nexus: away, Owner: Owner(away, 5)}
	w.locals[away].Manage(w.far, m)
	w.settle()
	if len(w.pending) != maxCopyPieces || len(w.events) != 0 {
		t.Fatalf("%d under way, events %v", len(w.pending), w.events)
	}
	w.share()
	w.want(m.Owner, Managed)
	w.end(home, c)
	if c.Sense.Key != sam.CopyAborted || w.media[w.unit].shares != maxCopyPieces {
		t.Errorf("%v %+v, %d shared", c.Status, c.Sense, w.media[w.unit].shares)
	}
}
