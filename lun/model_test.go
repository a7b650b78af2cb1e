package lun

import (
	"testing"

	"lunar/scsi/sam"

	"pgregory.net/rapid"
)

// model is what the task set should hold, told in the order in which calls and
// messages reach the home.
type model struct {
	arrivals int
	set      map[uint64]member
	waiting  map[uint64]*function
	// aborts counts the Abort events an owner should get; ended are the functions
	// that are carried out.
	aborts map[uint64]int
	ended  map[uint64]bool
}

type member struct {
	nexus   sam.Nexus
	arrival int
}

type function struct {
	kind   sam.Function
	nexus  sam.Nexus
	before int
}

func (f *function) affects(m member) bool {
	return m.arrival <= f.before && (f.kind != sam.AbortTaskSet || m.nexus == f.nexus)
}

func (m *model) begin(owner uint64, n sam.Nexus) {
	m.arrivals++
	m.set[owner] = member{n, m.arrivals}
}

func (m *model) manage(owner uint64, f function) {
	f.before = m.arrivals
	m.waiting[owner] = &f
	for o, c := range m.set {
		if f.affects(c) {
			m.aborts[o]++
		}
	}
	m.conclude()
}

func (m *model) finish(owner uint64) {
	delete(m.set, owner)
	m.conclude()
}

func (m *model) conclude() {
	for owner, f := range m.waiting {
		held := false
		for _, c := range m.set {
			held = held || f.affects(c)
		}
		if !held {
			delete(m.waiting, owner)
			m.ended[owner] = true
		}
	}
}

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
		x.m.begin(msg.Command.Owner, msg.Command.Nexus)
	case askFinish:
		x.m.finish(x.finished[uint64(msg.ticket)])
	case askManage:
		x.m.manage(msg.Management.Owner, function{kind: msg.Management.Function, nexus: msg.Management.Nexus})
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
	c := &sam.Command{
		Owner: Owner(r, x.next), CDBBytes: 16,
		Nexus: sam.Nexus(rapid.IntRange(0, 2).Draw(x.rt, "nexus")),
	}
	x.commands[c.Owner] = c
	if r == home {
		x.m.begin(c.Owner, c.Nexus)
	}
	x.begun[c.Owner] = x.locals[r].Begin(x.unit, c)
}

// finish ends a command that its owner may end now.
func (x *taskSetRun) finish(owner uint64) {
	c := x.commands[owner]
	delete(x.commands, owner)
	r := ownerReactor(owner)
	if r == home {
		x.m.finish(owner)
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
		Function: rapid.SampledFrom(unitFunctions).Draw(x.rt, "function"),
		Nexus:    sam.Nexus(rapid.IntRange(0, 2).Draw(x.rt, "nexus")),
	}
	if r == home {
		x.m.manage(m.Owner, function{kind: m.Function, nexus: m.Nexus})
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
				x.begun[owner] = true
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
	switch rapid.IntRange(0, 5).Draw(x.rt, "step") {
	case 0, 1:
		x.begin()
	case 2:
		x.manage()
	case 3:
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

// end delivers everything and finishes every command.
func (x *taskSetRun) end() {
	for len(x.commands) > 0 || x.underWay() {
		for x.underWay() {
			x.pass(away, home)
			x.pass(home, away)
			x.look()
		}
		for _, o := range x.finishable() {
			x.finish(o)
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

// In whatever order calls and messages come, the task set is the model's: every
// function ends exactly once, when the last of its commands is finished.
func TestTaskSet_Model(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		x := &taskSetRun{
			world: newWorld(t), rt: rt,
			m: model{
				set: map[uint64]member{}, waiting: map[uint64]*function{},
				aborts: map[uint64]int{}, ended: map[uint64]bool{},
			},
			commands: map[uint64]*sam.Command{}, begun: map[uint64]bool{}, finished: map[uint64]uint64{},
		}
		x.t = rt
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			x.step()
		}
		x.end()
	})
}
