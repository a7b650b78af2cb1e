package lun

import (
	"lunar/scsi"
	"lunar/scsi/sam"
)

// allegiance is the auto contingent allegiance (ACA) of a unit (SAM-5 §5.9). A command
// with NACA that ends with CHECK CONDITION establishes it, so that its nexus, the
// faulted one, can see to the unit before anything else begins. By our Control mode
// page there is one task set for all nexuses (TST 0), so the commands of all are
// blocked, and none is aborted (QERR 0). DEVIATION [D-27]: what has begun goes on to its
// end. It is the home's.
type allegiance struct {
	established bool
	faulted     sam.Nexus
	// attended says that the set holds a command with the attribute ACA that was let in
	// during this one; ticket is its.
	attended bool
	ticket   uint32
	// watched is how many commands of the set may establish an ACA.
	watched int
}

// shuts says whether the gate stays closed. During an ACA every new command gets its
// answer at the home. Before, while a command runs that may establish one, its
// initiator may send the next as soon as it has the status, and that must not pass on
// another core while the word of the end is on its way.
func (a *allegiance) shuts() bool { return a.established || a.watched > 0 }

// blocks says whether a command that waits stays where it is (SAM-5 §5.9.2).
func (a *allegiance) blocks(c *sam.Command) bool {
	return a.established && (c.Attribute != sam.ACA || c.Nexus != a.faulted)
}

func (a *allegiance) clear() { a.established, a.attended = false, false }

// clearFor is CLEAR ACA and the loss of a nexus: those of another nexus than the faulted
// one change nothing (SAM-5 §5.9.5, §7.4).
func (a *allegiance) clearFor(n sam.Nexus) {
	if a.faulted == n {
		a.clear()
	}
}

// refuses ends a new command that an ACA, or its absence, does not let in. The tables
// of SAM-5 §5.9.3 and §5.9.4 know no exception for INQUIRY, REPORT LUNS and REQUEST
// SENSE. The one they know is PREEMPT AND ABORT, which may be what ends the ACA.
func (u *Unit) refuses(c *sam.Command) bool {
	if !u.device.NormACA() {
		return false
	}
	if c.Part && c.Replaces != sam.NoTicket {
		return false // what it is a part of has begun: DEVIATION [D-27]
	}
	a, e := &u.aca, &u.sides[u.home].tasks.entries[c.Ticket]
	if c.NACA() {
		e.naca = true
		a.watched++
		u.gate.close()
	}
	switch {
	case !a.established && c.Attribute == sam.ACA:
		scsi.FailAttribute(c)
	case !a.established, seizes(c) && c.Nexus != a.faulted:
		return false
	case c.Attribute == sam.ACA && c.Nexus == a.faulted && !a.attended:
		e.aca, a.attended, a.ticket = true, true, c.Ticket
		return false
	case c.Attribute != sam.ACA && c.Nexus != a.faulted && !c.NACA():
		// Who does not know of ACA is to ask again. When it ends is up to the faulted
		// nexus.
		c.Defer()
	default:
		c.End(sam.ACAActive)
	}
	return true
}

// ended takes the status of a command that began at the home. What has begun before an
// ACA and fails during it adds nothing: there is one for the task set. Only the command
// that attends to it ends it by its own CHECK CONDITION, and with NACA another takes its
// place at once (SAM-5 §5.9.3, §5.9.5).
func (u *Unit) ended(ticket uint32, status sam.Status) {
	a, e := &u.aca, &u.sides[u.home].tasks.entries[ticket]
	attending := a.attended && a.ticket == ticket
	if attending {
		a.attended = false
	}
	if e.naca {
		a.watched--
	}
	switch {
	case status != sam.CheckCondition || a.established && !attending:
	case e.naca:
		a.established, a.faulted = true, e.nexus
	default:
		a.established = false
	}
}

// forsake ends the ACA of a nexus that was lost, and none of its commands establishes
// another: there is nobody to clear it.
func (u *Unit) forsake(n sam.Nexus) {
	u.aca.clearFor(n)
	if u.aca.watched == 0 {
		return
	}
	entries := u.sides[u.home].tasks.entries
	for i := range entries {
		if e := &entries[i]; e.naca && e.nexus == n {
			e.naca = false
			u.aca.watched--
		}
	}
}
