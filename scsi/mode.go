package scsi

import (
	"encoding/binary"

	"lunar/scsi/sam"
)

const opModeSense10 = 0x5a

// MODE SENSE, CDB fields (SPC-4 §6.14).
const (
	dbdMask   = 0x08 // byte 1: no block descriptors
	llbaaMask = 0x10 // byte 1 of the 10-byte form: long descriptors allowed

	controlChangeable = 1
	controlDefault    = 2
	controlSaved      = 3

	allPages    = 0x3f
	allSubpages = 0xff
)

const (
	// Device-specific parameter of a direct access block device (SBC-3 §6.5.1).
	writeProtectMask = 0x80
	dpofuaMask       = 0x10

	// longMask is LONGLBA in the header of MODE SENSE(10).
	longMask = 0x01

	// maxModeSense is the longest answer: header, long descriptor, all pages.
	maxModeSense = 512
)

// matches says whether a request for page and subpage includes the row (SPC-4
// §6.13.1): 3Fh is all pages, FFh all subpages of those.
func (r *modeRow) matches(page, subpage byte) bool {
	return (page == allPages || page == r.page) &&
		(subpage == allSubpages || subpage == r.subpage)
}

func (d *Device) modePageKnown(page, subpage byte) bool {
	if page == allPages && subpage != 0 && subpage != allSubpages {
		return false // reserved
	}
	for i := range modeRows {
		if modeRows[i].matches(page, subpage) && modeRows[i].served(d) {
			return true
		}
	}
	return false
}

// beginModeSense serves MODE SENSE(6) and (10) (SPC-4 §6.13, §6.14).
func (d *Device) beginModeSense(c *sam.Command) {
	page, subpage := c.CDB[2]&0x3f, c.CDB[3]
	switch {
	case !d.modePageKnown(page, subpage):
		failField(c, 2, 5)
	case c.CDB[2]>>6 == controlSaved && !d.keeps:
		// SPC-4 §6.13.1.4: where nothing is kept there are no saved values.
		c.Fail(illegal(codeSavingParameters))
	case c.CDB[0] == opModeSense10:
		ask(c, 0, min(int64(binary.BigEndian.Uint16(c.CDB[7:])), maxModeSense))
	default:
		ask(c, 0, int64(c.CDB[4]))
	}
}

func (d *Device) modeSense(c *sam.Command) Program {
	b := d.scratch[:0]
	if c.CDB[0] == opModeSense10 {
		long := c.CDB[1]&llbaaMask != 0
		b = append(b, 0, 0, 0, d.deviceSpecific(c), 0, 0, 0, 0)
		b = d.appendDescriptor(b, c, long)
		binary.BigEndian.PutUint16(b[6:], uint16(len(b)-8))
		if long && len(b) > 8 {
			b[4] = longMask
		}
		b = d.appendPages(b, c)
		// SPC-4 §7.5.5: MODE DATA LENGTH does not count itself.
		binary.BigEndian.PutUint16(b, uint16(len(b)-2))
	} else {
		b = append(b, 0, 0, d.deviceSpecific(c), 0)
		b = d.appendDescriptor(b, c, false)
		b[3] = byte(len(b) - 4)
		b = d.appendPages(b, c)
		b[0] = byte(len(b) - 1)
	}
	d.scratch = b
	answer(c, b)
	return Program{}
}

// deviceSpecific is WP, and DPOFUA, which promises that DPO and FUA are accepted.
func (d *Device) deviceSpecific(c *sam.Command) byte {
	if d.readOnly(c) {
		return writeProtectMask | dpofuaMask
	}
	return dpofuaMask
}

// appendDescriptor appends the block descriptor unless DBD refuses it (SBC-3
// §6.5.2). The short form holds 32 bits of blocks, all ones when there are more.
func (d *Device) appendDescriptor(b []byte, c *sam.Command, long bool) []byte {
	switch {
	case c.CDB[1]&dbdMask != 0:
		return b
	case long:
		b = binary.BigEndian.AppendUint64(b, d.blocks)
		b = append(b, 0, 0, 0, 0)
	default:
		b = binary.BigEndian.AppendUint32(b, uint32(min(d.blocks, 1<<32-1)))
	}
	// The short form has 24 bits of block length behind a reserved byte.
	return binary.BigEndian.AppendUint32(b, d.info.BlockBytes)
}

// appendPages appends the pages that the CDB names, with the values it asks for.
func (d *Device) appendPages(b []byte, c *sam.Command) []byte {
	page, subpage, control := c.CDB[2]&0x3f, c.CDB[3], c.CDB[2]>>6
	values := d.valuesOf(control)
	for i := range modeRows {
		r := &modeRows[i]
		if !r.matches(page, subpage) || !r.served(d) {
			continue
		}
		start := len(b)
		b = r.appendHeader(b)
		if d.keeps && r.mask != nil {
			b[start] |= psMask
		}
		body := len(b)
		b = r.body(d, &values, b)
		if control == controlChangeable {
			clear(b[body:])
			if r.mask != nil {
				r.mask(d, b[body:])
			}
		}
		r.endHeader(b[start:])
	}
	return b
}

// valuesOf are the parameters that PC asks for (SPC-4 §6.13.1); of those that can be
// changed the page itself knows.
func (d *Device) valuesOf(control byte) parameters {
	switch control {
	case controlDefault:
		return parameters{}
	case controlSaved:
		return d.saved
	default:
		return d.mode
	}
}
