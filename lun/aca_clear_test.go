package lun

import (
	"testing"

	"lunar/scsi/sam"
)

// What ends an ACA and what does not (SAM-5 §5.9.5), from the faulted nexus and from
// another; behind it what was blocked goes on.
func TestACA_Clearing(t *testing.T) {
	function := func(f sam.Function) func(*world, int) {
		return func(w *world, r int) {
			w.manage(r, 90, f)
			w.want(Owner(r, 90), Managed)
		}
	}
	attend := func(cdb string, attribute sam.Attribute) func(*world, int) {
		return func(w *world, r int) { w.run(r, 90, attribute, cdb) }
	}
	for name, k := range map[string]struct {
		happens         func(*world, int)
		faulted, others bool
	}{
		"CLEAR ACA":                      {function(sam.ClearACA), true, false},
		"LOGICAL UNIT RESET":             {function(sam.LogicalUnitReset), true, true},
		"TARGET WARM RESET":              {function(sam.TargetWarmReset), true, true},
		"TARGET COLD RESET":              {function(sam.TargetColdReset), true, true},
		"ABORT TASK SET":                 {function(sam.AbortTaskSet), false, false},
		"CLEAR TASK SET":                 {function(sam.ClearTaskSet), false, false},
		"nexus loss":                     {func(w *world, r int) { w.locals[r].Lose(w.unit, sam.Nexus(r)) }, true, false},
		"ACA command, GOOD":              {attend(ready, sam.ACA), false, false},
		"ACA command fails":              {attend(beyond, sam.ACA), true, false},
		"ACA command fails, NACA":        {attend(beyondNACA, sam.ACA), false, false},
		"another command, refused":       {attend(beyond, sam.Simple), false, false},
		"another command, refused, NACA": {attend(beyondNACA, sam.HeadOfQueue), false, false},
	} {
		for at := range 2 {
			for from := range 2 {
				w := newGateWorld(t)
				w.fault(at)
				k.happens(w, from)
				w.settle()
				want := k.others
				if from == at {
					want = k.faulted
				}
				if a := &w.unit.aca; a.established == want || a.established && a.faulted != sam.Nexus(at) || a.attended {
					t.Errorf("%s of %d, faulted %d: %+v", name, from, at, a)
				}
				w.manage(at, 91, sam.ClearACA)
				w.want(Owner(at, 91), Managed)
				for r := range 2 {
					for !w.unit.device.Plain(sam.Nexus(r)) {
						w.run(r, 92, sam.Simple, ready)
					}
				}
				w.goesOn()
			}
		}
	}
}

// SAM-5 §7.4: CLEAR ACA ends the command that attends to it like ABORT TASK, and
// answers when it is gone; until then the ACA stands.
func TestACA_ClearEndsTheAttendingCommand(t *testing.T) {
	for at := range 2 {
		w := newGateWorld(t)
		w.fault(at)
		attending, _ := w.issue(at, 1, sam.ACA, read1NACA)
		w.settle()
		w.take(attending.Owner)
		w.manage(1-at, 9, sam.ClearACA)
		w.want(Owner(1-at, 9), Managed)
		w.want(attending.Owner) // another's is nothing
		w.manage(at, 9, sam.ClearACA)
		w.want(attending.Owner, Abort)
		w.want(Owner(at, 9))
		if c := w.run(at, 2, sam.ACA, ready); c.Status != sam.ACAActive {
			t.Errorf("a second ACA command: %02x", c.Status)
		}
		// Its CHECK CONDITION was on its way: the ACA it renews is the one that is cleared.
		attending.Fail(sam.NewSense(sam.MediumError, 0x1100))
		w.finish(at, attending)
		w.want(Owner(at, 9), Managed)
		w.goesOn()
	}
}

// A COMPARE AND WRITE that attends waits for what runs, before those that are blocked,
// and CLEAR ACA ends it as well while it waits.
func TestACA_IndivisibleAttendingCommand(t *testing.T) {
	const compare1 = "89 00 00 00 00 00 00 00 00 08 00 00 00 01"
	for _, cleared := range []bool{false, true} {
		w := newGateWorld(t)
		running := w.mustIssue(away, 1, sam.Simple, write1, true)
		faulting := w.mustIssue(home, 2, sam.Simple, beyondNACA, true)
		blocked := w.mustIssue(home, 3, sam.Ordered, write1, false)
		w.finish(home, faulting)
		compare := w.mustIssue(home, 4, sam.ACA, compare1, false)
		w.want(compare.Owner)
		if cleared {
			w.manage(home, 9, sam.ClearACA)
			w.want(compare.Owner, Abort, Begun)
			if compare.Status != sam.TaskAborted {
				t.Errorf("status %02x", compare.Status)
			}
			w.finish(home, compare)
			w.want(Owner(home, 9), Managed)
			w.finish(away, running)
		} else {
			w.finish(away, running)
			w.want(compare.Owner, Begun)
			w.finish(home, compare)
			w.want(blocked.Owner)
			w.clearACA(home)
		}
		w.want(blocked.Owner, Begun)
		w.finish(home, blocked)
		w.goesOn()
	}
}

// There is one ACA: a command of another nexus that had begun before and fails during it
// changes nothing, and its nexus cannot clear it.
func TestACA_SecondFaultAddsNothing(t *testing.T) {
	for _, same := range []bool{false, true} {
		w := newGateWorld(t)
		r := away
		if same {
			r = home
		}
		late, _ := w.issue(r, 1, sam.Simple, read1NACA)
		w.settle()
		w.take(late.Owner)
		w.fault(home)
		late.Fail(sam.NewSense(sam.MediumError, 0x1100))
		w.finish(r, late)
		if !same {
			w.clearACA(away)
		}
		if a := &w.unit.aca; !a.established || a.faulted != home {
			t.Errorf("%+v", a)
		}
		w.clearACA(home)
		w.goesOn()
	}
}

// A nexus that is lost leaves no ACA behind, neither one that is nor one that its
// commands would establish, whichever word comes first.
func TestACA_NexusLoss(t *testing.T) {
	for at := range 2 {
		w := newGateWorld(t)
		late, begun := w.issue(at, 1, sam.Simple, beyondNACA)
		if !begun {
			w.want(late.Owner, Begun)
		}
		blocked := w.mustIssue(1-at, 2, sam.Ordered, write1, false)
		w.settle()
		w.locals[1-at].Lose(w.unit, sam.Nexus(at))
		w.settle()
		w.finish(at, late)
		w.want(blocked.Owner, Begun)
		w.finish(1-at, blocked)
		w.attention(at, 0x2907)
		w.goesOn()

		w.fault(at)
		attending, _ := w.issue(at, 3, sam.ACA, read1NACA)
		w.settle()
		w.take(attending.Owner)
		w.locals[1-at].Lose(w.unit, sam.Nexus(at))
		w.settle()
		w.attention(at, 0x2907)
		w.fault(1 - at) // the next is not the old command's
		attending.Fail(sam.NewSense(sam.MediumError, 0x1100))
		w.finish(at, attending)
		if a := &w.unit.aca; !a.established || a.faulted != sam.Nexus(1-at) {
			t.Errorf("%+v", a)
		}
		w.clearACA(1 - at)
		w.goesOn()
	}
}

// A blocked command can be ended by its owner and by functions, and a unit changes its
// size with commands blocked.
func TestACA_BlockedCommandsHoldNobodyUp(t *testing.T) {
	w := newGateWorld(t)
	faulting := w.mustIssue(home, 1, sam.Simple, beyondNACA, true)
	var blocked []*sam.Command
	for id := range uint64(3) {
		blocked = append(blocked, w.mustIssue(away, 2+id, sam.Ordered, write1, false))
		w.settle()
	}
	w.finish(home, faulting)
	w.locals[away].Withdraw(w.unit, blocked[0].Owner)
	w.want(blocked[0].Owner, Begun)
	w.finish(away, blocked[0])
	w.want(blocked[1].Owner)
	info := w.unit.Info()
	info.Bytes -= testBlock
	w.locals[home].Resize(w.unit, info)
	if w.settle(); w.unit.Info().Bytes != info.Bytes {
		t.Error("the size is as before")
	}
	w.manage(home, 9, sam.ClearTaskSet)
	for _, c := range blocked[1:] {
		w.want(c.Owner, Abort, Begun)
		if c.Status != sam.TaskAborted {
			t.Errorf("status %02x", c.Status)
		}
		w.finish(away, c)
	}
	w.want(Owner(home, 9), Managed)
	if !w.unit.aca.established {
		t.Error("CLEAR TASK SET ended the ACA")
	}
	if !w.locals[home].Idle(w.unit) || !w.locals[away].Idle(w.unit) {
		t.Error("not idle")
	}
	w.clearACA(home)
	w.attention(home, 0x2a09)
	w.attention(away, 0x2a09)
	w.attention(away, 0x2f00)
	w.goesOn()
}

// Where there is no unit there is no ACA: what answers for it answers for all.
func TestACA_NotWithoutAUnit(t *testing.T) {
	w := newWorld(t)
	absent := NewAbsent(2)[home]
	for _, k := range []struct {
		attribute sam.Attribute
		cdb       string
		code      uint16
	}{{sam.Simple, readyNACA, 0x2500}, {sam.ACA, readyNACA, 0x2500}, {sam.ACA, "12 00 00 00 60", 0}, {sam.Simple, ready, 0x2500}} {
		c := command(t, home, 1, k.cdb)
		c.Attribute = k.attribute
		if !w.locals[home].Begin(absent, c) || c.Sense.Code != k.code {
			t.Errorf("%s, attribute %d: %v %+v", k.cdb, k.attribute, c.Status, c.Sense)
		}
		w.locals[home].Finish(absent, c)
	}
}
