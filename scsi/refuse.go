package scsi

import (
	"math/bits"

	"lunar/scsi/sam"
)

// What is here ends a command before anything is done for it, in this order: for what the
// unit has to say to its nexus, for what its CDB says, and for the state of the unit.

// refuseUnit ends a command that the unit does not take from this nexus now,
// whatever its fields say: no unit, or a unit attention to report first.
func (d *Device) refuseUnit(c *sam.Command, row *Opcode) bool {
	if d.absent && (row == nil || row.flags&passAbsent == 0) {
		// SAM-5 §5.11: any other command for an incorrect LUN.
		c.Fail(illegal(codeNoUnit))
		return true
	}
	// SAM-5 §5.14.1: reported once, by whatever command comes first, even one
	// that would be refused for another reason.
	if d.pending(c.Nexus) && !c.Resumed && !c.Part && (row == nil || row.flags&passAttention == 0) {
		c.Fail(d.takeAttention(c.Nexus))
		return true
	}
	return false
}

// failOpcode ends a command that has no row.
func failOpcode(c *sam.Command, unknownAction bool) {
	if unknownAction {
		// SPC-4 §4.3.4: an unsupported service action is an invalid field.
		if c.CDB[0] == opVariable {
			failField(c, variableActionAt, -1)
			return
		}
		c.Fail(illegal(codeInvalidField).At(1, 4))
		return
	}
	c.Fail(illegal(codeInvalidOpcode).At(0, -1))
}

// refuseCDB ends a command whose CDB is too short or has a bit that the row does
// not evaluate (SPC-4 §4.3.1: reserved fields; §4.5.2.4.2: field pointer).
func (d *Device) refuseCDB(c *sam.Command, row *Opcode, n int) bool {
	if int(c.CDBBytes) < len(row.Usage) {
		c.Fail(illegal(codeInvalidField).At(int(c.CDBBytes), -1))
		return true
	}
	if wrong := d.reserved[n].and(&c.CDB); wrong != (cdbMask{}) {
		c.Fail(illegal(codeInvalidField).At(wrong.first()))
		return true
	}
	for i := maskedBytes; i < len(row.Usage); i++ {
		if wrong := c.CDB[i] &^ row.Usage[i]; wrong != 0 {
			failField(c, i, bits.Len8(wrong)-1)
			return true
		}
	}
	return false
}

// refuseState ends a command that the state of the unit does not allow.
func (d *Device) refuseState(c *sam.Command, row *Opcode) bool {
	if d.refuseAccess(c, row) {
		return true
	}
	switch {
	case d.reservation.excludes(c.Nexus) && !c.Resumed && row.flags&passReserved == 0,
		d.persistent.kind != 0 && !c.Resumed && d.persistent.excludes(d.registrationOf(c.Nexus), row.out(c)):
		conflict(c)
	case d.operation != nil && row.flags&passOperation == 0:
		// SBC-3 §4.11.2, §5.4: neither is disturbed by anything.
		c.Fail(sam.NewSense(sam.NotReady, d.operation.code()).WithProgress(d.operation.progress()))
	case d.sanitizeFailed && row.flags&passOperation == 0 && row.Code != opSanitize:
		c.Fail(sam.NewSense(sam.MediumError, codeSanitizeFailed))
	case d.formatting && d.operation == nil && row.flags&passOperation == 0 && row.Code != opSanitize && row.Code != opFormat:
		// SBC-4 §4.33.2: what stands there fits no protection type until it is formatted.
		c.Fail(sam.NewSense(sam.MediumError, codeFormatCorrupted))
	case d.gone && row.flags&passStopped == 0:
		c.Fail(sam.NewSense(sam.NotReady, codeNotReady))
	case d.ejected && row.flags&passStopped == 0:
		c.Fail(sam.NewSense(sam.NotReady, codeNoMedium))
	case d.stopped && row.flags&passStopped == 0:
		// SBC-3 §4.20: a stopped unit waits for START STOP UNIT.
		c.Fail(sam.NewSense(sam.NotReady, codeNeedsStart))
	case row.flags&(modifies|erases) != 0 && d.unsettled:
		c.Fail(sam.NewSense(sam.HardwareError, codeInternalFailure))
	case row.flags&(modifies|erases) != 0 && d.readOnly(c):
		// SBC-3 §4.12: the medium itself is protected, or for this initiator the
		// unit by software.
		code := uint16(codeWriteProtected)
		if !d.info.ReadOnly {
			code = codeSoftwareProtected
		}
		c.Fail(sam.NewSense(sam.DataProtect, code))
	default:
		return false
	}
	return true
}

// readOnly says whether the initiator of c may not change the medium.
func (d *Device) readOnly(c *sam.Command) bool {
	return d.info.ReadOnly || c.ReadOnly || d.mode.Protected
}
