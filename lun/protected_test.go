package lun

import (
	"bytes"
	"fmt"
	"testing"

	"lunar/lun/blk"
	"lunar/lun/protection"
	"lunar/lun/ram"
	"lunar/scsi"
	"lunar/scsi/pi"
	"lunar/scsi/sam"
)

// newProtectedWorld is a world whose unit is formatted with a protection type.
func newProtectedWorld(t testing.TB, kind pi.Type) *world {
	t.Helper()
	w := newWorld(t)
	w.disk.mem = make([]byte, testBytes)
	tuples, err := ram.New(ram.Config{Memory: make([]byte, testBytes/testBlock*pi.Bytes), BlockBytes: testBlock})
	if err != nil {
		t.Fatal(err)
	}
	b, err := protection.New(protection.Config{Data: w.disk, Tuples: tuples, Memory: make([]byte, protection.MemoryBytes), Lasting: true})
	if err != nil {
		t.Fatal(err)
	}
	w.locals[home].Detach(w.unit) // the place of its queue is the next one's
	w.unit = NewUnit(home, scsi.New(scsi.Config{Info: b.Info(), Protection: kind}), b)
	w.locals[home].Attach(w.unit, func(uint32) blk.Queue { return b.NewQueue(w.disk, tuples.NewQueue()) })
	return w
}

// guarded is n blocks with their protection information, from a block on.
func guarded(lba, n int, seed byte) (b []byte) {
	for i := range n {
		data := bytes.Repeat([]byte{seed, byte(i), byte(i >> 8), 1}, testBlock/4)
		b = append(append(b, data...), make([]byte, pi.Bytes)...)
		pi.Tuple{Guard: pi.CRC(data), Application: 7, Reference: uint32(lba + i)}.Put(b[len(b)-pi.Bytes:])
	}
	return b
}

// A command with protection information that takes several steps finds each in its place,
// whatever order they end in, from home and from elsewhere.
func TestProtected_StepsInAnyOrder(t *testing.T) {
	const blocks = 1200 // three steps
	for _, r := range []int{home, away} {
		w := newProtectedWorld(t, pi.Type1)
		w.disk.hold = true
		sent := guarded(100, blocks, 0x31)
		write := w.start(r, 1, fmt.Sprintf("8a 20 %016x %08x 00 00", 100, blocks), sent)
		if len(w.disk.held) != 3 {
			t.Errorf("%d steps are held", len(w.disk.held))
		}
		w.drive()
		w.end(r, write)
		read := w.start(r, 2, fmt.Sprintf("88 20 %016x %08x 00 00", 100, blocks), nil)
		w.drive()
		w.end(r, read)
		if read.Status != sam.Good || !bytes.Equal(read.Buffer[:read.DataInBytes], sent) {
			t.Errorf("reactor %d: %v %+v", r, read.Status, read.Sense)
		}
		w.disk.hold = false
		plain := command(t, r, 3, fmt.Sprintf("88 00 %016x %08x 00 00", 101, 1))
		want := fmt.Sprintf("%d 0 %x", blk.OK, sent[520:][:testBlock])
		if got := w.do(r, plain, nil); string(got) != want {
			t.Errorf("reactor %d, without protection information: %.40s, want %.40s", r, got, want)
		}
		w.idle()
		n := w.unit.Counts(home)
		if r == home && (n.Writes != 1 || n.WriteBytes != blocks*testBlock || n.Reads != 2 || n.ReadBytes != (blocks+1)*testBlock || n.Others != 0) {
			t.Errorf("counted as %+v", n)
		}
	}
}

// What does not fit is an end of the command, not of the unit; what a step meets is reported
// with its block.
func TestProtected_FailuresOfSteps(t *testing.T) {
	w := newProtectedWorld(t, pi.Type1)
	w.do(home, command(t, home, 1, fmt.Sprintf("8a 20 %016x %08x 00 00", 0, 1200)), guarded(0, 1200, 1))
	w.disk.mem[700*testBlock+3]++
	for _, cdb := range []string{"88 20 %016x %08x 00 00", "8f 20 %016x %08x 00 00", "8f 00 %016x %08x 00 00"} {
		c := command(t, home, 2, fmt.Sprintf(cdb, 0, 1200))
		w.do(home, c, nil)
		if c.Sense.Key != sam.AbortedCommand || c.Sense.Code != 0x1001 || c.Sense.Info != 700 {
			t.Errorf("%s: %v %+v", cdb, c.Status, c.Sense)
		}
	}
	w.disk.refuse = func(r *blk.Request) blk.Result {
		if r.Op == blk.Write && r.Offset > 0 {
			return blk.NoSpace
		}
		return blk.Running
	}
	c := command(t, home, 3, fmt.Sprintf("8a 20 %016x %08x 00 00", 0, 1200))
	w.do(home, c, guarded(0, 1200, 2))
	if c.Sense.Key != sam.DataProtect || c.Sense.Info == 0 || c.Sense.Info >= 1200 {
		t.Errorf("no space: %v %+v", c.Status, c.Sense)
	}
	w.disk.refuse = nil
	c = command(t, home, 4, fmt.Sprintf("8a 20 %016x %08x 00 00", 700, 1))
	w.do(home, c, guarded(700, 1, 3))
	w.do(home, command(t, home, 5, fmt.Sprintf("88 20 %016x %08x 00 00", 700, 1)), nil)
	if c.Status != sam.Good {
		t.Errorf("written anew: %v %+v", c.Status, c.Sense)
	}
	w.idle()
}

// ORWRITE with protection information is two passes that nothing comes between.
func TestProtected_OrWriteIsNotDivided(t *testing.T) {
	w := newProtectedWorld(t, pi.Type1)
	w.do(home, command(t, home, 1, fmt.Sprintf("8a 20 %016x %08x 00 00", 0, 2)), guarded(0, 2, 0x0f))
	w.disk.hold = true
	or := w.start(home, 2, fmt.Sprintf("8b 20 %016x %08x 00 00", 0, 2), guarded(0, 2, 0xf0))
	write := command(t, home, 3, fmt.Sprintf("8a 20 %016x %08x 00 00", 0, 2))
	if w.locals[home].Begin(w.unit, write) {
		t.Fatal("a write began between the passes")
	}
	w.drive()
	w.disk.hold = false
	w.want(or.Owner, Executed)
	w.locals[home].Finish(w.unit, or)
	w.settle()
	w.want(write.Owner, Begun)
	if !w.execute(home, write, guarded(0, 2, 0x55)) {
		w.want(write.Owner, Executed)
	}
	w.locals[home].Finish(w.unit, write)
	read := command(t, home, 4, fmt.Sprintf("88 20 %016x %08x 00 00", 0, 2))
	if in := w.do(home, read, nil); or.Status != sam.Good || !bytes.Equal(in, guarded(0, 2, 0x55)) {
		t.Errorf("%v %+v, %x", or.Status, or.Sense, in[:8])
	}
}

// FORMAT UNIT has the medium know of the new type before its first step.
func TestProtected_FormatReachesTheMedium(t *testing.T) {
	w := newProtectedWorld(t, pi.Type1)
	w.do(home, command(t, home, 1, fmt.Sprintf("8a 20 %016x %08x 00 00", 0, 4)), guarded(0, 4, 1))
	format := command(t, home, 2, "04 d0 00 00 00 00")
	format.ExpectedOutBytes = 4
	w.begin(home, format)
	w.execute(home, format, []byte{1, 2, 0, 0}) // type 3, IMMED
	w.locals[home].Finish(w.unit, format)
	for w.locals[home].Idles() || w.unit.background != nil {
		w.locals[home].Work()
		w.settle()
	}
	c := command(t, home, 3, fmt.Sprintf("88 20 %016x %08x 00 00", 0, 1))
	in := w.do(home, c, nil)
	if c.Status != sam.Good || pi.Get(in[testBlock:]) != (pi.Tuple{Guard: 0xffff, Application: 0xffff, Reference: 0xffffffff}) {
		t.Errorf("%v %+v, %x", c.Status, c.Sense, in)
	}
	w.do(home, command(t, home, 4, fmt.Sprintf("8a 00 %016x %08x 00 00", 0, 1)), make([]byte, testBlock))
	in = w.do(home, command(t, home, 5, fmt.Sprintf("88 20 %016x %08x 00 00", 0, 1)), nil)
	if got := pi.Get(in[testBlock:]); got != (pi.Tuple{Reference: 0xffffffff}) {
		t.Errorf("a plain write left %+v, not what type 3 has", got)
	}
}
