package lun

import (
	"slices"
	"testing"

	"lunar/internal/conform"
	"lunar/scsi"
	"lunar/scsi/sam"
)

// open makes both nexuses known to the unit and takes their power on attention.
func (w *world) open() {
	for r := range w.locals {
		w.locals[r].Open(w.unit, sam.Nexus(r), nil)
		w.settle()
		w.attention(r, 0x2900)
	}
}

// attention checks which unit attention a nexus is told next; 0 is none.
func (w *world) attention(r int, code uint16) {
	w.t.Helper()
	c := command(w.t, r, 1<<40, "00")
	w.do(r, c, nil)
	if c.Sense.Code != code {
		w.t.Fatalf("nexus %d is told %04x, want %04x", r, c.Sense.Code, code)
	}
}

func (w *world) manage(r int, id uint64, f sam.Function) {
	w.locals[r].Manage(w.unit, &Management{Function: f, Nexus: sam.Nexus(r), Owner: Owner(r, id)})
	w.settle()
}

var unitFunctions = []sam.Function{
	sam.AbortTaskSet, sam.ClearTaskSet, sam.LogicalUnitReset, sam.TargetWarmReset, sam.TargetColdReset,
}

// A function with nothing to end is carried out at once.
func TestManage_EmptyTaskSet_EndsAtOnce(t *testing.T) {
	for _, f := range unitFunctions {
		for r := range 2 {
			w := newWorld(t)
			w.manage(r, 9, f)
			w.want(Owner(r, 9), Managed)
			w.idle()
		}
	}
}

// An immediate function carries the number of the next command, which is behind it
// wherever the two meet (RFC 3720 §10.5.1); an immediate command in front of it carries
// the same number, and ends.
func TestManage_SpareTheCommandOfItsNumber(t *testing.T) {
	conform.Covers(t, "R-10.5.1-2")
	for _, numbered := range []bool{true, false} {
		w := newWorld(t)
		w.open()
		c := command(t, 0, 10, "28 00 00 00 00 00 00 00 01")
		c.Place, c.Numbered = 14, numbered
		w.begin(0, c)
		w.locals[0].Manage(w.unit, &Management{Function: sam.LogicalUnitReset, Owner: Owner(0, 9), Place: 14})
		w.settle()
		if ended := len(w.take(c.Owner)) > 0; ended == numbered {
			t.Errorf("numbered %v: ended %v", numbered, ended)
		}
	}
}

// A function that was sent at the home is behind what another reactor had sent there
// before, of the same nexus over another connection.
func TestManage_AtHome_FindsWhatIsOnItsWay(t *testing.T) {
	conform.Covers(t, "R-10.5.1-2")
	w := newWorld(t)
	w.open()
	c := command(t, 1, 10, "00")
	c.Nexus, c.Place, c.Numbered = 0, 13, true
	w.locals[1].Begin(w.unit, c)
	w.locals[0].Manage(w.unit, &Management{Function: sam.AbortTaskSet, Owner: Owner(0, 9), Place: 14, Joint: true})
	w.pass(1, 0)
	w.settle()
	if got := w.take(c.Owner); !slices.ContainsFunc(got, func(e Event) bool { return e.Kind == Abort }) {
		t.Errorf("the command heard %+v, want its end", got)
	}
}

// What a home has sent itself, because somebody announced a command that runs alone, is not
// passed when that has come: neither by a function, nor by an ORDERED command.
func TestLocal_AtHome_PassesNothingInItsMailbox(t *testing.T) {
	for _, joint := range []bool{false, true} {
		for _, function := range []bool{false, true} {
			w := newWorld(t)
			w.open()
			alone, c := command(t, away, 9, "00"), command(t, home, 10, "00")
			alone.Attribute = sam.Ordered
			c.Place, c.Joint = 14, joint
			w.locals[away].Begin(w.unit, alone)
			if w.locals[home].Begin(w.unit, c) {
				t.Fatal("the command passed what was announced")
			}
			w.pass(away, home)
			if function {
				w.locals[home].Manage(w.unit, &Management{Function: sam.AbortTaskSet, Owner: Owner(home, 11), Place: 14, Joint: joint})
				w.settle()
				if got := w.take(c.Owner); !slices.ContainsFunc(got, func(e Event) bool { return e.Kind == Abort }) {
					t.Errorf("joint %v: the command heard %+v, want its end", joint, got)
				}
				continue
			}
			ordered := command(t, home, 11, "00")
			ordered.Attribute, ordered.Place, ordered.Joint = sam.Ordered, 15, joint
			if w.locals[home].Begin(w.unit, ordered) {
				t.Errorf("joint %v: the ORDERED command passed the one in front of it", joint)
			}
		}
	}
}

// A function with a number of its own is behind immediate commands that carry that number,
// whenever they came.
func TestManage_NumberedIsBehindTheImmediate(t *testing.T) {
	conform.Covers(t, "R-10.5.1-2")
	for _, numbered := range []bool{false, true} {
		w := newWorld(t)
		w.open()
		m := &Management{Function: sam.AbortTaskSet, Owner: Owner(0, 9), Place: 14, Numbered: numbered}
		f := sideFunction{Management: m, seen: 5, before: 3}
		if got := f.behind(&entry{arrival: 4, place: 14}); got == numbered {
			t.Errorf("numbered %v: behind %v", numbered, got)
		}
	}
}

// An ORDERED command at the home does not pass what another connection of its session
// sent there from another reactor before.
func TestLocal_OrderedAtHome_PassesNothingOnItsWay(t *testing.T) {
	w := newWorld(t)
	w.open()
	first, second := command(t, 1, 10, "00"), command(t, 0, 11, "00")
	first.Nexus, first.Joint, second.Joint = 0, true, true
	second.Attribute = sam.Ordered
	w.locals[1].Begin(w.unit, first)
	if w.locals[0].Begin(w.unit, second) {
		t.Error("the ORDERED command began in front of the other")
	}
	w.pass(1, 0)
	w.settle()
	for _, c := range []*sam.Command{first, second} {
		w.want(c.Owner, Begun)
		w.locals[OwnerReactor(c.Owner)].Finish(w.unit, c)
		w.settle()
	}
	w.idle()
}

// Of the commands of two nexuses a function ends those it is for; its end comes
// after the last of them is finished, and later commands are left alone.
func TestManage_EndsWhatItIsFor_AfterTheLastFinish(t *testing.T) {
	for _, f := range unitFunctions {
		for from := range 2 {
			w := newWorld(t)
			w.open()
			var before [2]*sam.Command
			for r := range before {
				before[r] = command(t, r, uint64(10+r), "28 00 00 00 00 00 00 00 01")
				w.begin(r, before[r])
			}
			w.manage(from, 9, f)
			var later [2]*sam.Command
			affected := 0
			for r, c := range before {
				hit := f != sam.AbortTaskSet || r == from
				if got := w.take(c.Owner); hit != (len(got) == 1 && got[0].Kind == Abort) || !hit && got != nil {
					t.Fatalf("function %d from %d: command of %d got %+v", f, from, r, got)
				}
				if hit {
					affected++
				}
				later[r] = command(t, r, uint64(20+r), "28 00 00 00 00 00 00 00 01")
				w.begin(r, later[r])
			}
			for r, c := range before {
				if f == sam.AbortTaskSet && r != from {
					continue
				}
				w.want(Owner(from, 9)) // not before the last
				w.locals[r].Finish(w.unit, c)
				affected--
			}
			if affected != 0 {
				t.Fatalf("function %d: %d commands left", f, affected)
			}
			w.want(Owner(from, 9), Managed)
			for r, c := range later {
				w.want(c.Owner)
				w.locals[r].Finish(w.unit, c)
			}
			if f == sam.AbortTaskSet {
				w.locals[1-from].Finish(w.unit, before[1-from])
			}
			w.idle()
		}
	}
}

// SAM-5 §7.3, §7.4, §7.7: who is told of what.
func TestManage_Attentions(t *testing.T) {
	conform.Covers(t, "R-10.5.1-10")
	for _, k := range []struct {
		f           sam.Function
		mine, other uint16
	}{
		{sam.AbortTaskSet, 0, 0},
		{sam.ClearTaskSet, 0, 0x2f00},
		{sam.LogicalUnitReset, 0x2903, 0x2903},
		{sam.TargetWarmReset, 0x2902, 0x2902},
		{sam.TargetColdReset, 0x2900, 0x2900},
	} {
		for from := range 2 {
			w := newWorld(t)
			w.open()
			for r := range 2 {
				c := command(t, r, uint64(10+r), "28 00 00 00 00 00 00 00 01")
				w.begin(r, c)
			}
			w.manage(from, 9, k.f)
			for r := range 2 {
				c := Owner(r, uint64(10+r))
				w.take(c)
				w.locals[r].Finish(w.unit, &sam.Command{Ticket: uint32(r), Owner: c})
			}
			w.want(Owner(from, 9), Managed)
			w.attention(from, k.mine)
			w.attention(1-from, k.other)
			w.attention(1-from, 0)
			w.idle()
		}
	}
}

// tas sets TAS.
func (w *world) tas() {
	w.t.Helper()
	w.do(home, command(w.t, home, 900, "15 10 00 00 10 00"), []byte{0, 0, 0, 0, 0x0a, 10, 0, 0x10, 0, 0x40, 0, 0, 0xff, 0xff, 0, 0})
	w.attention(away, 0x2a01)
}

// With TAS the owner of a command is told by its status what another nexus did to it, on
// whatever side, and of CLEAR TASK SET by nothing else. Hard resets know no TAS.
func TestManage_TAS(t *testing.T) {
	for f, k := range map[sam.Function]struct {
		tells bool
		other uint16
	}{
		sam.ClearTaskSet: {true, 0}, sam.LogicalUnitReset: {true, 0x2903}, sam.TargetWarmReset: {false, 0x2902},
	} {
		for from := range 2 {
			w := newWorld(t)
			w.open()
			w.tas()
			var cs [2]*sam.Command
			for r := range cs {
				cs[r] = command(t, r, uint64(10+r), "28 00 00 00 00 00 00 00 01")
				w.begin(r, cs[r])
			}
			w.manage(from, 9, f)
			for r, c := range cs {
				e := w.take(c.Owner)
				if len(e) != 1 || e[0].Kind != Abort || e[0].Management.Tells(c.Nexus) != (k.tells && r != from) {
					t.Errorf("function %d from %d: %+v", f, from, e)
				}
				w.locals[r].Finish(w.unit, c)
			}
			w.want(Owner(from, 9), Managed)
			w.attention(1-from, k.other)
			w.attention(1-from, 0)
		}
	}
}

// A nexus without a command in the set is not told of a CLEAR TASK SET.
func TestManage_ClearTaskSet_TellsOnlyWhoLostCommands(t *testing.T) {
	w := newWorld(t)
	w.open()
	w.manage(home, 9, sam.ClearTaskSet)
	w.want(Owner(home, 9), Managed)
	w.attention(away, 0)
	w.idle()
}

// Several functions wait for the same command; each ends when its own commands
// are gone, in the order they came.
func TestManage_SeveralAtOnce(t *testing.T) {
	w := newWorld(t)
	w.open()
	first := command(t, away, 10, "28 00 00 00 00 00 00 00 01")
	w.begin(away, first)
	w.manage(away, 1, sam.AbortTaskSet)
	second := command(t, home, 11, "28 00 00 00 00 00 00 00 01")
	w.begin(home, second)
	w.manage(home, 2, sam.LogicalUnitReset)
	w.manage(home, 3, sam.AbortTaskSet)
	w.want(first.Owner, Abort, Abort)
	w.want(second.Owner, Abort, Abort)

	w.locals[away].Finish(w.unit, first)
	w.want(Owner(away, 1), Managed)
	w.want(Owner(home, 2))
	w.locals[home].Finish(w.unit, second)
	w.want(Owner(home, 2), Managed)
	w.want(Owner(home, 3), Managed)
	w.attention(home, 0x2903)
	w.attention(away, 0x2903)
	w.idle()
}

// A command whose Begin is under way when a function arrives is a later one, and
// one whose Finish is under way is still there.
func TestManage_RacesWithBeginAndFinish(t *testing.T) {
	w := newWorld(t)
	old := command(t, away, 10, "28 00 00 00 00 00 00 00 01")
	w.begin(away, old)
	w.locals[away].Finish(w.unit, old)
	young := command(t, away, 11, "28 00 00 00 00 00 00 00 01")
	w.locals[away].Begin(w.unit, young)
	m := &Management{Function: sam.LogicalUnitReset, Owner: Owner(home, 9)}
	w.locals[home].Manage(w.unit, m)
	w.turn(home)
	if got := w.take(m.Owner); got != nil {
		t.Fatalf("ended before the Finish arrived: %+v", got)
	}
	w.want(young.Owner, Begun) // and no Abort
	w.want(old.Owner, Abort)   // its owner knows it is over
	w.want(m.Owner, Managed)
	w.locals[away].Finish(w.unit, young)
	w.idle()
}

// A reset starts a stopped unit again (SBC-3 §4.20).
func TestManage_ResetStartsTheUnit(t *testing.T) {
	w := newWorld(t)
	w.do(home, command(t, home, 1, "1b 00 00 00 00"), nil)
	c := command(t, away, 2, "00")
	if w.do(away, c, nil); c.Sense.Code != 0x0402 {
		t.Fatalf("stopped: %+v", c.Sense)
	}
	w.manage(away, 3, sam.LogicalUnitReset)
	w.want(Owner(away, 3), Managed)
	w.do(away, c, nil)
	if c.Status != sam.Good {
		t.Errorf("after the reset: %+v", c.Sense)
	}
	w.idle()
}

func TestLocal_Lose_TellsTheNexus(t *testing.T) {
	w := newWorld(t)
	w.open()
	for r := range 2 {
		w.locals[r].Lose(w.unit, sam.Nexus(r))
		w.settle()
		w.attention(r, 0x2907)
		w.attention(1-r, 0)
	}
	w.idle()
}

// A nexus is told once that the transport ended commands of it, whichever reactor
// says so, and behind a nexus loss.
func TestInterrupted_TellsTheNexusOnce(t *testing.T) {
	for from := range 2 {
		w := newWorld(t)
		w.open()
		w.locals[from].Attend(w.unit, sam.Nexus(from), scsi.ProtocolCleared)
		w.settle()
		w.locals[from].Lose(w.unit, sam.Nexus(from))
		w.settle()
		w.attention(from, 0x2907)
		w.attention(from, 0x477f)
		w.attention(from, 0)
		w.attention(1-from, 0)
		w.idle()
	}
}
