package lun

import (
	"slices"

	"lunar/scsi"
	"lunar/scsi/pi"
	"lunar/scsi/sam"
)

// What is here carries out what a command does besides the medium: making the state of
// its unit durable, and ending the commands of other nexuses.

// Keeper makes the states of units durable.
type Keeper interface {
	// Keep takes the state of a unit, and a write that is intended or nil, to store them off
	// the reactor so that a loss of power leaves these or those before. When it is stored, or cannot be, the unit's
	// home calls Local.Kept. A unit has one Keep under way at most.
	Keep(u *Unit, state []byte, intent *scsi.Intent)
}

// KeepBy says who keeps the state of a unit whose device server may ask for it
// (scsi.Config.Keeps), before its first command.
func (u *Unit) KeepBy(k Keeper) { u.keeper = k }

// keep starts a Keep step.
func (u *Unit) keep(c *sam.Command) {
	u.keeping = c
	state, intent := u.device.Draft()
	u.keeper.Keep(u, state, intent)
}

// Kept ends the Keep of a unit. It is called at the unit's home.
func (l *Local) Kept(u *Unit, ok bool) {
	c := u.keeping
	u.keeping = nil
	plan := u.device.Kept(c, ok)
	u.mirrorAll()
	switch b := u.background; {
	case b != nil && c == &b.command:
		u.rested(l, b)
	case u.carryOut(l, c, plan):
		l.tell(c.Owner, Event{Kind: Executed, Command: c})
	}
}

// protector is a medium that keeps protection information, and has to know how the unit is
// formatted.
type protector interface{ Protect(f pi.Format) }

// protect tells the medium how the unit is formatted. That changes only while nothing reads
// or changes blocks.
func (u *Unit) protect() {
	if u.protector != nil {
		u.protector.Protect(u.device.Format())
	}
}

// seizes says whether a command ends what is in its way itself, instead of waiting: what
// it is to fence off may never end (SPC-4 §5.13.11.2.6).
func seizes(c *sam.Command) bool { return scsi.ClassOf(c) == scsi.UnitSeizure }

// seize has nothing new begin until c ends. It is false while another command is alone;
// c goes on when that has ended.
func (u *Unit) seize(c *sam.Command) bool {
	if u.alone {
		u.seizing = append(u.seizing, c)
		return false
	}
	u.alone, u.lone = true, c.Ticket
	u.gate.close()
	return true
}

// nextSeizure has the first command that waits to seize the unit go on.
func (u *Unit) nextSeizure(l *Local) {
	if u.alone || len(u.seizing) == 0 {
		return
	}
	c := u.seizing[0]
	u.seizing = slices.Delete(u.seizing, 0, 1)
	if u.execute(l, c) {
		l.tell(c.Owner, Event{Kind: Executed, Command: c})
	}
}

// preemption is no function that can be asked for: PREEMPT AND ABORT ends the commands of
// those it preempts (SPC-4 §5.13.11.2.6).
const preemption sam.Function = 128

// preempt ends the commands of the nexuses that c preempts, on every side.
func (u *Unit) preempt(l *Local, c *sam.Command) {
	u.manage(l, &Management{
		Function: preemption, Nexus: c.Nexus, victims: slices.Clone(u.device.Victims()), preempts: c,
	})
}

// preempted goes on with a command whose victims have no command any more. An ACA of one
// of them is over (SPC-4 §5.13.11.2.6).
func (u *Unit) preempted(l *Local, m *Management) {
	for _, n := range m.victims {
		u.aca.clearFor(n)
	}
	if u.carryOut(l, m.preempts, u.device.Preempted(m.preempts)) {
		l.tell(m.preempts.Owner, Event{Kind: Executed, Command: m.preempts})
	}
}
