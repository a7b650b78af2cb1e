package scsi

import (
	"encoding/binary"

	"lunar/scsi/sam"
)

const (
	// evpdMask is EVPD in CDB byte 1.
	evpdMask = 0x01

	inquiryBytes = 96
	// maxInquiry is the longest answer of INQUIRY, a VPD page 83h with the longest
	// names.
	maxInquiry = 1024

	// absentUnit is PERIPHERAL QUALIFIER 011b with device type 1Fh: no unit here,
	// and there cannot be one (SPC-4 §6.6.2).
	absentUnit = 0x7f

	versionSPC4 = 0x06
)

// iscsiVersion is the transport's descriptor without a claimed version.
const iscsiVersion = 0x0960

// versionDescriptors are the standards claimed, in the order SPC-4 §6.6.2 asks
// for: architecture, transport, then commands.
var versionDescriptors = [...]uint16{
	0x00a0, // SAM-5
	iscsiVersion,
	0x0460, // SPC-4
	0x04c0, // SBC-3
}

// beginInquiry serves INQUIRY (SPC-4 §6.6).
func (d *Device) beginInquiry(c *sam.Command) {
	page := c.CDB[2]
	switch {
	case c.CDB[1]&evpdMask == 0 && page != 0:
		// SPC-4 §6.6.1: a page code without EVPD is an invalid field.
		failField(c, 2, -1)
	case c.CDB[1]&evpdMask != 0 && d.findPage(page) == nil:
		failField(c, 2, -1)
	default:
		ask(c, 0, min(int64(binary.BigEndian.Uint16(c.CDB[3:])), maxInquiry))
	}
}

func (d *Device) inquiry(c *sam.Command) Program {
	if c.CDB[1]&evpdMask != 0 {
		d.scratch = d.vpdPage(d.scratch[:0], c.Path, d.findPage(c.CDB[2]))
	} else {
		d.scratch = d.standardInquiry(d.scratch[:0], c.TransportLevel)
	}
	answer(c, d.scratch)
	return Program{}
}

// peripheral is the first byte of every INQUIRY answer: qualifier 0, type 00h.
func (d *Device) peripheral() byte {
	if d.absent {
		return absentUnit
	}
	return 0x00
}

// groups is TPGS: access states are changed by initiators and by the operator (SPC-4
// §5.15.2.1).
func (d *Device) groups() byte {
	const tpgs = 0x30
	if d.absent {
		return 0
	}
	return tpgs
}

// medium is RMB: whether the medium can be taken out.
func (d *Device) medium() byte {
	const rmb = 0x80
	if d.removable {
		return rmb
	}
	return 0
}

// copies3PC is 3PC: third-party copies are made here.
func (d *Device) copies3PC() byte {
	const threePC = 0x08
	if d.absent {
		return 0
	}
	return threePC
}

// format is HISUP and response data format 2, with NORMACA.
func (d *Device) format() byte {
	const normACA, format = 0x20, 0x12
	if d.NormACA() {
		return normACA | format
	}
	return format
}

// standardInquiry appends the standard INQUIRY data (SPC-4 §6.6.2).
func (d *Device) standardInquiry(b []byte, transportLevel uint8) []byte {
	start := len(b)
	b = append(b,
		d.peripheral(),
		d.medium(),
		versionSPC4,
		d.format(),
		inquiryBytes-5, // ADDITIONAL LENGTH
		d.groups()|d.copies3PC()|d.protects(), // SCCS: none
		0x10, // MULTIP: a target port per portal group
		0x02, // CMDQUE
	)
	b = appendText(b, d.identity.Vendor, vendorBytes)
	b = appendText(b, d.identity.Product, productBytes)
	b = appendText(b, d.identity.Revision, revisionBytes)
	// Bytes 36 to 57 are vendor specific and reserved; descriptors start at 58.
	b = append(b, make([]byte, inquiryBytes-36)...)
	for i, v := range versionDescriptors {
		if v == iscsiVersion {
			// RFC 7144 §4.2 [N-24]: what was agreed to counts.
			v += uint16(transportLevel)
		}
		binary.BigEndian.PutUint16(b[start+58+2*i:], v)
	}
	return b
}
