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

// keeper holds what it is to keep until the test says how that ended.
type keeper struct {
	states  [][]byte
	intents []*scsi.Intent
}

func (k *keeper) Keep(_ *Unit, state []byte, intent *scsi.Intent) {
	k.states, k.intents = append(k.states, state), append(k.intents, intent)
}

// prout is the parameter list of a PERSISTENT RESERVE OUT.
func proutList(key, next uint64, flags byte) []byte {
	b := binary.BigEndian.AppendUint64(nil, key)
	b = binary.BigEndian.AppendUint64(b, next)
	return append(b, 0, 0, 0, 0, flags, 0, 0, 0)
}

// nameNexuses gives both reactors' nexuses names and takes their attentions.
func (w *world) nameNexuses() {
	for r := range w.locals {
		w.locals[r].Open(w.unit, sam.Nexus(r), &sam.NexusName{
			Initiator: sam.InitiatorPort{Name: "iqn.2026-11.example:host", ISID: [6]byte{byte(r)}},
			Target:    sam.TargetPort{Name: "iqn.2026-11.example:target", Relative: 1},
		})
		w.settle()
		w.do(r, command(w.t, r, 900, "00"), nil)
	}
}

// PREEMPT AND ABORT waits for nobody: it ends what its victim has under way, a write whose
// data never comes too, and is answered when nothing of that touches the medium any more.
func TestPreempt_EndsWhatNeverEnds(t *testing.T) {
	for _, victim := range []int{home, away} {
		w := newWorld(t)
		by := home + away - victim
		w.nameNexuses()
		for r := range w.locals {
			w.do(r, command(t, r, 1, "5f 00 00 00 00 00 00 00 18"), proutList(0, uint64(10+r), 0))
		}
		w.do(victim, command(t, victim, 1, "5f 01 01 00 00 00 00 00 18"), proutList(uint64(10+victim), 0, 0))
		write := command(t, victim, 2, "2a 00 00 00 00 00 00 00 01")
		w.begin(victim, write)
		c := command(t, by, 3, "5f 05 01 00 00 00 00 00 18")
		w.begin(by, c)
		if c.Action != sam.Execute || w.execute(by, c, proutList(uint64(10+by), uint64(10+victim), 0)) {
			t.Fatalf("PREEMPT AND ABORT: action %d, %v", c.Action, c.Status)
		}
		w.want(write.Owner, Abort)
		later := command(t, victim, 4, "28 00 00 00 00 00 00 00 01")
		w.locals[victim].Begin(w.unit, later)
		w.want(later.Owner)
		w.want(c.Owner)
		w.finish(victim, write)
		w.want(c.Owner, Executed)
		if c.Status != sam.Good {
			t.Errorf("%v %+v", c.Status, c.Sense)
		}
		w.finish(by, c)
		w.want(later.Owner, Begun)
		if later.Sense.Code != 0x2a05 {
			t.Errorf("the victim hears %v %04x", later.Status, later.Sense.Code)
		}
		w.finish(victim, later)
		refused := command(t, victim, 5, "2a 00 00 00 00 00 00 00 01")
		if w.begin(victim, refused); refused.Status != sam.ReservationConflict {
			t.Errorf("the victim writes: %v", refused.Status)
		}
		w.finish(victim, refused)
		w.idle()
	}
}

// Two of them at a time take turns; the second finds what the first has left.
func TestPreempt_OneAfterTheOther(t *testing.T) {
	w := newWorld(t)
	w.nameNexuses()
	for r := range w.locals {
		w.do(r, command(t, r, 1, "5f 00 00 00 00 00 00 00 18"), proutList(0, uint64(10+r), 0))
	}
	var commands, writes []*sam.Command
	for r := range w.locals {
		write := command(t, r, 2, "2a 00 00 00 00 00 00 00 01")
		w.begin(r, write)
		writes = append(writes, write)
	}
	for r := range w.locals {
		c := command(t, r, 3, "5f 05 01 00 00 00 00 00 18")
		w.begin(r, c)
		if w.execute(r, c, proutList(uint64(10+r), uint64(10+1-r), 0)) {
			t.Fatal("done at once")
		}
		commands = append(commands, c)
	}
	w.want(writes[away].Owner, Abort)
	w.want(commands[away].Owner)
	w.finish(away, writes[away])
	w.want(commands[home].Owner, Executed)
	w.finish(home, commands[home])
	w.want(commands[away].Owner, Executed)
	if commands[home].Status != sam.Good || commands[away].Status != sam.ReservationConflict {
		t.Errorf("%v and %v", commands[home].Status, commands[away].Status)
	}
	w.finish(away, commands[away])
	w.finish(home, writes[home])
	w.idle()
}

// What has to be durable takes effect when it is, and not before.
func TestKeep_ThenEffect(t *testing.T) {
	for _, ok := range []bool{true, false} {
		k := &keeper{}
		w := newWorldOf(t, scsi.Config{Keeps: true})
		w.unit.KeepBy(k)
		w.nameNexuses()
		c := command(t, away, 1, "5f 00 00 00 00 00 00 00 18")
		w.begin(away, c)
		w.execute(away, c, proutList(0, 10, 1))
		w.want(c.Owner)
		if len(k.states) != 1 {
			t.Fatalf("%d kept", len(k.states))
		}
		w.locals[home].Kept(w.unit, ok)
		w.want(c.Owner, Executed)
		if (c.Status == sam.Good) != ok {
			t.Errorf("kept %v: %v %+v", ok, c.Status, c.Sense)
		}
		w.finish(away, c)
		w.idle()
	}
}

// A sanitize operation goes on without its command: others begin and are refused, an abort
// ends the command alone, and afterwards the medium is as it was asked for.
func TestBackground_OutlivesItsCommand(t *testing.T) {
	for _, waits := range []bool{false, true} {
		w := newWorld(t)
		w.nameNexuses()
		w.disk.hold = true
		c := command(t, away, 1, fmt.Sprintf("48 %02x 00 00 00 00 00 00 06", map[bool]byte{false: 0x81, true: 0x01}[waits]))
		w.begin(away, c)
		w.execute(away, c, []byte{1, 0, 0, 2, 0xa1, 0xb2})
		w.settle()
		if !waits {
			w.want(c.Owner, Executed)
			w.finish(away, c)
			w.settle()
		}
		for _, cdb := range []string{"00", "28 00 00 00 00 00 00 00 01", "1b 00 00 00 01"} {
			other := command(t, home, 2, cdb)
			w.begin(home, other)
			if other.Sense.Code != 0x041b {
				t.Errorf("%s: %04x", cdb, other.Sense.Code)
			}
			w.finish(home, other)
		}
		if waits {
			w.manage(home, 7, sam.LogicalUnitReset)
			w.want(c.Owner, Abort)
			w.locals[away].Stop(w.unit, c)
			w.want(c.Owner, Executed)
			w.finish(away, c)
			w.want(Owner(home, 7), Managed)
		}
		if w.locals[home].Idle(w.unit) {
			t.Error("the unit may go while it is sanitized")
		}
		for len(w.disk.held) > 0 {
			w.locals[home].Complete(0, 0)
			w.settle()
		}
		if want := bytes.Repeat([]byte{0xa1, 0xb2}, testBytes/2); !bytes.Equal(w.disk.mem, want) {
			t.Error("not overwritten")
		}
		w.disk.hold = false
		w.do(home, command(t, home, 3, "00"), nil) // the reset
		ready := command(t, home, 3, "00")
		if w.do(home, ready, nil); ready.Status != sam.Good {
			t.Errorf("afterwards: %v %+v", ready.Status, ready.Sense)
		}
		w.idle()
	}
}

// An operation that fails, and one that the target's stop cuts off.
func TestBackground_FailsAndRests(t *testing.T) {
	w := newWorld(t)
	w.nameNexuses()
	w.disk.refuse = func(*blk.Request) blk.Result { return blk.MediumError }
	c := command(t, home, 1, "48 02")
	w.begin(home, c)
	w.execute(home, c, nil)
	w.want(c.Owner, Executed)
	if c.Sense.Code != 0x3103 {
		t.Errorf("%v %+v", c.Status, c.Sense)
	}
	w.finish(home, c)
	w.disk.refuse, w.disk.hold = nil, true
	again := command(t, home, 2, "48 82")
	w.begin(home, again)
	if !w.execute(home, again, nil) {
		t.Error("IMMED waits")
	}
	w.finish(home, again)
	w.settle()
	w.locals[home].Rest()
	for len(w.disk.held) > 0 {
		w.locals[home].Complete(0, 0)
		w.settle()
	}
	if w.disk.served[blk.Discard] > 2 || w.unit.background != nil {
		t.Errorf("%v, background %v", w.disk.served, w.unit.background)
	}
	w.idle()
}

// A write whose intent is kept goes to its end, whoever stops its command: it is on the medium
// as a whole, and the intent is dropped before the command ends.
func TestKeep_IntentIsNotStopped(t *testing.T) {
	for _, from := range []int{home, away} {
		k := &keeper{}
		w := newWorldOf(t, scsi.Config{Keeps: true, Intends: true})
		w.unit.KeepBy(k)
		w.nameNexuses()
		c := command(t, from, 1, "9c 00 00 00 00 00 00 00 00 02 00 00 00 01")
		w.begin(from, c)
		data := bytes.Repeat([]byte{7}, 512)
		w.execute(from, c, data)
		w.settle()
		if len(k.intents) != 1 || k.intents[0] == nil || !bytes.Equal(k.intents[0].Data, data) {
			t.Fatalf("intents %+v", k.intents)
		}
		w.disk.hold = true
		w.locals[home].Kept(w.unit, true)
		w.settle()
		w.locals[from].Stop(w.unit, c)
		w.want(c.Owner)
		w.disk.hold = false
		w.drive()
		w.want(c.Owner)
		if len(k.intents) != 2 || k.intents[1] != nil || !bytes.Equal(w.disk.mem[2*512:3*512], data) {
			t.Fatalf("%d intents, on the medium %x", len(k.intents), w.disk.mem[2*512:][:4])
		}
		w.locals[home].Kept(w.unit, true)
		w.want(c.Owner, Executed)
		w.finish(from, c)
		w.idle()
	}
}
