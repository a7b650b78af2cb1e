package scsi

import (
	"encoding/binary"
	"fmt"

	"lunar/scsi/sam"
)

// vpdSoftware is page 84h (SPC-4 §7.8.16): which commands and pages there are, as an
// identifier of six bytes, by the company id of our designators. DEVIATION [D-8].
func (d *Device) vpdSoftware(_ *sam.Path, b []byte) []byte {
	const version = 1
	id := binary.BigEndian.Uint32(naaPrefix[:]) << 4 // without the NAA field
	return append(b, byte(id>>24), byte(id>>16), byte(id>>8), 0, 0, version)
}

// vpdManagement is page 85h (SPC-4 §7.8.9): where the target says how it is, if that is on a
// network.
func (d *Device) vpdManagement(_ *sam.Path, b []byte) []byte {
	const statusService = 0x03 // SERVICE TYPE; ASSOCIATION 01b would be of one port, 10b is of the target
	url := padName(d.identity.Status)
	if d.identity.Status == "" {
		return b
	}
	b = append(b, ofTarget<<1|statusService, 0, byte(len(url)>>8), byte(len(url)))
	return append(b, url...)
}

// vpdExtended is page 86h (SPC-4 §7.8.7): priorities and all task attributes are served
// (SAM-5 §8), a volatile cache is told, unit attentions of one nexus do not touch those of
// another, and sense is no longer than it says.
func (d *Device) vpdExtended(_ *sam.Path, b []byte) []byte {
	const (
		bytes      = 60
		attributes = 0x0f // PRIOR_SUP HEADSUP ORDSUP SIMPSUP
		volatile   = 0x01 // V_SUP
		luiclr     = 0x01
		referrals  = 0x10 // R_SUP
		allTypes   = 0x38 // SPT 111b: types 1 to 3
		checksAll  = 0x07 // GRD_CHK APP_CHK REF_CHK
		noPICheck  = 0x20 // NO_PI_CHK
	)
	var p [bytes]byte
	if d.info.Protected {
		p[0], p[7-4] = allTypes|checksAll, noPICheck
	}
	p[5-4] = attributes
	if d.info.VolatileCache {
		p[6-4] = volatile
	}
	p[7-4] |= luiclr
	p[8-4] = referrals
	p[13-4] = sam.MaxSenseBytes
	return append(b, p[:]...)
}

// vpdModePolicy is page 87h (SPC-4 §7.8.10): all mode pages are shared by all nexuses.
func (d *Device) vpdModePolicy(_ *sam.Path, b []byte) []byte {
	return append(b, allPages, allSubpages, 0, 0)
}

// vpdPorts is page 88h (SPC-4 §7.8.14): the target ports that lead here.
func (d *Device) vpdPorts(way *sam.Path, b []byte) []byte {
	if way == nil {
		return b
	}
	for _, p := range way.Ports {
		// A relative port identifier, no initiator port, and the name of the target port.
		b = append(b, 0, 0, byte(p.Relative>>8), byte(p.Relative), 0, 0, 0, 0, 0, 0, 0, 0)
		at := len(b) - 2
		b = appendDesignator(b, protocolISCSI|codeSetUTF8, pivMask|ofPort|typeName, portName(way.TargetName, p.PortalGroupTag))
		binary.BigEndian.PutUint16(b[at:], uint16(len(b)-at-2))
	}
	return b
}

// portName names a target port by its node and portal group tag (SPC-4 §7.8.6.9, RFC 3720
// §3.4.2).
func portName(target string, tag uint16) []byte {
	return padName(fmt.Sprintf("%s,t,0x%04x", target[:min(len(target), MaxNameBytes)], tag))
}
