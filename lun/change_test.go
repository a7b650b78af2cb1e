package lun

import (
	"testing"

	"lunar/lun/blk"
	"lunar/scsi"
	"lunar/scsi/sam"
)

// A change of size waits for what runs, on whatever reactor, keeps out what comes
// behind it, and every nexus hears 2A/09.
func TestUnit_Resize_RunsAlone(t *testing.T) {
	w := newGateWorld(t)
	before := [2]*sam.Command{w.mustIssue(home, 1, sam.Simple, read1, true), w.mustIssue(away, 1, sam.Simple, write1, true)}
	info := w.unit.Info()
	old := info.Bytes
	info.Bytes += 8 * testBlock
	w.locals[home].Resize(w.unit, info)
	behind := w.mustIssue(away, 2, sam.Simple, read1, false)
	w.finish(home, before[home])
	if w.want(behind.Owner); w.unit.Info().Bytes != old {
		t.Fatal("the size changed under a command")
	}
	w.finish(away, before[away])
	w.want(behind.Owner, Begun)
	if behind.Status != sam.CheckCondition || behind.Sense.Code != 0x2a09 || w.unit.Info().Bytes != info.Bytes {
		t.Fatalf("%v %+v, %d bytes", behind.Status, behind.Sense, w.unit.Info().Bytes)
	}
	w.finish(away, behind)
	w.attention(home, 0x2a09)
	w.finish(away, w.mustIssue(away, 3, sam.Simple, read1, true)) // past the home again
	w.idle()
}

// Behind an ORDERED command that waits, a change of size comes first and deadlocks
// neither.
func TestUnit_Resize_BesideOrdered(t *testing.T) {
	w := newGateWorld(t)
	runs := w.mustIssue(away, 1, sam.Simple, read1, true)
	ordered := w.mustIssue(home, 2, sam.Ordered, write1, false)
	info := w.unit.Info()
	info.Bytes -= testBlock
	w.locals[home].Resize(w.unit, info)
	w.finish(away, runs)
	w.want(ordered.Owner, Begun)
	if w.unit.Info().Bytes != info.Bytes {
		t.Error("the size is as before")
	}
	w.finish(home, ordered)
	w.idle()
}

// A change of size that is taken back leaves the size, and who waited behind it goes on.
func TestUnit_KeepSize_LetsInWhatWaited(t *testing.T) {
	w := newGateWorld(t)
	runs := w.mustIssue(away, 1, sam.Simple, read1, true)
	info := w.unit.Info()
	old := info.Bytes
	info.Bytes += 8 * testBlock
	w.locals[home].Resize(w.unit, info)
	behind := w.mustIssue(away, 2, sam.Simple, read1, false)
	w.locals[home].KeepSize(w.unit)
	w.want(behind.Owner, Begun)
	if behind.Status == sam.CheckCondition || w.unit.Info().Bytes != old {
		t.Errorf("%v %+v, %d bytes", behind.Status, behind.Sense, w.unit.Info().Bytes)
	}
	w.finish(away, runs)
	w.finish(away, behind)
	w.finish(away, w.mustIssue(away, 3, sam.Simple, read1, true)) // past the home again
	w.idle()
}

func TestLocal_Attend_ReachesTheHome(t *testing.T) {
	w := newGateWorld(t)
	w.locals[away].Attend(w.unit, 0, scsi.LUNsChanged)
	w.settle()
	c := w.mustIssue(home, 1, sam.Simple, read1, true)
	if c.Nexus != 0 || c.Sense.Code != 0x3f0e {
		t.Errorf("nexus %d: %+v", c.Nexus, c.Sense)
	}
	w.finish(home, c)
	w.idle()
}

// A unit that goes gives its index to the next one.
func TestLocal_Detach_FreesTheIndex(t *testing.T) {
	w := newGateWorld(t)
	l := w.locals[away]
	c := w.mustIssue(away, 1, sam.Simple, read1, true)
	if l.Idle(w.unit) {
		t.Error("idle with a command")
	}
	w.finish(away, c)
	n := len(l.sides)
	if !l.Idle(w.unit) || !w.locals[home].Idle(w.unit) {
		t.Fatal("not idle")
	}
	l.Detach(w.unit)
	l.Detach(w.unit) // once more does nothing
	if len(l.freeSides) != 1 || w.unit.side(away) != nil {
		t.Fatalf("%d free, side %v", len(l.freeSides), w.unit.side(away))
	}
	l.Attach(w.unit, func(uint32) blk.Queue { return w.disk })
	if len(l.sides) != n || len(l.freeSides) != 0 {
		t.Errorf("%d sides, %d free", len(l.sides), len(l.freeSides))
	}
	w.finish(away, w.mustIssue(away, 2, sam.Simple, read1, true))
}
