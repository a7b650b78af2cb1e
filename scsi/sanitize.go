package scsi

import (
	"encoding/binary"

	"lunar/scsi/sam"
)

// Service actions of SANITIZE (SBC-3 §5.25). There is no CRYPTOGRAPHIC ERASE: nothing here
// is encrypted.
const (
	sanitizeOverwrite  = 0x01
	sanitizeBlockErase = 0x02
	sanitizeExit       = 0x1f // EXIT FAILURE MODE

	immedMask = 0x80 // byte 1
	auseMask  = 0x20 // byte 1: EXIT FAILURE MODE may end a failure

	sanitizeHeader   = 4
	invertMask       = 0x80 // list byte 0
	overwriteCount   = 0x1f // list byte 0
	sanitizeTestMask = 0x60 // list byte 0, vendor specific
)

// beginSanitize serves SANITIZE (SBC-3 §5.25).
func (d *Device) beginSanitize(c *sam.Command) {
	length := int64(binary.BigEndian.Uint16(c.CDB[7:]))
	action := c.CDB[1] & actionMask
	switch {
	case action != sanitizeOverwrite && length != 0,
		action == sanitizeOverwrite && (length <= sanitizeHeader || length > sanitizeHeader+int64(d.info.BlockBytes)):
		failField(c, 7, -1)
	default:
		ask(c, length, 0)
	}
}

// sanitize starts the operation. It waits until the unit will know of it after a loss of
// power.
func (d *Device) sanitize(c *sam.Command) Program {
	o := &operation{sanitizes: true, passes: 1}
	switch c.CDB[1] & actionMask {
	case sanitizeExit:
		// SBC-3 §4.11.4: only a failure that allowed for it (AUSE) ends so.
		if d.sanitizeFailed && !d.exits {
			c.Fail(sam.NewSense(sam.MediumError, codeSanitizeFailed))
			return Program{}
		}
		d.sanitizeFailed = false
		n := d.draftOf(c)
		n.sanitizing, n.durable = false, d.sanitizing
		return d.adopt(n)
	case sanitizeOverwrite:
		if !d.decodeOverwrite(c, o) {
			return Program{}
		}
	}
	d.exits = c.CDB[1]&auseMask != 0
	n := d.draftOf(c)
	n.sanitizing, n.durable, n.starts = true, true, o
	return d.adopt(n)
}

// decodeOverwrite reads the parameter list of OVERWRITE (SBC-3 table 83).
func (d *Device) decodeOverwrite(c *sam.Command, o *operation) bool {
	if int64(c.Received) < c.DataOutBytes {
		c.Fail(illegal(codeParameterLength).At(7, -1))
		return false
	}
	b := c.Buffer[:c.DataOutBytes]
	length := int(binary.BigEndian.Uint16(b[2:]))
	o.passes, o.inverts = int(b[0]&overwriteCount), b[0]&invertMask != 0
	if o.passes == 0 || b[0]&sanitizeTestMask != 0 || b[1] != 0 || length == 0 || length != len(b)-sanitizeHeader {
		// DEVIATION [D-31]: SPC-4 would have a field of the list at fault; the public suite
		// demands INVALID FIELD IN CDB.
		failField(c, 7, -1)
		return false
	}
	// The pattern begins anew with every block.
	o.pattern = make([]byte, d.info.BlockBytes)
	for n := 0; n < len(o.pattern); {
		n += copy(o.pattern[n:], b[sanitizeHeader:])
	}
	return true
}

// FORMAT UNIT (SBC-3 §5.4).
const (
	longListMask = 0x20 // CDB byte 1
	formatData   = 0x10 // CDB byte 1: there is a parameter list
	formatHeader = 4
	formatLong   = 8
	formatImmed  = 0x02 // list byte 1
	formatIP     = 0x08
)

// beginFormat serves FORMAT UNIT (SBC-3 §5.4), without lists of defects, of which there are
// none. Where no protection information can be kept FMTPINFO is not evaluated.
func (d *Device) beginFormat(c *sam.Command) {
	switch {
	case c.CDB[1]&formatData == 0 && c.CDB[1]&longListMask != 0:
		failField(c, 1, 5)
	case c.CDB[1]&formatData == 0 && c.CDB[1]&fmtpinfoMask != 0, c.CDB[1]&fmtpinfoMask == fmtpinfoReserved:
		failField(c, 1, 7)
	case c.CDB[1]&formatData == 0:
		ask(c, 0, 0)
	case c.CDB[1]&longListMask != 0:
		ask(c, formatLong, 0)
	default:
		ask(c, formatHeader, 0)
	}
}

func (d *Device) formatUnit(c *sam.Command) Program {
	b := c.Buffer[:c.DataOutBytes]
	switch {
	case int64(c.Received) < c.DataOutBytes:
		c.Fail(illegal(codeParameterLength))
		return Program{}
	case len(b) == 0:
	case b[1]&formatIP != 0:
		c.Fail(illegal(codeInvalidParameter).AtParameter(1))
		return Program{}
	case binary.BigEndian.Uint16(b[2:]) != 0 && len(b) == formatHeader, len(b) == formatLong && binary.BigEndian.Uint32(b[4:]) != 0:
		c.Fail(illegal(codeInvalidParameter).AtParameter(2)) // DEFECT LIST LENGTH
		return Program{}
	}
	return d.reformatAs(c, b)
}

// Immediate says whether c has its status when its operation starts, not when it ends.
func Immediate(c *sam.Command) bool {
	if c.CDB[0] == opFormat {
		return c.CDB[1]&formatData != 0 && c.Buffer[1]&formatImmed != 0
	}
	return c.CDB[1]&immedMask != 0
}

const (
	opFormat   = 0x04
	opSanitize = 0x48
)
