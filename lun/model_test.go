package lun

import (
	"testing"

	"lunar/scsi/sam"

	"pgregory.net/rapid"
)

// taskSetRun is one random run of the task set beside its model.
type taskSetRun struct {
	*world
	rt       *rapid.T
	m        model
	next     uint64
	commands map[uint64]*sam.Command // begun and not finished, as the owners know it
	begun    map[uint64]bool
	finished map[uint64]uint64 // owner by ticket, for a Finish under way
}

// onHome tells the model of a message that is about to reach the home.
func (x *taskSetRun) onHome(msg Message) {
	switch msg.kind {
	case askBegin:
		x.m.begin(msg.Command)
	case askFinish:
		x.m.finish(x.finished[uint64(msg.ticket)], msg.outcome.status)
	case askLoss:
		x.m.lose(msg.nexus)
	case askManage:
		x.m.manage(msg.Management.Owner, function{kind: msg.Management.Function, nexus: msg.Management.Nexus, place: msg.Management.Place})
	default:
		x.rt.Fatalf("message of kind %d", msg.kind)
	}
}

func (x *taskSetRun) pass(from, to int) {
	if p := x.pipes[from][to]; len(p) > 0 && to == home {
		x.onHome(p[0])
	}
	x.world.pass(from, to)
}

func (x *taskSetRun) begin() {
	x.next++
	r := int(x.next % 2)
	attributes := []sam.Attribute{sam.Simple, sam.Simple, sam.Ordered, sam.HeadOfQueue, sam.ACA}
	c := &sam.Command{
		Owner: Owner(r, x.next), CDBBytes: 16, Nexus: x.nexus(),
		Attribute: rapid.SampledFrom(attributes).Draw(x.rt, "attribute"), Place: uint32(x.next),
	}
	if rapid.Bool().Draw(x.rt, "NACA") {
		c.CDB[5] = 0x04
	}
	c.Joint = rapid.Bool().Draw(x.rt, "joint")
	x.commands[c.Owner] = c
	if x.direct(r) && !(c.Joint && needsQuiet(c)) {
		x.m.begin(c)
	}
	if x.locals[r].Begin(x.unit, c) {
		x.hasBegun(c)
	}
}

// direct says whether what a reactor asks of the unit is done at once: at home, unless
// something that was announced comes first.
func (x *taskSetRun) direct(r int) bool {
	return r == home && x.unit.mailed == 0 && !x.unit.gate.announced()
}

func (x *taskSetRun) nexus() sam.Nexus { return sam.Nexus(rapid.IntRange(0, 2).Draw(x.rt, "nexus")) }

// hasBegun checks what a command began with.
func (x *taskSetRun) hasBegun(c *sam.Command) {
	want, begun := x.m.statuses[c.Owner]
	if !begun || c.Action != sam.Complete || c.Status != want || want == sam.CheckCondition && c.Sense.Code != 0x4900 {
		x.rt.Fatalf("%#x began with %02x %+v, in the model %v with %02x", c.Owner, c.Status, c.Sense, begun, want)
	}
	x.begun[c.Owner] = true
}

// lose loses a nexus.
func (x *taskSetRun) lose() {
	x.next++
	r, n := int(x.next%2), x.nexus()
	if r == home {
		x.m.lose(n)
	}
	x.locals[r].Lose(x.unit, n)
}

// finish ends a command that its owner may end now, perhaps with another status than
// it began with.
func (x *taskSetRun) finish(owner uint64) {
	c := x.commands[owner]
	delete(x.commands, owner)
	if c.Status == sam.Good && rapid.Bool().Draw(x.rt, "fails") {
		c.Fail(sam.NewSense(sam.MediumError, 0x1100))
	}
	r := OwnerReactor(owner)
	if r == home {
		x.m.finish(owner, c.Status)
	} else {
		x.finished[uint64(c.Ticket)] = owner
	}
	x.locals[r].Finish(x.unit, c)
}

func (x *taskSetRun) manage() {
	x.next++
	r := int(x.next % 2)
	m := &Management{
		Owner:    Owner(r, x.next),
		Function: rapid.SampledFrom(append([]sam.Function{sam.ClearACA}, unitFunctions...)).Draw(x.rt, "function"),
		Nexus:    x.nexus(), Place: uint32(x.next), Joint: rapid.Bool().Draw(x.rt, "joint"),
	}
	if x.direct(r) && !m.Joint {
		x.m.manage(m.Owner, function{kind: m.Function, nexus: m.Nexus, place: m.Place})
	}
	x.locals[r].Manage(x.unit, m)
}

// look ends the turns and checks what came against the model.
func (x *taskSetRun) look() {
	for r := range x.locals {
		x.turn(r)
	}
	for owner, all := range x.events {
		aborts := 0
		for _, e := range all {
			switch e.Kind {
			case Begun:
				if !x.begun[owner] {
					x.hasBegun(e.Command)
				}
			case Abort:
				aborts++
			case Managed:
				if !x.m.ended[owner] || len(all) != 1 {
					x.rt.Fatalf("function of %#x ended, in the model %v: %+v", owner, x.m.ended[owner], all)
				}
			default:
				x.rt.Fatalf("event %+v", e)
			}
		}
		if aborts > x.m.aborts[owner] {
			x.rt.Fatalf("%#x aborted %d times, model %d", owner, aborts, x.m.aborts[owner])
		}
	}
	if x.unit.sides[home].tasks.count != len(x.m.set) || len(x.unit.sides[home].tasks.functions) != len(x.m.waiting) {
		x.rt.Fatalf("%d commands and %d functions, model %d and %d",
			x.unit.sides[home].tasks.count, len(x.unit.sides[home].tasks.functions), len(x.m.set), len(x.m.waiting))
	}
	if a := &x.unit.aca; a.established != x.m.aca || a.established && (a.faulted != x.m.faulted || a.attended != (x.m.attending != 0)) ||
		len(x.unit.waiting) != len(x.m.queue) || x.unit.begun != x.m.running() {
		x.rt.Fatalf("ACA %+v, %d wait, %d run; in the model %v of %d, attended %v, %d wait, %d run",
			a, len(x.unit.waiting), x.unit.begun, x.m.aca, x.m.faulted, x.m.attending != 0, len(x.m.queue), x.m.running())
	}
}

// finishable are the commands whose owners know of their Begin, in order.
func (x *taskSetRun) finishable() (owners []uint64) {
	for id := uint64(1); id <= x.next; id++ {
		o := Owner(int(id%2), id)
		if x.commands[o] != nil && x.begun[o] {
			owners = append(owners, o)
		}
	}
	return owners
}

func (x *taskSetRun) step() {
	switch rapid.IntRange(0, 10).Draw(x.rt, "step") {
	case 10:
		x.pass(home, home)
	case 0, 1, 2:
		x.begin()
	case 6:
		x.manage()
	case 7:
		x.lose()
	case 3, 8, 9:
		if all := x.finishable(); len(all) > 0 {
			x.finish(rapid.SampledFrom(all).Draw(x.rt, "command"))
		}
	case 4:
		x.pass(away, home)
	case 5:
		x.pass(home, away)
	}
	x.look()
}

// end delivers everything and finishes every command. An ACA over commands that wait is
// the only thing that keeps them from it, and ends with its nexus.
func (x *taskSetRun) end() {
	for len(x.commands) > 0 || x.underWay() {
		for x.underWay() {
			x.pass(away, home)
			x.pass(home, away)
			x.pass(home, home)
			x.look()
		}
		all := x.finishable()
		for _, o := range all {
			x.finish(o)
			x.look()
		}
		if len(all) == 0 && len(x.commands) > 0 {
			if !x.m.aca {
				x.rt.Fatalf("%d commands are left and may not begin", len(x.commands))
			}
			n := x.m.faulted
			x.m.lose(n)
			x.locals[home].Lose(x.unit, n)
			x.look()
		}
	}
	for owner, n := range x.m.aborts {
		got := 0
		for _, e := range x.events[owner] {
			if e.Kind == Abort {
				got++
			}
		}
		if got != n {
			x.rt.Fatalf("%#x aborted %d times, model %d", owner, got, n)
		}
	}
	for owner := range x.m.ended {
		if all := x.events[owner]; len(all) != 1 || all[0].Kind != Managed {
			x.rt.Fatalf("function of %#x got %+v", owner, all)
		}
	}
	clear(x.events)
	x.idle()
}

// In whatever order calls and messages come, the task set is the model's: every command
// begins with its status when it may, every function ends exactly once, when the last of
// its commands is finished, and ACAs come and go.
func TestTaskSet_Model(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		x := &taskSetRun{
			world: newWorld(t), rt: rt,
			m:        newModel(),
			commands: map[uint64]*sam.Command{}, begun: map[uint64]bool{}, finished: map[uint64]uint64{},
		}
		x.t = rt
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			x.step()
		}
		x.end()
	})
}
