package lun

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"lunar/lun/blk"
	"lunar/scsi"
	"lunar/scsi/sam"
)

// copyWorld is a world with two more units at home on the other reactor: far, which the
// initiator of both nexuses sees beside the unit, and hidden, which it does not.
type copyWorld struct {
	*world
	far, hidden         *Unit
	farDisk, hiddenDisk *disk
	m                   *Map
}

// noise is what no two blocks of, and no two disks, have in common.
var noise = func() []byte {
	r, b := rand.New(rand.NewPCG(1, 2)), make([]byte, testBytes+3*testBlock)
	for i := 0; i < len(b); i += 8 {
		binary.NativeEndian.PutUint64(b[i:], r.Uint64())
	}
	return b
}()

func identity(n byte) scsi.Identity { return scsi.IdentityOf([16]byte{15: n}) }

// newCopyWorld has no unit attentions pending. Entry 1 of its map is far.
func newCopyWorld(t testing.TB, far Entry) *copyWorld {
	t.Helper()
	w := &copyWorld{world: newWorldOf(t, scsi.Config{Identity: identity(1)})}
	add := func(n byte) (*Unit, *disk) {
		d := newDisk()
		u := NewUnit(away, scsi.New(scsi.Config{Info: d.Info(), Identity: identity(n)}), d)
		w.locals[away].Attach(u, func(uint32) blk.Queue { return d })
		return u, d
	}
	w.far, w.farDisk = add(2)
	w.hidden, w.hiddenDisk = add(3)
	far.Unit = w.far
	w.m = NewMap(sam.Path{}, []Entry{{Unit: w.unit}, far}, nil)
	for n, d := range []*disk{w.disk, w.farDisk, w.hiddenDisk} {
		copy(d.mem, noise[n*testBlock:])
	}
	for n := range w.locals {
		for _, u := range []*Unit{w.unit, w.far, w.hidden} {
			w.locals[n].Open(u, sam.Nexus(n), nil)
			w.settle()
			w.at(u, n, "00")
		}
	}
	return w
}

// at carries a command without data out at a unit, in the name of the nexus of a reactor.
func (w *copyWorld) at(u *Unit, r int, cdb string) *sam.Command {
	w.t.Helper()
	c := command(w.t, r, 1<<41, cdb)
	if !w.locals[r].Begin(u, c) {
		w.want(c.Owner, Begun)
	}
	if c.Action == sam.Execute && !w.locals[r].Execute(u, c) {
		w.want(c.Owner, Executed)
	}
	w.locals[r].Finish(u, c)
	w.settle()
	return c
}

// part is a segment of a list, in blocks; source and destination are numbers for identity.
type part struct {
	source, destination byte
	from, to            uint64
	blocks              uint16
}

func copyListOf(parts ...part) []byte {
	b := make([]byte, 16)
	for n := range byte(3) {
		id := identity(n + 1).NAA
		b = append(b, 0xe4, 0, 0, 0, 1, 3, 0, 16)
		b = append(append(b, id[:]...), 0, 0, 0, 0, 0, 0, 2, 0)
	}
	for _, p := range parts {
		b = append(b, 2, 0, 0, 0x18, 0, p.source-1, 0, p.destination-1, 0, 0, byte(p.blocks>>8), byte(p.blocks))
		b = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, p.from), p.to)
	}
	binary.BigEndian.PutUint16(b[2:], 3*32)
	binary.BigEndian.PutUint32(b[8:], uint32(len(parts)*28))
	b[0] = 9 // LIST IDENTIFIER
	return b
}

// start begins an EXTENDED COPY at the unit and executes it; it may have ended.
func (w *copyWorld) start(r int, id uint64, parts ...part) *sam.Command {
	w.t.Helper()
	list := copyListOf(parts...)
	list[0] = byte(id)
	c := command(w.t, r, id, fmt.Sprintf("83 00 00 00 00 00 00 00 00 00 %08x", len(list)))
	c.Path, c.ExpectedOutBytes = w.m.Path(), int64(len(list))
	w.begin(r, c)
	if c.Action != sam.Execute {
		w.t.Fatalf("action %d, status %v, sense %+v", c.Action, c.Status, c.Sense)
	}
	if w.execute(r, c, list) {
		w.events[c.Owner] = append(w.events[c.Owner], Event{Kind: Executed, Command: c})
	}
	return c
}

// end waits for the end of a copy and checks that nothing is left of it.
func (w *copyWorld) end(r int, c *sam.Command) {
	w.t.Helper()
	w.want(c.Owner, Executed)
	w.locals[r].Finish(w.unit, c)
	w.idle()
	for _, u := range []*Unit{w.unit, w.far, w.hidden} {
		for n, l := range w.locals {
			if !l.Idle(u) {
				w.t.Fatalf("a unit is not idle on reactor %d: %d commands, %d begun, %d waiting", n, u.Tasks(n), u.begun, len(u.waiting))
			}
		}
	}
	for n, l := range w.locals {
		if l.pieces != 0 || len(l.freeCopies) != len(l.copies) || l.waitingCopies != nil {
			w.t.Fatalf("reactor %d: %d pieces, %d of %d copies, %d waiting", n, l.pieces, len(l.freeCopies), len(l.copies), len(l.waitingCopies))
		}
	}
}

func (w *copyWorld) disks() map[byte]*disk {
	return map[byte]*disk{1: w.disk, 2: w.farDisk, 3: w.hiddenDisk}
}

// wantCopied checks that the disks hold what copying the parts in order leaves of before.
func (w *copyWorld) wantCopied(before map[byte][]byte, parts ...part) {
	w.t.Helper()
	for _, p := range parts {
		copy(before[p.destination][p.to*testBlock:][:int(p.blocks)*testBlock], before[p.source][p.from*testBlock:][:int(p.blocks)*testBlock])
	}
	for n, d := range w.disks() {
		if i := firstDifference(d.mem, before[n]); i < testBytes {
			w.t.Fatalf("unit %d differs at byte %d", n, i)
		}
	}
}

func (w *copyWorld) image() map[byte][]byte {
	all := map[byte][]byte{}
	for n, d := range w.disks() {
		all[n] = bytes.Clone(d.mem)
	}
	return all
}

// What is copied is what stood there, whichever units, from whichever reactor, overlapping
// or not.
func TestCopy_Copies(t *testing.T) {
	for name, parts := range map[string][]part{
		"nothing":             {},
		"no blocks":           {{1, 1, 5, 9, 0}},
		"one block":           {{1, 1, 5, 9, 1}},
		"one piece and more":  {{1, 1, 5, 8000, 513}},
		"long":                {{1, 1, 0, 8192, 8192}},
		"to the other":        {{1, 2, 3, 4096, 5000}},
		"from the other":      {{2, 1, 4096, 3, 5000}},
		"at the other":        {{2, 2, 0, 8192, 3000}},
		"in order":            {{1, 2, 0, 100, 3000}, {2, 1, 100, 8000, 3000}, {1, 1, 8000, 20, 3000}},
		"up by one":           {{1, 1, 100, 101, 4000}},
		"up by a piece":       {{1, 1, 100, 612, 4000}},
		"up by nearly all":    {{1, 1, 100, 4099, 4000}},
		"down by one":         {{1, 1, 101, 100, 4000}},
		"down by a piece":     {{1, 1, 612, 100, 4000}},
		"to itself":           {{1, 1, 100, 100, 4000}},
		"overlap, elsewhere":  {{2, 2, 100, 101, 4000}},
		"same place, far off": {{1, 2, 100, 101, 4000}},
	} {
		for r := range 2 {
			w := newCopyWorld(t, Entry{})
			before := w.image()
			c := w.start(r, 9, parts...)
			w.end(r, c)
			if c.Status != sam.Good {
				t.Fatalf("%s: %v %+v", name, c.Status, c.Sense)
			}
			w.wantCopied(before, parts...)
			total := uint64(0)
			for _, p := range parts {
				total += uint64(p.blocks) * testBlock
			}
			c = command(t, r, 10, "84 00 09 00 00 00 00 00 00 00 00 00 00 0c")
			in := w.do(r, c, nil)
			if want := fmt.Appendf(nil, "\x00\x00\x00\x08\x01\x00%c\x00", rune(len(parts))); !bytes.Equal(in[:8], want) ||
				uint64(binary.BigEndian.Uint32(in[8:])) != total {
				t.Errorf("%s: status of the copy %x, %d bytes", name, in, total)
			}
		}
	}
}

// What keeps the initiator from reading or writing keeps its copies from it, and they say at
// which segment. Nothing is written then.
func TestCopy_Refused(t *testing.T) {
	fails := func(*blk.Request) blk.Result { return blk.MediumError }
	for name, k := range map[string]struct {
		far   Entry
		setUp func(w *copyWorld)
		part  part
		code  uint16
	}{
		"a unit outside the map, read":                {Entry{}, nil, part{3, 1, 0, 0, 100}, 0x0d02},
		"a unit outside the map, write":               {Entry{}, nil, part{1, 3, 0, 0, 100}, 0x0d02},
		"a unit that is not the initiator's to write": {Entry{ReadOnly: true}, nil, part{1, 2, 0, 0, 100}, 0x0d01},
		"behind the end of the source":                {Entry{}, nil, part{2, 1, testBytes/testBlock - 1, 0, 2}, 0},
		"behind the end of the destination":           {Entry{}, nil, part{1, 2, 0, testBytes/testBlock - 1, 2}, 0},
		"reserved by another, destination":            {Entry{}, func(w *copyWorld) { w.at(w.far, away, "16") }, part{1, 2, 0, 0, 100}, 0x0d01},
		"reserved by another, source":                 {Entry{}, func(w *copyWorld) { w.at(w.far, away, "16") }, part{2, 1, 0, 0, 100}, 0x0d01},
		"a stopped unit":                              {Entry{}, func(w *copyWorld) { w.at(w.far, away, "1b") }, part{1, 2, 0, 0, 100}, 0x0d01},
		"a source that cannot be read":                {Entry{}, func(w *copyWorld) { w.farDisk.refuse = fails }, part{2, 1, 0, 0, 100}, 0x0d01},
		"a destination that cannot be written":        {Entry{}, func(w *copyWorld) { w.farDisk.refuse = fails }, part{1, 2, 0, 0, 100}, 0x0d01},
		"a unit that goes":                            {Entry{}, func(w *copyWorld) { w.far.Retire() }, part{1, 2, 0, 0, 100}, 0x0d02},
		"a unit that goes, and would have been read":  {Entry{}, func(w *copyWorld) { w.far.Retire() }, part{2, 1, 0, 0, 100}, 0x0d02},
		"an ACA of another nexus at the destination":  {Entry{}, func(w *copyWorld) { w.at(w.far, away, "28 00 ff ff ff ff 00 00 01 04") }, part{1, 2, 0, 0, 100}, 0x0d01},
	} {
		w := newCopyWorld(t, k.far)
		if k.setUp != nil {
			k.setUp(w)
		}
		before := w.image()
		c := w.start(home, 9, part{1, 1, 0, 5000, 10}, k.part)
		w.end(home, c)
		if c.Status != sam.CheckCondition || c.Sense.Key != sam.CopyAborted || c.Sense.Code != k.code ||
			!c.Sense.HasSegment || c.Sense.Segment != 1 || !c.Sense.Field.Valid || c.Sense.HasInfo {
			t.Errorf("%s: %v %+v", name, c.Status, c.Sense)
		}
		w.wantCopied(before, part{1, 1, 0, 5000, 10})
	}
}

// A unit attention is for whoever asks the unit itself.
func TestCopy_LeavesAttentions(t *testing.T) {
	w := newCopyWorld(t, Entry{})
	w.locals[home].Attend(w.far, home, scsi.CapacityChanged)
	w.settle()
	c := w.start(home, 9, part{1, 2, 0, 0, 100}, part{2, 1, 0, 0, 100})
	w.end(home, c)
	if c.Status != sam.Good {
		t.Errorf("%v %+v", c.Status, c.Sense)
	}
	if c := w.at(w.far, home, "00"); c.Sense.Code != 0x2a09 {
		t.Errorf("sense %+v", c.Sense)
	}
}
