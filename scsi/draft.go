package scsi

import (
	"lunar/scsi/pi"
	"lunar/scsi/sam"
)

// tidings are what a change has other nexuses told. Which of them hear what follows from
// who was registered before and is afterwards.
type tidings struct {
	// mode: mode parameters are others; all but who changed them hear of it.
	mode bool
	// identified: so is the identifying information.
	identified bool
	// cleared: registrations went by CLEAR; preempted: by PREEMPT. released: the
	// reservation ended or is another, and those still registered hear of it.
	cleared, preempted, released bool
}

// draft is what the state of a unit is to become. Where it has to be durable first, it
// waits here for that.
type draft struct {
	persistent  persistent
	mode, saved parameters
	// sanitizing says that a sanitize operation has not ended, and starts is one to start.
	sanitizing  bool
	starts      *operation
	protection  pi.Type
	formatting  bool
	identifying string
	told        tidings
	by          sam.Nexus
	// intent is what a command is about to write by places, and settles says that it has.
	intent  *Intent
	places  Program
	settles bool
	// durable says that what is kept of the unit changes.
	durable bool
}

// draftOf is the state as it is, for c to change.
func (d *Device) draftOf(c *sam.Command) draft {
	return draft{
		persistent: d.persistent, mode: d.mode, saved: d.saved, sanitizing: d.sanitizing, identifying: d.identifying,
		protection: d.protection, formatting: d.formatting, by: c.Nexus,
	}
}

// adopt makes a draft the state, at once or when its unit has kept it.
func (d *Device) adopt(n draft) Program {
	if n.durable && d.keeps {
		d.draft = &n
		return Program{Kind: Keep}
	}
	return d.become(&n)
}

// Kept ends a Keep step: with OK what was kept is the state now, else c fails and the
// state is as it was. What c does then is the program that is returned.
func (d *Device) Kept(c *sam.Command, ok bool) Program {
	n := d.draft
	d.draft = nil
	if !ok {
		d.unsettled = d.unsettled || n.settles
		c.Fail(sam.NewSense(sam.HardwareError, codeInternalFailure))
		return Program{}
	}
	return d.become(n)
}

// Abandon drops what a command that ended before its Keep was to make of the state.
func (d *Device) Abandon() { d.draft = nil }

// become takes the draft over and tells those it concerns.
func (d *Device) become(n *draft) Program {
	before := d.persistent
	d.persistent, d.mode, d.saved, d.sanitizing = n.persistent, n.mode, n.saved, n.sanitizing
	d.identifying = n.identifying
	d.reformat(n)
	for i := range d.nexuses {
		s := &d.nexuses[i]
		was := before.find(s.name) != noRegistration
		s.registration = d.persistent.find(s.name)
		is := s.registration != noRegistration
		switch {
		case sam.Nexus(i) == n.by || !was:
		case !is && n.told.cleared:
			d.Attend(sam.Nexus(i), ReservationsPreempted)
		case !is && n.told.preempted:
			d.Attend(sam.Nexus(i), RegistrationsPreempted)
		case is && n.told.released:
			d.Attend(sam.Nexus(i), ReservationsReleased)
		}
	}
	if n.told.identified {
		d.attendOthers(n.by, IdentifierChanged)
	}
	if n.told.mode {
		d.attendOthers(n.by, ModeChanged)
	}
	switch {
	case n.intent != nil:
		return d.placed(n)
	case n.starts != nil:
		return d.start(n.starts)
	}
	return Program{}
}

// namesVictims notes whose registration a change would take, and says whether there are any.
func (d *Device) namesVictims(c *sam.Command, next *persistent) bool {
	d.victims = d.victims[:0]
	for i := range d.nexuses {
		s := &d.nexuses[i]
		if sam.Nexus(i) != c.Nexus && s.registration != noRegistration && next.find(s.name) == noRegistration {
			d.victims = append(d.victims, sam.Nexus(i))
		}
	}
	return len(d.victims) > 0
}

// Victims are the nexuses whose commands end before a Preempt goes on.
func (d *Device) Victims() []sam.Nexus { return d.victims }

// nameOf is the name of a nexus, nil when it has none.
func (d *Device) nameOf(n sam.Nexus) *sam.NexusName {
	if int(n) >= len(d.nexuses) {
		return nil
	}
	return d.nexuses[n].name
}

// registrationOf is the registration of a nexus, or noRegistration.
func (d *Device) registrationOf(n sam.Nexus) int {
	if int(n) >= len(d.nexuses) {
		return noRegistration
	}
	return d.nexuses[n].registration
}
