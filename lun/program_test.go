package lun

import (
	"bytes"
	"testing"

	"lunar/internal/buf"
	"lunar/lun/blk"
	"lunar/scsi/sam"
)

// Programs long enough to have several steps, with the medium operation of each.
var programs = []struct {
	name, cdb string
	out       []byte
	op        blk.Op
	steps     int
}{
	{"SYNCHRONIZE CACHE", "35", nil, blk.Sync, 1},
	{"VERIFY", "2f 00 00 00 00 00 00 30 00", nil, blk.Read, 24},
	{"VERIFY same", "2f 06 00 00 00 00 00 10 00", bytes.Repeat([]byte{1}, testBlock), blk.Read, 8},
	{"WRITE SAME", "41 00 00 00 00 00 00 30 00", bytes.Repeat([]byte{7}, testBlock), blk.Write, 24},
	{"UNMAP", "42 00 00 00 00 00 00 00 78", unmapList(0, 8, 16, 8, 32, 8, 48, 8, 64, 8, 80, 8, 96, 8), blk.Discard, 7},
	{"GET LBA STATUS", "9e 12 00 00 00 00 00 00 00 00 00 00 01 08", nil, blk.Map, 3},
}

// newProgramWorld is a world whose medium suits every program.
func newProgramWorld(t testing.TB) *world {
	w := newWorld(t)
	w.disk.mem[0] = 1
	w.disk.repeat(1)
	for lba := int64(40); lba < 50; lba++ {
		w.disk.free[lba*testBlock] = true
	}
	return w
}

// start begins and executes a program whose steps the medium holds.
func (w *world) start(r int, id uint64, cdb string, out []byte) *sam.Command {
	w.t.Helper()
	c := command(w.t, r, id, cdb)
	c.ExpectedOutBytes = int64(len(out))
	w.begin(r, c)
	if c.Action != sam.Execute || w.execute(r, c, out) {
		w.t.Fatalf("%s: action %d, status %v, sense %+v", cdb, c.Action, c.Status, c.Sense)
	}
	w.settle()
	return c
}

// drive ends held requests, the newest first, until none is left.
func (w *world) drive() {
	w.settle()
	for len(w.disk.held) > 0 {
		w.locals[home].Complete(uint32(len(w.disk.held)-1), 0)
		w.settle()
	}
}

func (w *world) end(r int, c *sam.Command) {
	w.t.Helper()
	w.want(c.Owner, Executed)
	w.locals[r].Finish(w.unit, c)
	w.idle()
}

// A program runs all its steps, a bounded number at a time, whatever their order.
func TestProgram_RunsEveryStep(t *testing.T) {
	for _, k := range programs {
		for r := range 2 {
			w := newProgramWorld(t)
			w.disk.hold = true
			c := w.start(r, 1, k.cdb, k.out)
			for len(w.disk.held) > 0 {
				if n := len(w.disk.held); n > maxSteps || k.op == blk.Map && n > 1 {
					t.Fatalf("%s: %d steps in flight", k.name, n)
				}
				if len(w.events) != 0 {
					t.Fatalf("%s: %v with steps in flight", k.name, w.events)
				}
				w.locals[home].Complete(uint32(len(w.disk.held)-1), 0)
				w.settle()
			}
			w.end(r, c)
			if c.Status != sam.Good || w.disk.served[k.op] != k.steps || len(w.disk.served) != 1 {
				t.Errorf("%s: status %v, sense %+v, served %v", k.name, c.Status, c.Sense, w.disk.served)
			}
		}
	}
}

// A step that fails ends the program with what the medium said and where. Steps
// in flight are awaited first, and no new one starts.
func TestProgram_MediumError(t *testing.T) {
	for _, k := range programs {
		for bad := range k.steps {
			w := newProgramWorld(t)
			w.disk.hold = true
			seen, at := 0, int64(0)
			w.disk.refuse = func(r *blk.Request) blk.Result {
				if seen++; seen == bad+1 {
					at = r.Offset
					return blk.MediumError
				}
				return blk.Running
			}
			c := w.start(home, 1, k.cdb, k.out)
			for i := 0; len(w.disk.held) > 0; i++ {
				before := len(w.disk.held)
				w.locals[home].Complete(0, 0)
				w.settle()
				if i >= bad && len(w.disk.held) != before-1 {
					t.Fatalf("%s: a step started after step %d failed", k.name, bad)
				}
			}
			w.end(home, c)
			code := uint16(0x0c00)
			if k.op == blk.Read || k.op == blk.Map {
				code = 0x1100
			}
			if c.Status != sam.CheckCondition || c.Sense.Key != sam.MediumError || c.Sense.Code != code ||
				c.Sense.Info != uint64(at/testBlock) || c.DataInBytes != 0 {
				t.Errorf("%s, step %d at %d: status %v, sense %+v, %d bytes", k.name, bad, at, c.Status, c.Sense, c.DataInBytes)
			}
		}
	}
}

// The LBA of a failure is the first block that was not served.
func TestProgram_MediumError_AfterProgress_NamesTheBlock(t *testing.T) {
	w := newProgramWorld(t)
	w.disk.refuse = func(r *blk.Request) blk.Result {
		r.Progress = 5 * testBlock
		return blk.MediumError
	}
	c := command(t, home, 1, "2f 00 00 00 00 10 00 00 40")
	w.do(home, c, nil)
	if c.Sense.Info != 0x15 {
		t.Errorf("sense %+v", c.Sense)
	}
	w.idle()
}

// The first difference ends VERIFY; later ones do not change what was said.
func TestProgram_VerifySame_FirstDifferenceStays(t *testing.T) {
	w := newProgramWorld(t)
	w.disk.mem[3*testBlock+9] = 0
	w.disk.mem[2000*testBlock+5] = 0
	w.disk.hold = true
	c := w.start(away, 1, "2f 06 00 00 00 00 00 10 00", bytes.Repeat([]byte{1}, testBlock))
	for len(w.disk.held) > 0 {
		w.locals[home].Complete(0, 0)
		w.settle()
	}
	w.end(away, c)
	if c.Sense.Key != sam.Miscompare || c.Sense.Info != 9 {
		t.Errorf("sense %+v", c.Sense)
	}
}

// More programs than slots and buffers: each is served once the others are.
func TestProgram_MoreThanSlots_AllEnd(t *testing.T) {
	w := newProgramWorld(t)
	w.disk.hold = true
	var all []*sam.Command
	for id := range uint64(3 * maxLocalSteps) {
		k := programs[id%uint64(len(programs))]
		all = append(all, w.start(int(id%2), id, k.cdb, k.out))
	}
	if n := len(w.disk.held); n != maxLocalSteps {
		t.Fatalf("%d steps in flight", n)
	}
	w.drive()
	for _, c := range all {
		w.want(c.Owner, Executed)
		// What another program wrote may differ from what VERIFY expected.
		if c.Status != sam.Good && c.Sense.Key != sam.Miscompare {
			t.Errorf("%x: %v %+v", c.CDB[0], c.Status, c.Sense)
		}
		w.locals[OwnerReactor(c.Owner)].Finish(w.unit, c)
	}
	w.idle()
}

// lendAll takes every buffer of the home's pool, as reads of its connections do.
func (w *world) lendAll() (lent []*buf.Buf) {
	for b := w.pools[home].Get(1); b != nil; b = w.pools[home].Get(1) {
		lent = append(lent, b)
	}
	return lent
}

// Stop lets steps in flight end and starts no other, and the end comes once.
func TestProgram_Stop_InTheMiddle(t *testing.T) {
	for _, k := range programs {
		if k.steps == 1 {
			continue
		}
		for r := range 2 {
			w := newProgramWorld(t)
			w.disk.hold = true
			c := w.start(r, 1, k.cdb, k.out)
			flying := len(w.disk.held)
			w.locals[r].Stop(w.unit, c)
			w.settle()
			if len(w.events) != 0 {
				t.Fatalf("%s: ended with %d steps in flight", k.name, flying)
			}
			w.drive()
			w.end(r, c)
			if n := w.disk.served[k.op]; n != flying {
				t.Errorf("%s: %d steps, %d were in flight", k.name, n, flying)
			}
		}
	}
}
