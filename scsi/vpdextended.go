package scsi

import (
	"encoding/binary"
	"fmt"

	"lunar/scsi/sam"
)

// vpdExtended is page 86h (SPC-4 §7.8.7): priorities and all task attributes are served
// (SAM-5 §8), a volatile cache is told, unit attentions of one nexus do not touch those of
// another, and sense is no longer than it says.
func (d *Device) vpdExtended(_ *sam.Path, b []byte) []byte {
	const (
		bytes      = 60
		attributes = 0x0f // PRIOR_SUP HEADSUP ORDSUP SIMPSUP
		volatile   = 0x01 // V_SUP
		luiclr     = 0x01
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
