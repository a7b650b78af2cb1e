package scsi

import (
	"slices"

	"lunar/scsi/sam"
)

// reservationType is TYPE of a persistent reservation (SPC-4 §6.15.3.4); zero is none.
type reservationType uint8

// Types.
const (
	writeExclusive                 reservationType = 1
	exclusiveAccess                reservationType = 3
	writeExclusiveRegistrantsOnly  reservationType = 5
	exclusiveAccessRegistrantsOnly reservationType = 6
	writeExclusiveAllRegistrants   reservationType = 7
	exclusiveAccessAllRegistrants  reservationType = 8
)

// reservationTypes has a bit for each of them.
const reservationTypes = 1<<writeExclusive | 1<<exclusiveAccess | 1<<writeExclusiveRegistrantsOnly |
	1<<exclusiveAccessRegistrantsOnly | 1<<writeExclusiveAllRegistrants | 1<<exclusiveAccessAllRegistrants

func (t reservationType) known() bool { return t < 16 && 1<<t&reservationTypes != 0 }

// everyRegistrant says that all registrants hold a reservation of the type.
func (t reservationType) everyRegistrant() bool {
	return t == writeExclusiveAllRegistrants || t == exclusiveAccessAllRegistrants
}

// sparesRegistrants says that who is registered is not kept out.
func (t reservationType) sparesRegistrants() bool { return t >= writeExclusiveRegistrantsOnly }

// sparesReads says that who is kept out may still read.
func (t reservationType) sparesReads() bool {
	return t == writeExclusive || t == writeExclusiveRegistrantsOnly || t == writeExclusiveAllRegistrants
}

// maxRegistrations bounds those of a unit; more are 05/5504.
const maxRegistrations = 256

// registration is a key of an I_T nexus (SPC-4 §5.13.7). It is of names, not of sessions:
// it stays when those end.
type registration struct {
	key       uint64
	initiator sam.InitiatorPort
	// target is the port it was made at, or, with everyPort (ALL_TG_PT), its node alone.
	target    sam.TargetPort
	everyPort bool
}

// covers says whether the registration is that of a nexus.
func (r *registration) covers(n *sam.NexusName) bool {
	return r.initiator == n.Initiator && r.target.Name == n.Target.Name &&
		(r.everyPort || r.target.Relative == n.Target.Relative)
}

// persistent is what PERSISTENT RESERVE OUT has made of a unit (SPC-4 §5.13). It is
// changed as a copy, which takes its place when it is durable, if it has to be.
type persistent struct {
	// generation counts the changes of registrations since the unit was started.
	generation uint32
	// kept is PTPL_A: registrations and reservation outlive a loss of power.
	kept          bool
	registrations []registration
	// kind is the type of the reservation; holder is the registration that holds it, or
	// noRegistration where all do, or there is none.
	kind   reservationType
	holder int
}

// noRegistration is no index of a registration.
const noRegistration = -1

// clone is a copy that shares nothing.
func (p *persistent) clone() persistent {
	q := *p
	q.registrations = slices.Clone(p.registrations)
	return q
}

// find is the registration of a nexus, or noRegistration.
func (p *persistent) find(n *sam.NexusName) int {
	if n == nil {
		return noRegistration
	}
	return slices.IndexFunc(p.registrations, func(r registration) bool { return r.covers(n) })
}

// holds says whether the nexus with registration i holds the reservation.
func (p *persistent) holds(i int) bool {
	return p.kind != 0 && i != noRegistration && (p.kind.everyRegistrant() || i == p.holder)
}

// excludes says whether the nexus with registration i is kept out from a command (SPC-4
// tables 66 to 68, SBC-3 table 13).
func (p *persistent) excludes(i int, h holdout) bool {
	switch {
	case p.kind == 0 || h == neverOut || p.holds(i):
		return false
	case i != noRegistration && p.kind.sparesRegistrants():
		return false
	default:
		return h != readsOut || !p.kind.sparesReads()
	}
}

// remove takes registrations away, and the reservation if it goes with its holder. It
// says whether the reservation ended.
func (p *persistent) remove(goes func(i int, r *registration) bool) (released bool) {
	kept := p.registrations[:0]
	holder := noRegistration
	for i := range p.registrations {
		r := p.registrations[i]
		if goes(i, &r) {
			continue
		}
		if i == p.holder {
			holder = len(kept)
		}
		kept = append(kept, r)
	}
	p.registrations = kept
	before := p.kind
	switch {
	case p.kind == 0:
	case p.kind.everyRegistrant() && len(kept) == 0, !p.kind.everyRegistrant() && holder == noRegistration:
		p.kind = 0
	}
	p.holder = holder
	return before != 0 && p.kind == 0
}

// release ends the reservation.
func (p *persistent) release() { p.kind, p.holder = 0, noRegistration }
