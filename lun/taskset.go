package lun

import (
	"slices"

	"lunar/scsi/sam"
)

// taskSet holds the commands of one side of a unit from Begin to Finish, in order of
// arrival (SAM-5 §8.2). It keeps entries of its own, not the commands: an owner may use a
// command's memory again as soon as it has sent Finish.
type taskSet struct {
	entries  []entry
	free     []uint32
	arrivals uint64
	count    int
	// functions wait for affected commands to end; heard is the number of the last.
	functions []sideFunction
	heard     uint64
}

// entry is one command of the set; arrival is 0 in a free one.
type entry struct {
	owner   uint64
	arrival uint64
	nexus   sam.Nexus
	place   uint32
	// numbered: place is its own.
	numbered bool
	// naca: its CHECK CONDITION establishes an ACA; aca: it was let in during one.
	naca, aca bool
	// program is what Execute started for the command, if anything.
	program *program
	// copying is the third-party copy that the command makes, if any.
	copying *copying
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
	s.entries[c.Ticket] = entry{owner: c.Owner, arrival: s.arrivals, nexus: c.Nexus, place: c.Place, numbered: c.Numbered}
}

func (s *taskSet) remove(ticket uint32) {
	s.entries[ticket] = entry{}
	s.free = append(s.free, ticket)
	s.count--
}

// stop keeps the program of a command from starting further steps.
func (s *taskSet) stop(ticket uint32) {
	if p := s.entries[ticket].program; p != nil && !p.plan.Surely {
		p.stopped = true
	}
	if k := s.entries[ticket].copying; k != nil {
		k.stop()
	}
}

// sideFunction is a task management function on one side.
type sideFunction struct {
	*Management
	// seen bounds the commands it acts on: those that had arrived when it did. Of them
	// before are those that had when it was sent.
	seen, before uint64
}

// behind says whether a command comes after the function: in the order of its nexus,
// whichever connections brought the two (RFC 3720 §10.5.1 [R-10.5.1-2]), else by
// arrival. The place of an immediate function is that of the next command with a number,
// which is behind it; an immediate command with the place of a function that has a number
// is before it.
func (f *sideFunction) behind(e *entry) bool {
	if e.nexus == f.Nexus && (e.place != f.Place || e.numbered) {
		return e.arrival > f.seen || int32(e.place-f.Place) >= 0
	}
	if e.nexus == f.Nexus && f.Numbered {
		return e.arrival > f.seen
	}
	if e.nexus == f.Nexus {
		return e.arrival > f.before
	}
	return e.arrival > f.seen
}

// affects says whether the function ends c (SAM-5 §7.3 ABORT TASK SET: of this
// nexus; §7.4 CLEAR ACA: the one that runs during it; §7.5 CLEAR TASK SET and resets: of
// every nexus).
func (f *sideFunction) affects(e *entry) bool {
	if e.arrival == 0 || f.behind(e) {
		return false
	}
	switch f.Function {
	case sam.AbortTaskSet:
		return e.nexus == f.Nexus
	case sam.ClearACA:
		return e.aca && e.nexus == f.Nexus
	case preemption:
		return slices.Contains(f.victims, e.nexus)
	default:
		return true
	}
}

// holds says whether a command of a nexus is in the set.
func (s *taskSet) holds(n sam.Nexus) bool {
	for i := range s.entries {
		if s.entries[i].arrival != 0 && s.entries[i].nexus == n {
			return true
		}
	}
	return false
}

func (s *taskSet) holdsAffected(f *sideFunction) bool {
	for i := range s.entries {
		if f.affects(&s.entries[i]) {
			return true
		}
	}
	return false
}
