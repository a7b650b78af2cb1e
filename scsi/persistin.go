package scsi

import (
	"encoding/binary"

	"lunar/scsi/sam"
)

// Service actions of PERSISTENT RESERVE IN (SPC-4 §6.15).
const (
	prinKeys         = 0x00
	prinReservation  = 0x01
	prinCapabilities = 0x02
	prinFullStatus   = 0x03
)

// Bits of REPORT CAPABILITIES (SPC-4 §6.15.4).
const (
	crhMask  = 0x10 // RESERVE and RELEASE of who is allowed in are GOOD and change nothing
	sipMask  = 0x08 // SPEC_I_PT
	atpMask  = 0x04 // ALL_TG_PT
	ptplMask = 0x01 // in byte 2 APTPL can be asked for, in byte 3 it is in force
	tmvMask  = 0x80 // the mask of types is valid

	capabilitiesBytes = 8
	prinHeader        = 8
)

// beginPersistIn serves PERSISTENT RESERVE IN (SPC-4 §6.15).
func (d *Device) beginPersistIn(c *sam.Command) {
	ask(c, 0, int64(binary.BigEndian.Uint16(c.CDB[7:])))
}

func (d *Device) persistIn(c *sam.Command) Program {
	b := d.scratch[:0]
	switch c.CDB[1] & actionMask {
	case prinKeys:
		b = d.appendKeys(b)
	case prinReservation:
		b = d.appendReservation(b)
	case prinCapabilities:
		b = d.appendCapabilities(b)
	default:
		b = d.appendFullStatus(b)
	}
	d.scratch = b
	answer(c, b)
	return Program{}
}

// appendPersistHeader is PRGENERATION and the length of what follows, to be filled in.
func (d *Device) appendPersistHeader(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, d.persistent.generation)
	return append(b, 0, 0, 0, 0)
}

func endPersist(b []byte) []byte {
	binary.BigEndian.PutUint32(b[4:], uint32(len(b)-prinHeader))
	return b
}

// appendKeys is READ KEYS (SPC-4 §6.15.2).
func (d *Device) appendKeys(b []byte) []byte {
	b = d.appendPersistHeader(b)
	for i := range d.persistent.registrations {
		b = binary.BigEndian.AppendUint64(b, d.persistent.registrations[i].key)
	}
	return endPersist(b)
}

// appendReservation is READ RESERVATION (SPC-4 §6.15.3). Where every registrant holds it
// the key is zero.
func (d *Device) appendReservation(b []byte) []byte {
	b = d.appendPersistHeader(b)
	p := &d.persistent
	if p.kind == 0 {
		return endPersist(b)
	}
	key := uint64(0)
	if p.holder != noRegistration {
		key = p.registrations[p.holder].key
	}
	b = binary.BigEndian.AppendUint64(b, key)
	// SCOPE 0h: the logical unit.
	b = append(b, 0, 0, 0, 0, 0, byte(p.kind), 0, 0)
	return endPersist(b)
}

// appendCapabilities is REPORT CAPABILITIES (SPC-4 §6.15.4).
func (d *Device) appendCapabilities(b []byte) []byte {
	var p [capabilitiesBytes]byte
	p[1] = capabilitiesBytes
	p[2] = crhMask | sipMask | atpMask
	p[3] = tmvMask
	if d.keeps {
		p[2] |= ptplMask
	}
	if d.persistent.kept {
		p[3] |= ptplMask
	}
	// ALLOW COMMANDS 000b: nothing is said of commands that the standard leaves open.
	for t := range reservationType(16) {
		if !t.known() {
			continue
		}
		if t < 8 {
			p[4] |= 1 << t
		} else {
			p[5] |= 1 << (t - 8)
		}
	}
	return append(b, p[:]...)
}

// appendFullStatus is READ FULL STATUS (SPC-4 §6.15.5).
func (d *Device) appendFullStatus(b []byte) []byte {
	const holderMask, everyPortMask = 0x01, 0x02
	b = d.appendPersistHeader(b)
	p := &d.persistent
	for i := range p.registrations {
		r := &p.registrations[i]
		b = binary.BigEndian.AppendUint64(b, r.key)
		flags, kind := byte(0), byte(0)
		if p.holds(i) {
			flags, kind = holderMask, byte(p.kind)
		}
		port := r.target.Relative
		if r.everyPort {
			flags, port = flags|everyPortMask, 0
		}
		b = append(b, 0, 0, 0, 0, flags, kind, 0, 0, 0, 0, byte(port>>8), byte(port))
		at := len(b)
		b = append(b, 0, 0, 0, 0)
		b = appendTransportID(b, &r.initiator)
		binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-4))
	}
	return endPersist(b)
}
