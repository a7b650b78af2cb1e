package lun

import (
	"bytes"
	"testing"

	"lunar/scsi/sam"
)

// A Stop that arrives when its command has ended touches nobody: by then its
// owner may use the memory for another command.
func TestLocal_Stop_ArrivesAfterTheEnd_TouchesNobody(t *testing.T) {
	w := newProgramWorld(t)
	l := w.locals[away]
	c := command(t, away, 1, "41 00 00 00 00 00 00 30 00")
	block := bytes.Repeat([]byte{7}, testBlock)
	w.begin(away, c)
	w.execute(away, c, block)
	w.pass(away, home)
	w.turn(home) // the program runs to its end
	l.Stop(w.unit, c)
	w.pass(home, away)
	w.turn(away)
	if e := w.take(c.Owner); len(e) != 1 || e[0].Kind != Executed {
		t.Fatalf("got %+v", e)
	}
	// The owner is done with the command and gives its memory to the next one.
	l.Finish(w.unit, c)
	owner, cdb := c.Owner+1, c.CDB
	c.Reset()
	c.Owner, c.CDB, c.CDBBytes, c.Nexus = owner, cdb, 16, away
	c.CDB[4] = 0x10
	l.Begin(w.unit, c)
	w.want(owner, Begun)
	w.execute(away, c, block)
	w.want(owner, Executed)
	if c.Status != sam.Good || !bytes.Equal(w.disk.mem[0x1000*testBlock:][:testBlock], block) ||
		!bytes.Equal(w.disk.mem[0x3fff*testBlock:][:testBlock], block) {
		t.Errorf("status %v, and the last block is %x", c.Status, w.disk.mem[0x3fff*testBlock])
	}
	l.Finish(w.unit, c)
	w.idle()
}

// A Stop of a command that runs no program is nothing.
func TestLocal_Stop_WithoutProgram(t *testing.T) {
	for r := range 2 {
		w := newWorld(t)
		c := command(t, r, 1, "28 00 00 00 00 00 00 00 01")
		w.begin(r, c)
		w.locals[r].Stop(w.unit, c)
		w.settle()
		w.locals[r].Finish(w.unit, c)
		w.idle()
	}
}
