package scsi

import "lunar/scsi/sam"

// reservation is the whole unit in the hands of one nexus (SPC-2 §5.5.1). It ends by
// RELEASE, by a reset and with the nexus; it is not kept over a power loss.
type reservation struct {
	held   bool
	holder sam.Nexus
}

// excludes says whether the reservation keeps a nexus out.
func (r *reservation) excludes(n sam.Nexus) bool { return r.held && r.holder != n }

// beginReserve serves RESERVE(6) and (10), and RELEASE(6) and (10), without third
// parties, extents and parameter lists: those bits are refused (SPC-2 §7.16, §7.21).
// They run when nothing else does, so that no command of another nexus is caught
// half way.
func (d *Device) beginReserve(c *sam.Command) {
	p := &d.persistent
	own := d.registrationOf(c.Nexus)
	switch {
	case len(p.registrations) == 0:
		ask(c, 0, 0)
	case p.holds(own) || p.kind.sparesRegistrants() && own != noRegistration:
		// SPC-4 §5.13.3 (CRH): what it asks for it has already, and the persistent
		// reservation stays as it is.
		c.Succeed()
	default:
		conflict(c)
	}
}

// reserve takes the unit. Another nexus that holds it was a conflict before.
func (d *Device) reserve(c *sam.Command) Program {
	d.reservation = reservation{true, c.Nexus}
	return Program{}
}

// release gives the unit back. From a nexus that does not hold it it is no error and
// changes nothing (SPC-2 §7.16.2).
func (d *Device) release(c *sam.Command) Program {
	d.lose(c.Nexus)
	return Program{}
}

// lose ends what a nexus holds.
func (d *Device) lose(n sam.Nexus) {
	if d.reservation.holder == n {
		d.reservation = reservation{}
	}
}

// conflict ends a command of a nexus that the reservation keeps out (SAM-5 §5.3.1:
// RESERVATION CONFLICT, without sense).
func conflict(c *sam.Command) { c.End(sam.ReservationConflict) }
