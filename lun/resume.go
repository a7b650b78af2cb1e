package lun

import "lunar/scsi/sam"

// resume begins a command anew that has begun before and goes on for another owner. It
// takes the place of the entry it had: nothing that waited for that one passes it. Only
// when this has been told does its owner have that entry forgotten (Local.Forget).
func (u *Unit) resume(c *sam.Command) {
	s := u.sides[u.home]
	e := &s.tasks.entries[c.Ticket]
	if c.Replaces != sam.NoTicket {
		u.replace(c, e)
	} else if c.NACA() && u.device.NormACA() {
		e.naca = true
		u.aca.watched++
		u.gate.close()
	}
	u.begun++
	if ended, told := u.endsResumed(c); ended {
		// A function over it is under way, and told its owner of before.
		c.Told = told
		c.Action, c.Status = sam.Complete, sam.TaskAborted
		return
	}
	u.device.Begin(c)
	u.mirror(c.Nexus)
	u.unguard()
}

// replace takes over what the unit knows of the entry that a command had here.
func (u *Unit) replace(c *sam.Command, e *entry) {
	old := &u.sides[u.home].tasks.entries[c.Replaces]
	e.naca, e.aca, old.naca = old.naca, old.aca, false
	if u.alone && u.lone == c.Replaces {
		u.lone = c.Ticket
	}
	if u.aca.attended && u.aca.ticket == c.Replaces {
		u.aca.ticket = c.Ticket
	}
}

// endsResumed says whether a function that is not concluded, on whatever side, ends a
// command that comes anew, and its initiator is told: it may have been on another one, which
// waits for it still.
func (u *Unit) endsResumed(c *sam.Command) (ended, told bool) {
	if c.Replaces != sam.NoTicket {
		tasks := &u.sides[u.home].tasks
		return tasks.ends(&tasks.entries[c.Replaces])
	}
	if c.Ended {
		return true, c.Told
	}
	for _, m := range u.functions {
		switch {
		case c.Heard == sam.Concluded:
			// It is in no task set. Only its own initiator, which asks for it, may take it
			// for ended.
			if m.Nexus != c.Nexus || m.lost {
				continue
			}
		case m.number <= c.Heard:
			continue // it spared the command where that was
		}
		// As if it had been here before all others.
		f := sideFunction{m, 1, 1}
		if f.affects(&entry{arrival: 1, nexus: c.Nexus, place: c.Place, numbered: c.Numbered}) {
			return true, m.Tells(c.Nexus)
		}
	}
	return false, false
}

// ends says whether a function that this side has heard of ends a command, and its initiator
// is told.
func (s *taskSet) ends(e *entry) (ended, told bool) {
	for i := range s.functions {
		if f := &s.functions[i]; f.affects(e) {
			return true, f.Tells(e.nexus)
		}
	}
	return false, false
}

// Part says of a command that leaves for another owner what its side of the unit knows
// of functions, see sam.Command; ticket was drawn on this reactor.
func (l *Local) Part(u *Unit, ticket uint32) (ended, told bool, heard uint64) {
	if ticket&plainTicket == 0 {
		return false, false, 0 // the home will know
	}
	s := &u.sides[l.reactor].tasks
	ended, told = s.ends(&s.entries[ticket&^plainTicket])
	return ended, told, s.heard
}

// Forget takes a command out of a unit's task set that goes on under another ticket, or
// whose owner is gone; reactor is the one it began on.
func (l *Local) Forget(u *Unit, reactor int, ticket uint32) {
	at := u.home
	if ticket&plainTicket != 0 {
		at = reactor
	}
	if at == l.reactor {
		u.forget(l, ticket, sam.Good)
		return
	}
	l.post.Post(at, Message{kind: askForget, unit: u, ticket: ticket})
}

// AtHome is the ticket by which the home of a unit knows a command, NoTicket when it
// came in through the gate.
func AtHome(ticket uint32) uint32 {
	if ticket&plainTicket != 0 {
		return sam.NoTicket
	}
	return ticket
}
