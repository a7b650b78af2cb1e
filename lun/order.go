package lun

import (
	"slices"

	"lunar/scsi"
	"lunar/scsi/sam"
)

// plainTicket marks the ticket of a command that came in through the gate.
const plainTicket = 1 << 31

// plain begins a command on the reactor of its connection when it is a read or
// write that may run beside everything else. It is false for all others, which
// begin at the home.
func (u *Unit) plain(l *Local, s *side, c *sam.Command) bool {
	if c.Attribute != sam.Simple && c.Attribute != sam.Untagged || c.Resumed {
		return false
	}
	// What the home says of the nexus counts from inside only: outside, the home may have been
	// alone since it was read.
	if !u.gate.enter(l.reactor) || !u.gate.admits(c.Nexus) || !u.device.BeginPlain(c) {
		u.leave(l)
		return false
	}
	s.tasks.add(c)
	c.Ticket |= plainTicket
	l.passed++
	s.counts.Passed++
	return true
}

// leave is the end of what entered the gate.
func (u *Unit) leave(l *Local) {
	switch {
	case !u.gate.leave(l.reactor):
	case l.reactor == u.home:
		u.advance(l)
	default:
		l.post.Post(u.home, Message{kind: askAdvance, unit: u})
	}
}

// begin takes a command at the home. It is true when it has begun; else a Begun
// event comes when it may.
func (u *Unit) begin(c *sam.Command) bool {
	u.sides[u.home].tasks.add(c)
	if c.Resumed {
		u.resume(c)
		return true
	}
	if u.refuses(c) {
		u.begun++
		return true
	}
	head := c.Attribute == sam.HeadOfQueue || c.Attribute == sam.ACA
	if u.passes(c, head) || (head || len(u.waiting) == 0) && u.resize == nil && u.mayBegin(c) {
		u.run(c)
		return true
	}
	if head {
		u.waiting = slices.Insert(u.waiting, 0, c)
	} else {
		u.queue(c)
	}
	return false
}

// queue has a command wait behind the others, a SIMPLE one before the SIMPLE ones of lower
// priority that came last (SAM-5 §8.7). Whatever stands between two commands that pass
// nothing begins at once when it may, so that nobody waits longer for a priority; what
// changes is who comes to the medium first (adr/0021).
func (u *Unit) queue(c *sam.Command) {
	at := len(u.waiting)
	for at > 0 && overtakes(c, u.waiting[at-1]) {
		at--
	}
	u.waiting = slices.Insert(u.waiting, at, c)
}

func overtakes(c, other *sam.Command) bool {
	return c.Attribute == sam.Simple && other.Attribute == sam.Simple && c.Priority.Before(other.Priority) &&
		!needsQuiet(c) && !needsQuiet(other)
}

// passes says whether a command waits for nobody: HEAD OF QUEUE does not (SAM-5
// §8.5.4), nor ACA, which is let in only during one (§8.6), only that nothing comes
// between the halves of COMPARE AND WRITE (SBC-3 §5.2), its own or another's, nor beside
// POPULATE TOKEN. What seizes the unit waits once it has its parameters.
func (u *Unit) passes(c *sam.Command, head bool) bool {
	return (head || seizes(c)) && !u.indivisible && !indivisible(c)
}

func indivisible(c *sam.Command) bool {
	class := scsi.ClassOf(c)
	return class == scsi.MediumAtomic || class == scsi.MediumHold
}

// mayBegin says whether the first command that waits may begin now (SAM-5 §8.6): one
// that needs quiet when everything before it has ended, every other when none such
// runs. For one that needs quiet the gate is closed from the first question on.
func (u *Unit) mayBegin(c *sam.Command) bool {
	if u.alone || !needsQuiet(c) {
		return !u.alone
	}
	u.gate.close()
	if u.begun > 0 || !u.gate.empty() {
		return false // the last to leave knocks
	}
	u.alone, u.lone, u.indivisible = true, c.Ticket, indivisible(c)
	return true
}

// Alone says whether a command passes nothing that came before it, and nothing that
// came behind passes it.
func Alone(c *sam.Command) bool { return needsQuiet(c) }

// needsQuiet says whether nothing may run beside a command: the attribute says so
// (SAM-5 §8.5.3), it changes what every other command sees of the unit, or it must not
// be divided.
func needsQuiet(c *sam.Command) bool {
	if c.Attribute == sam.Ordered {
		return true
	}
	return scsi.ClassOf(c) == scsi.UnitChange || indivisible(c)
}

func (u *Unit) run(c *sam.Command) {
	u.begun++
	u.device.Begin(c)
	u.mirror(c.Nexus)
	u.unguard()
}

// advance begins what has waited, in order, as far as it may begin.
func (u *Unit) advance(l *Local) {
	for u.resized() && len(u.waiting) > 0 && !u.aca.blocks(u.waiting[0]) && u.mayBegin(u.waiting[0]) {
		c := u.waiting[0]
		u.waiting = append(u.waiting[:0], u.waiting[1:]...)
		u.run(c)
		l.tell(c.Owner, Event{Kind: Begun, Command: c})
	}
	if len(u.waiting) == 0 && u.resize == nil && !u.alone && !u.aca.shuts() {
		u.gate.open()
	}
}

// withdraw ends the waiting of a command whose owner ends it: it hears Begun, as
// of a command that is complete, and nothing of it has begun. It is false when the
// command does not wait here.
func (u *Unit) withdraw(l *Local, owner uint64) bool {
	for i, c := range u.waiting {
		if c.Owner != owner {
			continue
		}
		u.waiting = append(u.waiting[:i], u.waiting[i+1:]...)
		c.Action, c.Status = sam.Complete, sam.TaskAborted
		// finish counts it like one that ran.
		u.begun++
		l.tell(owner, Event{Kind: Begun, Command: c})
		u.advance(l)
		return true
	}
	return false
}

// finish takes a command out of the set of a side.
func (u *Unit) finish(l *Local, ticket uint32, o outcome) {
	u.sides[l.reactor].counts.count(o)
	u.forget(l, ticket, o.status)
}

// forget is finish for a command that is not counted: it goes on under another ticket.
func (u *Unit) forget(l *Local, ticket uint32, status sam.Status) {
	s := u.sides[l.reactor]
	if ticket&plainTicket == 0 {
		u.ended(ticket, status)
	}
	s.tasks.remove(ticket &^ plainTicket)
	if len(s.tasks.functions) > 0 {
		u.concludeAborts(l, s)
	}
	if ticket&plainTicket != 0 {
		u.leave(l)
		return
	}
	u.begun--
	if u.alone && ticket == u.lone {
		u.alone, u.indivisible = false, false
		u.nextSeizure(l)
	}
	if len(u.waiting) > 0 || u.gate.closed.Load() {
		u.advance(l)
	}
}

// mirror shows the gate whether reads and writes of n meet anything in the device
// server.
func (u *Unit) mirror(n sam.Nexus) { u.gate.allow(n, u.device.Plain(n)) }

func (u *Unit) mirrorAll() {
	u.protect()
	for n := range u.device.Nexuses() {
		u.mirror(sam.Nexus(n))
	}
}

func (u *Unit) openNexus(n sam.Nexus, name *sam.NexusName) {
	u.device.OpenNexus(n, name)
	u.mirror(n)
}

func (u *Unit) loseNexus(l *Local, n sam.Nexus) {
	u.stopCopies(l, func(o sam.Nexus) bool { return o == n })
	if u.device.NexusLoss(n) {
		u.mirrorAll()
	} else {
		u.mirror(n)
	}
	for _, m := range u.functions {
		m.lost = m.lost || m.Nexus == n
	}
	u.forsake(n)
	u.advance(l)
}
