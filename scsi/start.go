package scsi

import "lunar/scsi/sam"

// START STOP UNIT, CDB byte 4.
const (
	startMask   = 0x01
	loejMask    = 0x02
	noFlushMask = 0x04
)

// POWER CONDITION values (SBC-3 §5.25).
const (
	powerStartValid   = 0x0
	powerActive       = 0x1
	powerIdle         = 0x2
	powerStandby      = 0x3
	powerLUControl    = 0x7
	powerForceIdle    = 0xa
	powerForceStandby = 0xb
)

// beginTestUnitReady serves TEST UNIT READY (SPC-4 §6.47): whatever makes a unit
// not ready was refused before.
func (d *Device) beginTestUnitReady(c *sam.Command) { c.Succeed() }

// beginPreventAllow serves PREVENT ALLOW MEDIUM REMOVAL (SBC-3 §5.10). The
// medium is fixed, so both answers are true already.
func (d *Device) beginPreventAllow(c *sam.Command) { c.Succeed() }

// beginStartStop serves START STOP UNIT (SBC-3 §5.25).
func (d *Device) beginStartStop(c *sam.Command) {
	switch c.CDB[4] >> 4 {
	case powerStartValid:
		if c.CDB[4]&loejMask != 0 {
			// SBC-3 §5.25: LOEJ asks to load or eject; nothing here can be.
			failField(c, 4, 1)
			return
		}
	case powerActive, powerIdle, powerStandby, powerLUControl, powerForceIdle, powerForceStandby:
		// START and LOEJ are ignored with any other POWER CONDITION. Power is not
		// ours to save, and each of these conditions still answers medium access,
		// so there is nothing to enter.
	default:
		failField(c, 4, 7)
		return
	}
	ask(c, 0, 0)
}

// startStop changes the state and, before a unit stops, flushes it.
func (d *Device) startStop(c *sam.Command) Program {
	power := c.CDB[4] >> 4
	switch {
	case power == powerStartValid && c.CDB[4]&startMask == 0:
		d.stopped = true
		if c.CDB[4]&noFlushMask == 0 {
			// SBC-3 §5.25: NO_FLUSH zero writes cached blocks before stopping.
			return Program{Kind: Sync}
		}
	case power == powerStartValid:
		d.stopped = false
	case power == powerActive || power == powerIdle || power == powerStandby:
		// SBC-3 §4.20: the unit leaves the stopped condition for the one named.
		d.stopped = false
	}
	return Program{}
}
