package scsi

import "lunar/scsi/sam"

// What is here changes who is registered, and with it who holds the reservation.

// register is REGISTER, and REGISTER AND IGNORE EXISTING KEY (SPC-4 §5.13.7, table 62).
func (p *persistent) register(o *order, own int, c *sam.Command) (told tidings, ok bool) {
	switch {
	case o.specified && (own != noRegistration || o.next == 0):
		failField(c, 1, 4)
		return told, false
	case own == noRegistration && o.next == 0:
		return told, true // nobody is registered, and nobody becomes it
	case o.next == 0:
		told.released = p.unregister(own)
	default:
		if !p.enter(o, own, c) {
			return told, false
		}
	}
	p.kept = o.keeps
	p.generation++
	return told, true
}

// unregister takes a registration away. It says whether others are to hear that a
// reservation went with it (SPC-4 §5.13.11.1.3).
func (p *persistent) unregister(own int) bool {
	spares := p.kind.sparesRegistrants()
	return p.remove(func(i int, _ *registration) bool { return i == own }) && spares
}

// enter gives a nexus a key, and those that SPEC_I_PT names. With ALL_TG_PT what the
// initiator port has at other ports of the target becomes part of it.
func (p *persistent) enter(o *order, own int, c *sam.Command) bool {
	if own != noRegistration {
		p.registrations[own].key = o.next
	} else {
		own = len(p.registrations)
		p.registrations = append(p.registrations, registration{key: o.next, initiator: o.nexus.Initiator, target: o.nexus.Target})
	}
	if o.everyPort {
		p.registrations[own].everyPort = true
		mine := p.registrations[own]
		p.remove(func(i int, r *registration) bool {
			return i != own && r.initiator == mine.initiator && r.target.Name == mine.target.Name
		})
	}
	for i := range o.named {
		n := sam.NexusName{Initiator: o.named[i], Target: o.nexus.Target}
		if p.find(&n) != noRegistration {
			// SPC-4 §5.13.7: one that is registered already makes all of it fail.
			c.Fail(illegal(codeInvalidParameter).AtParameter(proutListBytes + 4))
			return false
		}
		p.registrations = append(p.registrations, registration{
			key: o.next, initiator: n.Initiator, target: n.Target, everyPort: o.everyPort,
		})
	}
	if len(p.registrations) > maxRegistrations {
		c.Fail(illegal(codeNoRegistrations))
		return false
	}
	return true
}

// move is REGISTER AND MOVE (SPC-4 §5.13.8): the reservation goes to another initiator
// port, which is registered if it was not.
func (p *persistent) move(o *order, own int, c *sam.Command) bool {
	to := sam.NexusName{
		Initiator: o.named[0],
		Target:    sam.TargetPort{Name: o.nexus.Target.Name, Relative: o.relative},
	}
	switch {
	case p.kind == 0 || p.kind.everyRegistrant() || !p.holds(own):
		conflict(c)
		return false
	case o.next == 0:
		c.Fail(illegal(codeInvalidParameter).AtParameter(8))
		return false
	case p.registrations[own].covers(&to):
		c.Fail(illegal(codeInvalidParameter).AtParameter(proutListBytes))
		return false
	}
	at := p.find(&to)
	if at == noRegistration {
		at = len(p.registrations)
		p.registrations = append(p.registrations, registration{initiator: to.Initiator, target: to.Target})
	}
	if at >= maxRegistrations {
		c.Fail(illegal(codeNoRegistrations))
		return false
	}
	p.registrations[at].key = o.next
	p.holder = at
	if o.unregisters {
		p.remove(func(i int, _ *registration) bool { return i == own })
	}
	p.kept = o.keeps
	p.generation++
	return true
}

// preempt is PREEMPT, and what PREEMPT AND ABORT does to registrations (SPC-4 §5.13.11.2).
func (p *persistent) preempt(o *order, own int, c *sam.Command) (told tidings, ok bool) {
	every := p.kind.everyRegistrant()
	takes := p.kind != 0 && (every && o.next == 0 ||
		!every && p.holder != noRegistration && p.registrations[p.holder].key == o.next)
	if o.next == 0 && !takes {
		// SPC-4 §5.13.11.2.3: zero names nobody unless everyone holds the reservation.
		c.Fail(illegal(codeInvalidParameter).AtParameter(8))
		return told, false
	}
	before, found := p.kind, false
	for i := range p.registrations {
		found = found || p.registrations[i].key == o.next
	}
	if !found && !takes {
		conflict(c)
		return told, false
	}
	self := p.registrations[own]
	p.remove(func(i int, r *registration) bool {
		return i != own && (r.key == o.next || takes && every)
	})
	if takes {
		p.kind, p.holder = o.kind, p.find(&sam.NexusName{Initiator: self.initiator, Target: self.target})
		if o.kind.everyRegistrant() {
			p.holder = noRegistration
		}
		told.released = before != o.kind
	}
	p.generation++
	told.preempted = true
	return told, true
}
