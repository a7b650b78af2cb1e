package lun

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"lunar/lun/blk"
	"lunar/scsi"
	"lunar/scsi/sam"
)

// extent is consecutive blocks.
type extent struct {
	lba    uint64
	blocks uint32
}

func withRanges(b []byte, ranges []extent) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(16*len(ranges)))
	for _, r := range ranges {
		b = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(b, r.lba), r.blocks)
		b = append(b, 0, 0, 0, 0)
	}
	binary.BigEndian.PutUint16(b, uint16(len(b)-2))
	return b
}

func writeTokenList(token []byte, offset uint64, flags byte, ranges []extent) []byte {
	b := make([]byte, 534)
	b[2] = flags
	binary.BigEndian.PutUint64(b[8:], offset)
	copy(b[16:], token)
	return withRanges(b, ranges)
}

// lun is the number by which both nexuses see a unit.
func (w *copyWorld) lun(u *Unit) sam.LUN {
	if u == w.far {
		return sam.LUNOf(1)
	}
	return sam.LUNOf(0)
}

// launch begins a command with a parameter list and executes it; it may have ended.
func (w *copyWorld) launch(u *Unit, r int, id uint64, cdb string, out []byte) *sam.Command {
	w.t.Helper()
	c := command(w.t, r, id, cdb)
	c.Path, c.LUN, c.ExpectedOutBytes = w.m.Path(), w.lun(u), int64(len(out))
	if !w.locals[r].Begin(u, c) {
		w.want(c.Owner, Begun)
	}
	if c.Action != sam.Execute {
		w.t.Fatalf("%s: action %d, status %v, sense %+v", cdb, c.Action, c.Status, c.Sense)
	}
	c.Buffer = make([]byte, max(c.DataInBytes, c.DataOutBytes))
	c.Received = copy(c.Buffer[:c.DataOutBytes], out)
	if w.locals[r].Execute(u, c) {
		w.events[c.Owner] = append(w.events[c.Owner], Event{Kind: Executed, Command: c})
	}
	return c
}

// conclude waits for the end of a command of launch.
func (w *copyWorld) conclude(u *Unit, c *sam.Command) *sam.Command {
	w.t.Helper()
	w.want(c.Owner, Executed)
	w.locals[OwnerReactor(c.Owner)].Finish(u, c)
	w.settle()
	return c
}

// populate makes a token at a unit and fetches it.
func (w *copyWorld) populate(u *Unit, r int, ranges ...extent) []byte {
	w.t.Helper()
	list := withRanges(make([]byte, 14), ranges)
	if c := w.conclude(u, w.launch(u, r, 70, fmt.Sprintf("83 10 00 00 00 00 00 00 00 46 %08x", len(list)), list)); c.Status != sam.Good {
		w.t.Fatalf("POPULATE TOKEN: %v %+v", c.Status, c.Sense)
	}
	in := w.information(u, r, 0x46)
	if in[5] != 1 || len(in) != 36+514 {
		w.t.Fatalf("information %x", in)
	}
	return in[38:]
}

// information is what RECEIVE ROD TOKEN INFORMATION says of a list identifier.
func (w *copyWorld) information(u *Unit, r int, id byte) []byte {
	w.t.Helper()
	c := w.conclude(u, w.launch(u, r, 71, fmt.Sprintf("84 07 00 00 00 %02x 00 00 00 00 00 00 04 00", id), nil))
	if c.Status != sam.Good {
		w.t.Fatalf("RECEIVE ROD TOKEN INFORMATION: %v %+v", c.Status, c.Sense)
	}
	return c.Buffer[:c.DataInBytes]
}

// use launches a WRITE USING TOKEN with list identifier 9.
func (w *copyWorld) use(u *Unit, r int, token []byte, offset uint64, flags byte, ranges ...extent) *sam.Command {
	w.t.Helper()
	list := writeTokenList(token, offset, flags, ranges)
	return w.launch(u, r, 72, fmt.Sprintf("83 11 00 00 00 00 00 00 00 09 %08x", len(list)), list)
}

// quiet checks that nothing is left of what ran.
func (w *copyWorld) quiet() {
	w.t.Helper()
	w.idle()
	for n, l := range w.locals {
		if l.pieces != 0 || len(l.freeCopies) != len(l.copies) || l.waitingCopies != nil {
			w.t.Fatalf("reactor %d: %d pieces, %d of %d copies, %d waiting", n, l.pieces, len(l.freeCopies), len(l.copies), len(l.waitingCopies))
		}
		for _, u := range []*Unit{w.unit, w.far, w.hidden} {
			if !l.Idle(u) {
				w.t.Fatalf("a unit is not idle on reactor %d", n)
			}
		}
	}
}

// What is written is what stood there when the token was made, whichever unit made it and
// whichever it is written to, from whichever reactor, with a command that waits or not.
func TestToken_Copies(t *testing.T) {
	from := []extent{{3000, 700}, {100, 1}, {9000, 2000}}
	for n := range 16 {
		w := newCopyWorld(t, Entry{})
		source, target, sourceDisk, targetDisk := w.unit, w.unit, w.disk, w.disk
		if n&1 != 0 {
			source, sourceDisk = w.far, w.farDisk
		}
		if n&2 != 0 {
			target, targetDisk = w.far, w.farDisk
		}
		r, immed := n>>2&1, byte(n>>3)
		token := w.populate(source, r, from...)
		var data []byte
		for _, e := range from {
			data = append(data, sourceDisk.mem[e.lba*testBlock:][:int(e.blocks)*testBlock]...)
		}
		want := bytes.Clone(targetDisk.mem)
		data = data[5*testBlock:]
		for _, e := range []extent{{12000, 600}, {200, 9}, {5000, 1500}} {
			data = data[copy(want[e.lba*testBlock:][:int(e.blocks)*testBlock], data):]
		}
		c := w.use(target, r, token, 5, immed, extent{12000, 600}, extent{200, 9}, extent{5000, 1500})
		if w.conclude(target, c); c.Status != sam.Good {
			t.Fatalf("%04b: %v %+v", n, c.Status, c.Sense)
		}
		w.quiet()
		if i := firstDifference(targetDisk.mem, want); i < testBytes {
			t.Fatalf("%04b: differs at %d", n, i)
		}
		if in := w.information(target, r, 9); in[5] != 1 || binary.BigEndian.Uint64(in[16:]) != 2109 {
			t.Errorf("%04b: information %x", n, in)
		}
	}
}

// The block device zero ROD token writes zeros and asks nobody.
func TestToken_Zeros(t *testing.T) {
	w := newCopyWorld(t, Entry{})
	zero := make([]byte, 512)
	copy(zero, []byte{0xff, 0xff, 0, 1, 0, 0, 1, 0xf8})
	want := bytes.Clone(w.farDisk.mem)
	clear(want[100*testBlock:][:3000*testBlock])
	for _, flags := range []byte{0, 1} {
		if c := w.conclude(w.far, w.use(w.far, home, zero, 1<<40, flags, extent{100, 3000})); c.Status != sam.Good {
			t.Fatalf("%v %+v", c.Status, c.Sense)
		}
		w.quiet()
		if i := firstDifference(w.farDisk.mem, want); i < testBytes {
			t.Fatalf("differs at %d", i)
		}
		copy(w.farDisk.mem[100*testBlock:][:3000*testBlock], noise)
	}
}

// A token is of those units only that the initiator sees, and keeps nobody's rights.
func TestToken_Refused(t *testing.T) {
	for name, k := range map[string]struct {
		setUp func(w *copyWorld)
		far   Entry
		code  uint16
	}{
		"the maker is not to be seen": {func(w *copyWorld) { w.m = NewMap(sam.Path{}, []Entry{{Unit: w.unit}, {Unit: w.hidden}}, nil) }, Entry{}, 0x2302},
		"the maker is reserved":       {func(w *copyWorld) { w.at(w.far, away, "16") }, Entry{}, 0x0d04},
		"the maker is gone":           {func(w *copyWorld) { w.far.Retire() }, Entry{}, 0x0d04},
		"the maker was started anew":  {func(w *copyWorld) { w.far.reset(scsi.PowerOn); w.at(w.far, away, "00") }, Entry{}, 0x2308},
		"the maker cannot be read":    {func(w *copyWorld) { w.farDisk.refuse = func(*blk.Request) blk.Result { return blk.MediumError } }, Entry{}, 0x0d04},
	} {
		w := newCopyWorld(t, k.far)
		token := w.populate(w.far, away, extent{0, 100})
		k.setUp(w)
		before := bytes.Clone(w.disk.mem)
		c := w.conclude(w.unit, w.use(w.unit, home, token, 0, 0, extent{500, 100}))
		if c.Status != sam.CheckCondition || c.Sense.Key != sam.IllegalRequest || c.Sense.Code != k.code {
			t.Errorf("%s: %v %+v", name, c.Status, c.Sense)
		}
		if !bytes.Equal(before, w.disk.mem) {
			t.Errorf("%s: something was written", name)
		}
		w.idle()
	}
	w := newCopyWorld(t, Entry{ReadOnly: true})
	token := w.populate(w.far, away, extent{0, 100})
	list := writeTokenList(token, 0, 0, []extent{{0, 1}})
	c := command(t, home, 72, fmt.Sprintf("83 11 00 00 00 00 00 00 00 09 %08x", len(list)))
	c.Path, c.LUN, c.ReadOnly = w.m.Path(), sam.LUNOf(1), true
	if !w.locals[home].Begin(w.far, c) {
		w.want(c.Owner, Begun)
	}
	if w.locals[home].Finish(w.far, c); c.Sense.Code != 0x2702 {
		t.Errorf("read-only: %v %+v", c.Status, c.Sense)
	}
}
