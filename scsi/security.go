package scsi

import (
	"encoding/binary"

	"lunar/scsi/sam"
)

// SECURITY PROTOCOL IN, byte 4: the length counts 512 bytes each.
const inc512Mask = 0x80

// beginSecurityIn serves SECURITY PROTOCOL IN (SPC-4 §6.40) for protocol 00h, which says which
// protocols there are: itself. There is nothing to send to it, so no SECURITY PROTOCOL OUT.
func (d *Device) beginSecurityIn(c *sam.Command) {
	const supported, certificate = 0, 1 // SECURITY PROTOCOL SPECIFIC (SPC-4 §7.7.1)
	length := int64(binary.BigEndian.Uint32(c.CDB[6:]))
	if c.CDB[4]&inc512Mask != 0 {
		length *= 512
	}
	switch specific := binary.BigEndian.Uint16(c.CDB[2:]); {
	case c.CDB[1] != 0:
		failField(c, 1, 7)
	case specific != supported && specific != certificate:
		failField(c, 2, -1)
	default:
		ask(c, 0, min(length, 9))
	}
}

func (d *Device) securityIn(c *sam.Command) Program {
	if binary.BigEndian.Uint16(c.CDB[2:]) == 0 {
		answer(c, []byte{7: 1, 8: 0}) // one protocol, 00h
	} else {
		answer(c, []byte{0, 0, 0, 0}) // no certificate
	}
	return Program{}
}
