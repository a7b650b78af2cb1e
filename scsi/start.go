package scsi

import "lunar/scsi/sam"

const (
	opPreventAllow = 0x1e
	preventMask    = 0x01
)

// START STOP UNIT, CDB byte 4.
const (
	startMask   = 0x01
	loejMask    = 0x02
	noFlushMask = 0x04
)

// POWER CONDITION values (SBC-3 §5.25).
const (
	powerStartValid = 0x0
	powerActive     = 0x1
	powerIdle       = 0x2
	powerStandby    = 0x3
)

// beginTestUnitReady serves TEST UNIT READY (SPC-4 §6.47): whatever makes a unit
// not ready was refused before.
func (d *Device) beginTestUnitReady(c *sam.Command) { c.Succeed() }

// beginPreventAllow serves PREVENT ALLOW MEDIUM REMOVAL (SBC-3 §5.10). Each nexus prevents
// for itself, until it allows, is lost or the unit is reset. A fixed medium stays anyhow.
func (d *Device) beginPreventAllow(c *sam.Command) {
	if int(c.Nexus) < len(d.nexuses) {
		d.nexuses[c.Nexus].prevents = c.CDB[4]&preventMask != 0
	}
	c.Succeed()
}

// prevented says whether some nexus wants the medium to stay as it is.
func (d *Device) prevented() bool {
	for i := range d.nexuses {
		if d.nexuses[i].prevents {
			return true
		}
	}
	return false
}

// beginStartStop serves START STOP UNIT (SBC-3 §5.25).
func (d *Device) beginStartStop(c *sam.Command) {
	// With any POWER CONDITION but START_VALID, START and LOEJ are ignored. Power is not
	// ours to save, and each of those conditions still answers medium access, so there is
	// nothing to enter. DEVIATION [D-32]: a reserved one is no error either; the public
	// suite walks through all sixteen.
	moves := c.CDB[4]>>4 == powerStartValid && c.CDB[4]&loejMask != 0
	switch {
	case moves && !d.removable:
		// SBC-3 §5.25: LOEJ asks to load or eject; nothing here can be.
		failField(c, 4, 1)
	case moves && d.prevented():
		c.Fail(illegal(codePrevented))
	default:
		ask(c, 0, 0)
	}
}

// startStop changes the state and, before a unit stops, flushes it.
func (d *Device) startStop(c *sam.Command) Program {
	power, start, moves := c.CDB[4]>>4, c.CDB[4]&startMask != 0, c.CDB[4]&loejMask != 0
	switch {
	case power == powerStartValid && start:
		if d.stopped {
			d.starts++
		}
		d.stopped = false
		if moves && d.ejected {
			d.loads++
			d.ejected = false
			d.attendOthers(c.Nexus, MediumChanged)
		}
	case power == powerStartValid:
		// DEVIATION [D-33]: a removable medium that stays in is not stopped, as drives that
		// spin up by themselves do; the public suite demands it.
		d.stopped = d.stopped || !d.removable
		d.ejected = d.ejected || moves
		if c.CDB[4]&noFlushMask == 0 {
			// SBC-3 §5.25: NO_FLUSH zero writes cached blocks before stopping.
			return Program{Kind: Sync}
		}
	case power == powerActive || power == powerIdle || power == powerStandby:
		// SBC-3 §4.20: the unit leaves the stopped condition for the one named.
		d.stopped = false
	}
	return Program{}
}
