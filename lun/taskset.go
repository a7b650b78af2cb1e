package lun

import (
	"lunar/scsi"
	"lunar/scsi/sam"
)

// taskSet holds the commands of a unit from Begin to Finish, in order of arrival
// (SAM-5 §8.2). It keeps entries of its own, not the commands: an owner may use a
// command's memory again as soon as it has sent Finish.
type taskSet struct {
	entries  []entry
	free     []uint32
	arrivals uint64
	count    int
	// managing are the functions that wait for affected commands to end.
	managing []*Management
}

// entry is one command of the set; arrival is 0 in a free one.
type entry struct {
	owner   uint64
	arrival uint64
	nexus   sam.Nexus
	// program is what Execute started for the command, if anything.
	program *program
}

// add draws a ticket. The slab grows to the most commands there ever were, so a
// steady state allocates nothing.
func (s *taskSet) add(c *sam.Command) {
	if len(s.free) == 0 {
		s.free = append(s.free, uint32(len(s.entries)))
		s.entries = append(s.entries, entry{})
	}
	c.Ticket = s.free[len(s.free)-1]
	s.free = s.free[:len(s.free)-1]
	s.arrivals++
	s.count++
	s.entries[c.Ticket] = entry{owner: c.Owner, arrival: s.arrivals, nexus: c.Nexus}
}

func (s *taskSet) remove(ticket uint32) {
	s.entries[ticket] = entry{}
	s.free = append(s.free, ticket)
	s.count--
}

// stop keeps the program of a command from starting further steps.
func (s *taskSet) stop(ticket uint32) {
	if p := s.entries[ticket].program; p != nil {
		p.stopped = true
	}
}

// Management is one task management function on one unit.
type Management struct {
	Function sam.Function
	// Nexus is where the function came from.
	Nexus sam.Nexus
	// Owner is the handle of whoever asked, see Owner.
	Owner uint64
	// before bounds the commands it acts on: those that arrived earlier.
	before uint64
}

// affects says whether the function ends c (SAM-5 §7.3 ABORT TASK SET: of this
// nexus; §7.4 CLEAR TASK SET and resets: of every nexus).
func (m *Management) affects(e *entry) bool {
	return e.arrival != 0 && e.arrival <= m.before &&
		(m.Function != sam.AbortTaskSet || e.nexus == m.Nexus)
}

// manage starts a function: every affected command is told to end.
func (u *Unit) manage(l *Local, m *Management) {
	m.before = u.tasks.arrivals
	for i := range u.tasks.entries {
		e := &u.tasks.entries[i]
		if !m.affects(e) {
			continue
		}
		l.tell(e.owner, Event{Kind: Abort, Owner: e.owner})
		if m.Function == sam.ClearTaskSet && e.nexus != m.Nexus {
			// SAM-5 §7.4: with TAS=0 the owner hears of it by a unit attention.
			u.device.Cleared(e.nexus)
		}
	}
	u.tasks.managing = append(u.tasks.managing, m)
	u.concludeManagement(l)
}

// concludeManagement ends every function whose commands are all gone. Only then
// may its response go out: an aborted write never changes the medium after it.
func (u *Unit) concludeManagement(l *Local) {
	waiting := u.tasks.managing[:0]
	for _, m := range u.tasks.managing {
		if u.tasks.holdsAffected(m) {
			waiting = append(waiting, m)
			continue
		}
		switch m.Function {
		case sam.LogicalUnitReset:
			u.device.Reset(scsi.UnitReset)
		case sam.TargetWarmReset, sam.TargetColdReset:
			u.device.Reset(scsi.HardReset)
		default:
			// The others end commands and nothing else.
		}
		l.tell(m.Owner, Event{Kind: Managed, Management: m})
	}
	clear(u.tasks.managing[len(waiting):])
	u.tasks.managing = waiting
}

func (s *taskSet) holdsAffected(m *Management) bool {
	for i := range s.entries {
		if m.affects(&s.entries[i]) {
			return true
		}
	}
	return false
}
