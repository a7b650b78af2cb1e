package scsi

import (
	"lunar/scsi/pi"
	"lunar/scsi/sam"
)

// FMTPINFO in byte 1 of FORMAT UNIT and PROTECTION FIELD USAGE in byte 0 of its list
// (SBC-4 table 44).
const (
	fmtpinfoMask     = 0xc0
	fmtpinfoReserved = 0x40
	fmtpinfoType1    = 0x80
	fmtpinfoType23   = 0xc0

	// intervalAt has P_I_INFORMATION and PROTECTION INTERVAL EXPONENT in a long list.
	intervalAt = 3
)

// reformatAs starts a format operation whose list b is whole. Where there can be protection
// information the unit has the new type before the first block changes, and is out of use
// until all have: what ends the process in between is made good at the next start.
func (d *Device) reformatAs(c *sam.Command, b []byte) Program {
	kind, ok := formatType(c.CDB[1]&fmtpinfoMask, b)
	switch {
	case !ok:
		c.Fail(illegal(codeInvalidParameter).AtParameter(0))
		return Program{}
	case len(b) == formatLong && b[intervalAt] != 0:
		c.Fail(illegal(codeInvalidParameter).AtParameter(intervalAt))
		return Program{}
	case !d.info.Protected:
		return d.start(&operation{passes: 1})
	}
	n := d.draftOf(c)
	n.protection, n.formatting, n.durable, n.starts = kind, true, true, &operation{passes: 1}
	return d.adopt(n)
}

// formatType is the protection type that FMTPINFO and PROTECTION FIELD USAGE ask for
// (SBC-4 table 44). It is false for a combination that is illegal.
func formatType(fmtpinfo byte, list []byte) (t pi.Type, ok bool) {
	use := byte(0)
	if len(list) > 0 {
		use = list[0]
	}
	switch {
	case fmtpinfo == fmtpinfoType23 && use == 1:
		return pi.Type3, true
	case fmtpinfo == fmtpinfoType23:
		t = pi.Type2
	case fmtpinfo == fmtpinfoType1:
		t = pi.Type1
	}
	return t, use == 0
}

// formatted ends a format operation.
func (d *Device) formatted(c *sam.Command, ok bool) Program {
	if !d.formatting || !ok {
		return Program{}
	}
	n := d.draftOf(c)
	n.formatting, n.durable = false, true
	return d.adopt(n)
}

// reformat takes the protection type of a draft over. READ CAPACITY(16) says it, so others
// hear of it (SBC-4 §5.21.2).
func (d *Device) reformat(n *draft) {
	if n.protection != d.protection {
		d.attendOthers(n.by, CapacityChanged)
	}
	d.protection, d.formatting = n.protection, n.formatting
}

// Format is how the unit is formatted, as far as its medium has to know.
func (d *Device) Format() pi.Format { return pi.Format{Type: d.protection, Owned: d.mode.Owned} }

// First is the state to be kept before the first command: that of a unit which can keep
// protection information, and of which nothing that was kept says how it is formatted. Else
// it is nil.
func (d *Device) First() []byte {
	if !d.info.Protected || d.said {
		return nil
	}
	n := d.draftOf(&sam.Command{})
	return d.write(&n)
}

// protects is PROTECT of INQUIRY: the unit can be formatted with protection information.
func (d *Device) protects() byte {
	if d.info.Protected {
		return 0x01
	}
	return 0
}

// protectionType is PROT_EN and P_TYPE of READ CAPACITY(16) (SBC-4 table 88).
func (d *Device) protectionType() byte {
	if d.protection == pi.Type0 {
		return 0
	}
	return byte(d.protection-pi.Type1)<<1 | 0x01
}
