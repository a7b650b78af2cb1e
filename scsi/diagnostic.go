package scsi

import (
	"encoding/binary"

	"lunar/lun/blk"
	"lunar/scsi/sam"
)

// SEND DIAGNOSTIC and RECEIVE DIAGNOSTIC RESULTS, CDB byte 1 (SPC-4 §6.42, §6.31).
const (
	selfTestMask = 0x04
	diagnosticPF = 0x10
	pcvMask      = 0x01

	maxDiagnostic = 1024
)

// beginSendDiagnostic serves SEND DIAGNOSTIC (SPC-4 §6.42): the default self-test, and the
// page that asks which pages there are.
func (d *Device) beginSendDiagnostic(c *sam.Command) {
	length := int64(binary.BigEndian.Uint16(c.CDB[3:]))
	switch {
	case c.CDB[1]&selfTestMask != 0 && length != 0:
		failField(c, 3, -1)
	case length > maxDiagnostic:
		c.Fail(illegal(codeParameterLength).At(3, -1))
	default:
		ask(c, length, 0)
	}
}

// sendDiagnostic tests the unit by reading its first blocks.
func (d *Device) sendDiagnostic(c *sam.Command) Program {
	switch {
	case c.CDB[1]&selfTestMask != 0:
		return Program{Kind: Verify, Bytes: min(d.info.Bytes, blk.MaxRequestBytes)}
	case c.DataOutBytes == 0:
	case int64(c.Received) < c.DataOutBytes, c.DataOutBytes < 4:
		c.Fail(illegal(codeParameterLength).At(3, -1))
	case c.Buffer[0] != 0:
		c.Fail(illegal(codeInvalidParameter).AtParameter(0)) // page 00h alone
	case c.DataOutBytes != 4 || binary.BigEndian.Uint16(c.Buffer[2:]) != 0:
		c.Fail(illegal(codeInvalidParameter).AtParameter(2))
	}
	return Program{}
}

// beginReceiveDiagnostic serves RECEIVE DIAGNOSTIC RESULTS (SPC-4 §6.31): page 00h, the
// list of pages, which is itself.
func (d *Device) beginReceiveDiagnostic(c *sam.Command) {
	if c.CDB[2] != 0 {
		failField(c, 2, -1)
		return
	}
	ask(c, 0, min(int64(binary.BigEndian.Uint16(c.CDB[3:])), maxDiagnostic))
}

func (d *Device) receiveDiagnostic(c *sam.Command) Program {
	answer(c, []byte{0, 0, 0, 1, 0})
	return Program{}
}
