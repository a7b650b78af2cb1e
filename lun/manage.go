package lun

import (
	"slices"

	"lunar/scsi"
	"lunar/scsi/sam"
)

// Management is one task management function on one unit.
type Management struct {
	Function sam.Function
	// Nexus is where the function came from.
	Nexus sam.Nexus
	// Place is where the function stands in the order of its nexus, and Numbered that it is
	// its own, see sam.Command.
	Place    uint32
	Numbered bool
	// Joint says that the nexus has several connections, see sam.Command.
	Joint bool
	// FastAbort says that whoever asked waits for no data that the tasks it ends still
	// owe (RFC 7143 §4.2.3.4). Units make no difference; owners of tasks do.
	FastAbort bool
	// Owner is the handle of whoever asked, see Owner.
	Owner uint64
	// Found is the answer to a function that only asks, Information what it adds.
	Found       bool
	Information [3]byte

	// origin is the reactor that asked and mark what had arrived on its side then:
	// commands behind the function in its own connection are not for it. On other
	// sides its place is where the message finds it. behind says that what this reactor
	// asked before was on its way to itself.
	origin int
	mark   uint64
	behind bool
	// sides is how many sides have not ended their part; the home counts, and gives each
	// function a number. lost says that its nexus was lost: commands of that one came
	// later, whatever their place.
	sides  int
	number uint64
	lost   bool
	// tells: TAS is one.
	tells bool
	// victims are whose commands a Preemption ends, for a command of the home's.
	victims  []sam.Nexus
	preempts *sam.Command
}

// Tells says whether a command of a nexus that the function ends has the status TASK
// ABORTED, instead of none: TAS is one, and somebody else ends it (SAM-5 §5.3.1, §5.6). Of
// resets only that of the unit asks; the others are hard resets.
func (m *Management) Tells(n sam.Nexus) bool { return m.tells && n != m.Nexus }

// tellable functions end commands of other nexuses and leave them their sessions.
func tellable(f sam.Function) bool {
	return f == sam.ClearTaskSet || f == sam.LogicalUnitReset || f == preemption
}

// manage starts a function at the home: every side ends its affected commands.
func (u *Unit) manage(l *Local, m *Management) {
	if m.Function == sam.QueryAsynchronousEvent {
		// RFC 7144 §6.3, SAM-5 §7.11. There are no deferred errors.
		m.Information, m.Found = u.device.NextAttention(m.Nexus)
		l.tell(m.Owner, Event{Kind: Managed, Management: m})
		return
	}
	u.stopCopies(l, m.endsCopyOf)
	for _, s := range u.sides {
		if s != nil {
			m.sides++
		}
	}
	m.tells = tellable(m.Function) && u.device.TellsAborted()
	if m.Function != sam.QueryTaskSet {
		u.managed++
		m.number = u.managed
		u.functions = append(u.functions, m)
	}
	for r, s := range u.sides {
		switch {
		case s == nil:
		case r == u.home:
			u.abort(l, s, m)
		default:
			l.post.Post(r, Message{kind: askAbort, unit: u, Event: Event{Management: m}})
		}
	}
}

// query answers QUERY TASK SET on one side: whether it holds a command of the nexus (SAM-5
// §7.9).
func (u *Unit) query(l *Local, s *side, m *Management) {
	found := s.tasks.holds(m.Nexus)
	if l.reactor != u.home {
		l.post.Post(u.home, Message{kind: askConclude, unit: u, found: found, Event: Event{Management: m}})
		return
	}
	m.Found = m.Found || found
	u.concludeSide(l, m)
}

// abort starts a function on one side: every affected command is told to end.
func (u *Unit) abort(l *Local, s *side, m *Management) {
	if m.Function == sam.QueryTaskSet {
		u.query(l, s, m)
		return
	}
	s.tasks.heard = m.number
	f := sideFunction{m, s.tasks.arrivals, s.tasks.arrivals}
	if m.origin == l.reactor {
		f.before = m.mark
	}
	for i := range s.tasks.entries {
		e := &s.tasks.entries[i]
		if !f.affects(e) {
			continue
		}
		owner, nexus := e.owner, e.nexus
		l.tell(owner, Event{Kind: Abort, Owner: owner, Management: m})
		if l.reactor == u.home {
			u.withdraw(l, owner)
		}
		if m.Function == sam.ClearTaskSet && nexus != m.Nexus && !m.tells {
			u.cleared(l, nexus)
		}
	}
	s.tasks.functions = append(s.tasks.functions, f)
	u.concludeAborts(l, s)
}

// cleared notes at the home that another nexus ended commands of n.
func (u *Unit) cleared(l *Local, n sam.Nexus) {
	if l.reactor != u.home {
		l.post.Post(u.home, Message{kind: askCleared, unit: u, nexus: n})
		return
	}
	// SAM-5 §7.4: with TAS=0 the owner hears of it by a unit attention.
	u.device.Cleared(n)
	u.mirror(n)
}

// concludeAborts ends every function of a side whose commands are all gone.
func (u *Unit) concludeAborts(l *Local, s *side) {
	waiting := s.tasks.functions[:0]
	for _, f := range s.tasks.functions {
		switch {
		case s.tasks.holdsAffected(&f):
			waiting = append(waiting, f)
		case l.reactor == u.home:
			u.concludeSide(l, f.Management)
		default:
			l.post.Post(u.home, Message{kind: askConclude, unit: u, Event: Event{Management: f.Management}})
		}
	}
	clear(s.tasks.functions[len(waiting):])
	s.tasks.functions = waiting
}

// concludeSide ends a function when it has ended on every side. Only then may its
// response go out: an aborted write never changes the medium after it.
func (u *Unit) concludeSide(l *Local, m *Management) {
	if m.sides--; m.sides > 0 {
		return
	}
	u.functions = slices.DeleteFunc(u.functions, func(f *Management) bool { return f == m })
	switch m.Function {
	case sam.LogicalUnitReset:
		u.reset(scsi.UnitReset)
	case sam.TargetWarmReset:
		u.reset(scsi.HardReset)
	case sam.TargetColdReset:
		// RFC 3720 §10.5.1, appendix F.2 [R-F.2-1]: it counts as a power on.
		u.reset(scsi.PowerOn)
	case sam.ClearACA:
		u.aca.clearFor(m.Nexus)
	case preemption:
		u.preempted(l, m)
		return
	default:
		// The others end commands and nothing else.
	}
	l.tell(m.Owner, Event{Kind: Managed, Management: m})
	u.advance(l)
}

// reset makes the unit as it was at its start (SAM-5 §6.3.3).
func (u *Unit) reset(a scsi.Attention) {
	u.device.Reset(a)
	u.mirrorAll()
	u.aca.clear()
}
