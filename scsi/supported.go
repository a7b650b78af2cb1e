package scsi

import (
	"encoding/binary"

	"lunar/scsi/sam"
)

// REPORTING OPTIONS (SPC-4 §6.35.1).
const (
	reportAll        = 0
	reportOpcode     = 1 // one command without service action
	reportAction     = 2 // one command with service action
	reportEither     = 3 // one command, told apart by what it has
	reportOptionMask = 0x07

	// rctdMask asks for timeouts; repdMask for the long form of the functions.
	rctdMask = 0x80
	repdMask = 0x80

	timeoutBytes = 12
	// maxSupportedOpcodes is more than the table can need: 8 + 12 bytes a row.
	maxSupportedOpcodes = 4096
)

// Bits of the command descriptors (SPC-4 §6.35.2, §6.35.3).
const (
	allCTDP     = 0x02
	allServactv = 0x01

	oneCTDP         = 0x80
	oneNotSupported = 0x01
	oneStandard     = 0x03
)

// beginSupportedOpcodes serves REPORT SUPPORTED OPERATION CODES (SPC-4 §6.35).
func (d *Device) beginSupportedOpcodes(c *sam.Command) {
	option := c.CDB[2] & reportOptionMask
	first := d.firstRow(c.CDB[3])
	switch {
	case option > reportEither:
		failField(c, 2, 2)
	case option == reportOpcode && first != nil && first.HasAction():
		// SPC-4 §6.35.1: option 001b is an error for a command with service
		// actions, as 010b is for one without.
		failField(c, 2, 2)
	case option == reportAction && first != nil && !first.HasAction():
		failField(c, 2, 2)
	default:
		ask(c, 0, min(int64(binary.BigEndian.Uint32(c.CDB[6:])), maxSupportedOpcodes))
	}
}

// servedRow returns the row of a command of this unit, or nil.
func (d *Device) servedRow(code byte, action uint16) *Opcode {
	n, _ := d.index.find(d.rows, code, action)
	if n < 0 || !d.serves(&d.rows[n]) {
		return nil
	}
	return &d.rows[n]
}

// firstRow returns the first row with an opcode, whatever its service action.
func (d *Device) firstRow(code byte) *Opcode {
	e := d.index[code]
	if e.count == 0 || !d.serves(&d.rows[e.first]) {
		return nil
	}
	return &d.rows[e.first]
}

func (d *Device) supportedOpcodes(c *sam.Command) Program {
	timeouts := c.CDB[2]&rctdMask != 0
	if option := c.CDB[2] & reportOptionMask; option == reportAll {
		d.scratch = d.appendAll(d.scratch[:0], timeouts)
	} else {
		action := binary.BigEndian.Uint16(c.CDB[4:])
		row := d.servedRow(c.CDB[3], action)
		if row != nil && !row.HasAction() && action != 0 && option == reportEither {
			// SPC-4 §6.35.1: with 011b a command without service actions is
			// supported only when the requested one is zero.
			row = nil
		}
		d.scratch = d.appendOne(d.scratch[:0], row, timeouts)
	}
	answer(c, d.scratch)
	return Program{}
}

// appendAll appends the all_commands parameter data (SPC-4 §6.35.2).
func (d *Device) appendAll(b []byte, timeouts bool) []byte {
	b = append(b, 0, 0, 0, 0)
	for i := range d.rows {
		r := &d.rows[i]
		if !d.serves(r) {
			continue
		}
		bits := byte(0)
		if r.HasAction() {
			bits |= allServactv
		}
		if timeouts {
			bits |= allCTDP
		}
		b = append(b, r.Code, 0, byte(r.Action>>8), byte(r.Action), 0, bits, 0, byte(len(r.Usage)))
		if timeouts {
			b = appendTimeouts(b, r)
		}
	}
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

// appendOne appends the one_command parameter data (SPC-4 §6.35.3); row is nil
// for a command that is not supported.
func (d *Device) appendOne(b []byte, row *Opcode, timeouts bool) []byte {
	if row == nil {
		return append(b, 0, oneNotSupported, 0, 0)
	}
	bits := byte(oneStandard)
	if timeouts {
		bits |= oneCTDP
	}
	b = append(b, 0, bits, 0, byte(len(row.Usage)))
	b = append(b, d.usageOf(row)...)
	if timeouts {
		b = appendTimeouts(b, row)
	}
	return b
}

// appendTimeouts appends a command timeouts descriptor (SPC-4 §6.35.4).
func appendTimeouts(b []byte, r *Opcode) []byte {
	b = append(b, 0, timeoutBytes-2, 0, 0)
	b = binary.BigEndian.AppendUint32(b, r.Nominal)
	return binary.BigEndian.AppendUint32(b, r.Recommended)
}

// Bits of REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS byte 0 (SPC-4 §6.36).
const (
	abortTaskMask    = 0x80
	abortTaskSetMask = 0x40
	clearACAMask     = 0x20
	clearTaskSetMask = 0x10
	unitResetMask    = 0x08

	functionsBytes     = 4
	functionsLongBytes = 16
)

// beginSupportedFunctions serves REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS
// (SPC-4 §6.36).
func (d *Device) beginSupportedFunctions(c *sam.Command) {
	length := int64(binary.BigEndian.Uint32(c.CDB[6:]))
	if length < functionsBytes {
		// SPC-4 §6.36: an allocation length below four is an invalid field.
		failField(c, 6, -1)
		return
	}
	ask(c, 0, min(length, functionsLongBytes))
}

// supportedFunctions lists those of package sam that act on a unit. With REPD the
// timeouts follow; zero does not report them.
func (d *Device) supportedFunctions(c *sam.Command) Program {
	b := [functionsLongBytes]byte{abortTaskMask | abortTaskSetMask | clearACAMask | clearTaskSetMask | unitResetMask}
	if c.CDB[2]&repdMask == 0 {
		answer(c, b[:functionsBytes])
		return Program{}
	}
	b[3] = functionsLongBytes - functionsBytes
	answer(c, b[:])
	return Program{}
}
