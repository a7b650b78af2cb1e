package lun

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"lunar/lun/blk"
	"lunar/scsi/sam"
)

// overwrite writes a block of a unit at once, whatever its medium holds.
func (w *copyWorld) overwrite(u *Unit, d *disk, r int, lba uint64) {
	w.t.Helper()
	c := command(w.t, r, 80, fmt.Sprintf("8a 00 %016x 00 00 00 01", lba))
	if !w.locals[r].Begin(u, c) {
		w.want(c.Owner, Begun)
	}
	if c.Action != sam.WriteMedium {
		w.t.Fatalf("%v %+v", c.Status, c.Sense)
	}
	hold := d.hold
	d.hold = false
	q := &blk.Request{Op: blk.Write, Offset: c.Extent.Offset, Length: testBlock, Data: bytes.Repeat([]byte{0xee}, testBlock), Tag: c.Owner}
	w.locals[r].Move(u, q)
	w.want(c.Owner, Moved)
	d.hold = hold
	w.locals[r].Finish(u, c)
	w.settle()
}

// However a write to a block of a token comes between what the use of it reads, nothing is
// written but what stood there when the token was made; how much of that is told.
func TestToken_AWriterRaces(t *testing.T) {
	const blocks = 2800
	for n := range 4 {
		source, sourceDisk, immed := n&1, []int{0, 1}[n&1], byte(n>>1)
		for answered, over := 0, false; !over; answered++ {
			w := newCopyWorld(t, Entry{})
			u, d := []*Unit{w.unit, w.far}[source], []*disk{w.disk, w.farDisk}[sourceDisk]
			token := w.populate(u, home, extent{10, blocks})
			was, before := bytes.Clone(d.mem[10*testBlock:][:blocks*testBlock]), bytes.Clone(w.disk.mem)
			w.disk.hold, w.farDisk.hold = true, true
			c := w.use(w.unit, away, token, 0, immed, extent{8000, blocks})
			w.settle()
			for range answered {
				if over = w.flying() == 0; !over {
					w.answerOne()
				}
			}
			w.overwrite(u, d, away, 11+600)
			w.overwrite(u, d, away, 9+blocks)
			w.answerAll()
			w.conclude(w.unit, c)
			w.quiet()
			in := w.information(w.unit, away, 9)
			count := binary.BigEndian.Uint64(in[16:])
			got, old := w.disk.mem[8000*testBlock:], before[8000*testBlock:]
			for b := range uint64(blocks) {
				block := got[b*testBlock:][:testBlock]
				copied := bytes.Equal(block, was[b*testBlock:][:testBlock])
				if !copied && (b < count || !bytes.Equal(block, old[b*testBlock:][:testBlock])) {
					t.Fatalf("case %d, %d answered: block %d of %d copied holds what it never should", n, answered, b, count)
				}
			}
			done := c
			if immed == 0 && (done.Status == sam.Good) != (count == blocks) || over && count != blocks || !over && answered == 0 && count != 0 {
				t.Errorf("case %d, %d answered: %v %+v, %d copied", n, answered, done.Status, done.Sense, count)
			}
			if status := in[5]; status != 1 && count == blocks || status != 3 && count < blocks {
				t.Errorf("case %d, %d answered: status %x, %d copied", n, answered, status, count)
			}
			if again := w.conclude(w.unit, w.use(w.unit, away, token, 0, 0, extent{8000, 1})); again.Sense.Code != 0x2308 {
				t.Errorf("case %d, %d answered: the token lives: %v %+v", n, answered, again.Status, again.Sense)
			}
		}
	}
}

// POPULATE TOKEN waits for what may still write, and nothing that may write begins beside it,
// HEAD OF QUEUE or not.
func TestToken_MadeInQuiet(t *testing.T) {
	w := newCopyWorld(t, Entry{})
	write := command(t, home, 1, "2a 00 00 00 00 08 00 00 01")
	write.Attribute = sam.HeadOfQueue
	if !w.locals[home].Begin(w.unit, write) {
		t.Fatal("the write waits")
	}
	list := withRanges(make([]byte, 14), []extent{{8, 1}})
	c := command(t, home, 2, fmt.Sprintf("83 10 00 00 00 00 00 00 00 46 %08x", len(list)))
	w.locals[home].Begin(w.unit, c)
	w.want(c.Owner)
	w.move(home, write, bytes.Repeat([]byte{0x77}, testBlock))
	w.locals[home].Finish(w.unit, write)
	w.want(c.Owner, Begun)
	late := command(t, home, 3, "2a 00 00 00 00 08 00 00 01")
	late.Attribute = sam.HeadOfQueue
	if w.locals[home].Begin(w.unit, late) {
		t.Error("a HEAD OF QUEUE write begins beside POPULATE TOKEN")
	}
	c.Buffer = make([]byte, c.DataOutBytes)
	c.Received = copy(c.Buffer, list)
	if !w.locals[home].Execute(w.unit, c) || c.Status != sam.Good {
		t.Fatalf("%v %+v", c.Status, c.Sense)
	}
	if w.unit.device.Tokens() != 1 {
		t.Fatal("no token")
	}
	w.locals[home].Finish(w.unit, c)
	w.want(late.Owner, Begun)
	if w.unit.device.Tokens() != 0 {
		t.Error("the token outlives a write")
	}
	w.locals[home].Finish(w.unit, late)
	w.idle()
}

// A write that goes on over another connection begins beside everything: no token is made then.
func TestToken_NotMadeBesideAResumedWrite(t *testing.T) {
	w := newCopyWorld(t, Entry{})
	list := withRanges(make([]byte, 14), []extent{{8, 1}})
	c := command(t, home, 2, fmt.Sprintf("83 10 00 00 00 00 00 00 00 46 %08x", len(list)))
	if !w.locals[home].Begin(w.unit, c) || c.Action != sam.Execute {
		t.Fatalf("%v %+v", c.Status, c.Sense)
	}
	c.Buffer = make([]byte, c.DataOutBytes)
	write := command(t, home, 3, "2a 00 00 00 00 08 00 00 01")
	write.Resumed, write.Replaces = true, sam.NoTicket
	if !w.locals[home].Begin(w.unit, write) || write.Action != sam.WriteMedium {
		t.Fatalf("%v %+v", write.Status, write.Sense)
	}
	c.Received = copy(c.Buffer, list)
	if !w.locals[home].Execute(w.unit, c) || c.Status != sam.Busy || w.unit.device.Tokens() != 0 {
		t.Errorf("%v %+v, %d tokens", c.Status, c.Sense, w.unit.device.Tokens())
	}
	w.locals[home].Finish(w.unit, c)
	w.locals[home].Finish(w.unit, write)
	w.idle()
}

// While a token lives its unit's writes come home, from every reactor; then they stay away
// again. It ends by time.
func TestToken_GuardsTheGate(t *testing.T) {
	const populate = "83 10 00 00 00 00 00 00 00 46 00 00 00 20"
	list := withRanges(make([]byte, 14), []extent{{8, 1}})
	w := newGateWorld(t)
	w.do(home, command(t, home, 1, populate), list)
	if !w.locals[home].Ages() {
		t.Fatal("nobody waits for time to go by")
	}
	other := w.mustIssue(away, 2, sam.Simple, "2a 00 00 00 00 09 00 00 01", false)
	w.want(other.Owner, Begun)
	w.finish(away, other)
	if w.unit.device.Tokens() != 1 {
		t.Fatal("a write elsewhere ends the token")
	}
	c := w.mustIssue(away, 3, sam.Simple, write1, false)
	w.want(c.Owner, Begun)
	w.finish(away, c)
	w.finish(away, w.mustIssue(away, 4, sam.Simple, write1, true))
	w.locals[home].Age()
	if w.unit.device.Tokens() != 0 || w.locals[home].Ages() {
		t.Error("the token outlives a write")
	}
	w.do(home, command(t, home, 1, populate), list)
	for range 30 {
		w.locals[home].Age()
	}
	w.want(w.mustIssue(away, 5, sam.Simple, read1, false).Owner, Begun)
	if w.locals[home].Age(); w.locals[home].Ages() {
		t.Error("the token outlives its timeout")
	}
	w.mustIssue(away, 6, sam.Simple, read1, true)
}

// What would end its command ends a copy that goes on without one, and so does the end of its
// nexus or of the target: nothing is written behind that.
func TestToken_EndsWithoutItsCommand(t *testing.T) {
	ends := map[string]func(w *copyWorld, r int){
		"loss of the nexus": func(w *copyWorld, r int) { w.locals[r].Lose(w.unit, sam.Nexus(r)) },
		"the target's end":  func(w *copyWorld, _ int) { w.locals[home].Rest() },
	}
	for _, f := range unitFunctions {
		ends[fmt.Sprintf("function %d", f)] = func(w *copyWorld, r int) { w.manage(r, 30, f) }
	}
	for name, end := range ends {
		for r := range 2 {
			for _, far := range []bool{false, true} {
				for _, answered := range []int{0, 1, 4, 5, 13} {
					w := newCopyWorld(t, Entry{})
					u := w.unit
					if far {
						u = w.far
					}
					token := w.populate(u, r, extent{0, 6000})
					w.disk.hold, w.farDisk.hold = true, true
					c := w.conclude(w.unit, w.use(w.unit, r, token, 0, 1, extent{8000, 6000}))
					if c.Status != sam.Good || w.flying() == 0 {
						t.Fatalf("%v %+v, %d under way", c.Status, c.Sense, w.flying())
					}
					for range answered {
						w.answerOne()
					}
					end(w, r)
					w.settle()
					var at []byte
					for owner := Owner(r, 30); w.flying() > 0; w.answerOne() {
						if len(w.events[owner]) > 0 && at == nil {
							at = bytes.Clone(w.disk.mem)
						}
					}
					w.take(Owner(r, 30))
					if at != nil && !bytes.Equal(at, w.disk.mem) {
						t.Fatalf("%s: something is written behind its response", name)
					}
					if i := firstDifference(w.disk.mem[8000*testBlock:][:6000*testBlock], noise); i == 6000*testBlock {
						t.Errorf("%s, %d answered: all is copied", name, answered)
					}
					w.quiet()
				}
			}
		}
	}
}

// COPY OPERATION ABORT ends a copy that goes on without its command, and is told of.
func TestToken_OperationAbort(t *testing.T) {
	w := newCopyWorld(t, Entry{})
	token := w.populate(w.far, home, extent{0, 3000})
	w.disk.hold, w.farDisk.hold = true, true
	w.conclude(w.unit, w.use(w.unit, home, token, 0, 1, extent{8000, 3000}))
	abort := w.launch(w.unit, home, 81, "83 1c 00 00 00 09", nil)
	w.want(abort.Owner)
	w.answerAll()
	if w.conclude(w.unit, abort); abort.Status != sam.Good {
		t.Errorf("%v %+v", abort.Status, abort.Sense)
	}
	w.quiet()
	if in := w.information(w.unit, home, 9); in[5] != 3 || in[32+2]&0xf != 0xa || in[32+12] != 0x2f || in[32+13] != 0x02 {
		t.Errorf("information %x", in)
	}
}

// A command that is aborted while the maker of its token is asked writes nothing.
func TestToken_AbortedWhileItAsks(t *testing.T) {
	for _, flags := range []byte{0, 1} {
		w := newCopyWorld(t, Entry{})
		token := w.populate(w.far, home, extent{0, 3000})
		before := bytes.Clone(w.disk.mem)
		c := w.use(w.unit, home, token, 0, flags, extent{8000, 3000})
		if len(w.events[c.Owner]) > 0 {
			t.Fatal("it has ended without asking")
		}
		w.locals[home].Stop(w.unit, c)
		if w.conclude(w.unit, c); c.Status != sam.TaskAborted || !bytes.Equal(before, w.disk.mem) {
			t.Errorf("%v %+v", c.Status, c.Sense)
		}
		w.quiet()
	}
}

// DEL_TKN has the maker forget the token when all is written.
func TestToken_Deleted(t *testing.T) {
	for n := range 2 {
		w := newCopyWorld(t, Entry{})
		u := []*Unit{w.unit, w.far}[n]
		token := w.populate(u, home, extent{0, 3000})
		w.conclude(w.unit, w.use(w.unit, home, token, 0, 2, extent{8000, 3000}))
		c := w.conclude(w.unit, w.use(w.unit, home, token, 0, 0, extent{8000, 3000}))
		if c.Sense.Code != 0x2309 || u.device.Tokens() != 0 || u.guarded {
			t.Errorf("%v %+v, %d tokens", c.Status, c.Sense, u.device.Tokens())
		}
		w.quiet()
	}
}
