package scsi

import (
	"encoding/binary"

	"lunar/scsi/sam"
)

// parameters are the mode parameters that MODE SELECT changes; zero are the defaults.
type parameters struct {
	// DescriptorSense is D_SENSE, Protected SWP; Through is WCE zero on a medium with a
	// volatile cache.
	DescriptorSense bool `json:"d_sense,omitempty"`
	Protected       bool `json:"swp,omitempty"`
	Through         bool `json:"write_through,omitempty"`
	// TellsAborted is TAS.
	TellsAborted bool `json:"tas,omitempty"`
	// Armed says that the soft threshold is in force, Threshold is of how many threshold
	// sets that are available.
	Armed     bool   `json:"armed,omitempty"`
	Threshold uint32 `json:"threshold,omitempty"`
	// Owned is ATO: logical block application tags are the application client's.
	Owned bool `json:"ato,omitempty"`
}

// modeRow is one mode page.
type modeRow struct {
	page, subpage byte
	name          string
	// body appends what follows the page header, with the values of m.
	body func(d *Device, m *parameters, b []byte) []byte
	// mask sets the bits of a zeroed body that can be changed, and change takes them from
	// one; nil where there are none.
	mask   func(d *Device, b []byte)
	change func(m *parameters, b []byte)
	// thin pages exist on a thin unit only.
	thin bool
}

func (r *modeRow) served(d *Device) bool { return !r.thin || d.info.Thin }

const (
	// psMask says in the header of a page that its values can be saved, spfMask that it is
	// a subpage.
	psMask  = 0x80
	spfMask = 0x40
)

// appendHeader begins a page, endHeader fills its length in (SPC-4 §7.5.7).
func (r *modeRow) appendHeader(b []byte) []byte {
	if r.subpage == 0 {
		return append(b, r.page, 0)
	}
	return append(b, spfMask|r.page, r.subpage, 0, 0)
}

func (r *modeRow) endHeader(page []byte) {
	if r.subpage == 0 {
		page[1] = byte(len(page) - 2)
		return
	}
	binary.BigEndian.PutUint16(page[2:], uint16(len(page)-4))
}

// modeRows are the pages in ascending order. To add a page, add a row here.
var modeRows = []modeRow{
	{page: 0x01, name: "Read-Write Error Recovery", body: (*Device).modeRecovery},
	{page: 0x02, name: "Disconnect-Reconnect", body: (*Device).modeDisconnect},
	{page: 0x07, name: "Verify Error Recovery", body: (*Device).modeVerify},
	{page: 0x08, name: "Caching", body: (*Device).modeCaching, mask: maskCaching, change: changeCaching},
	{page: 0x0a, name: "Control", body: (*Device).modeControl, mask: maskControl, change: changeControl},
	{page: 0x0a, subpage: 0x01, name: "Control Extension", body: (*Device).modeControlExtension},
	{page: 0x1a, name: "Power Condition", body: (*Device).modePower},
	{page: 0x1c, name: "Informational Exceptions Control", body: (*Device).modeExceptions},
	{
		page: 0x1c, subpage: 0x02, name: "Logical Block Provisioning", body: (*Device).modeThresholds,
		mask: maskThresholds, change: changeThresholds, thin: true,
	},
}

// modeRecovery is page 01h (SBC-3 §6.5.8). AWRE and ARRE are not for a medium that
// reallocates by itself, or whose store does; errors are reported as they are, after no
// retries of ours.
func (d *Device) modeRecovery(_ *parameters, b []byte) []byte {
	const bytes = 10
	return append(b, make([]byte, bytes)...)
}

// modeDisconnect is page 02h (SPC-4 §7.5.11). Of it RFC 3720 has no field with a meaning:
// bursts are negotiated (§10.1 there).
func (d *Device) modeDisconnect(_ *parameters, b []byte) []byte {
	const bytes = 14
	return append(b, make([]byte, bytes)...)
}

// modeVerify is page 07h (SBC-3 §6.5.10).
func (d *Device) modeVerify(_ *parameters, b []byte) []byte {
	const bytes = 10
	return append(b, make([]byte, bytes)...)
}

const wceMask = 0x04

// modeCaching is page 08h (SBC-3 §6.5.5). WCE is the truth about the unit: a finished
// write may be volatile until SYNCHRONIZE CACHE.
func (d *Device) modeCaching(m *parameters, b []byte) []byte {
	const draMask, bytes = 0x20, 18
	var p [bytes]byte
	if d.info.VolatileCache && !m.Through {
		p[0] = wceMask
	}
	p[12-2] = draMask // no read-ahead of ours
	return append(b, p[:]...)
}

// maskCaching: where there is a volatile cache writes may go past it.
func maskCaching(d *Device, b []byte) {
	if d.info.VolatileCache {
		b[0] = wceMask
	}
}

func changeCaching(m *parameters, b []byte) { m.Through = b[0]&wceMask == 0 }

const (
	dSenseMask = 0x04
	swpMask    = 0x08
	tasMask    = 0x40
	atoMask    = 0x80
)

// modeControl is page 0Ah (SPC-4 §7.5.8).
func (d *Device) modeControl(m *parameters, b []byte) []byte {
	const bytes, unrestricted = 10, 1 << 4
	var p [bytes]byte
	// TST 0: one task set for all nexuses.
	// QUEUE ALGORITHM MODIFIER 1: simple commands may pass each other, QErr 0.
	p[3-2] = unrestricted
	if m.DescriptorSense {
		p[0] |= dSenseMask
	}
	if m.Protected {
		p[4-2] |= swpMask
	}
	if m.TellsAborted {
		p[5-2] |= tasMask
	}
	if m.Owned && d.info.Protected {
		p[5-2] |= atoMask
	}
	// BUSY TIMEOUT PERIOD, FFFFh: no limit.
	p[8-2], p[9-2] = 0xff, 0xff
	return append(b, p[:]...)
}

func maskControl(d *Device, b []byte) {
	b[0], b[4-2], b[5-2] = dSenseMask, swpMask, tasMask
	if d.info.Protected {
		b[5-2] |= atoMask
	}
}

func changeControl(m *parameters, b []byte) {
	m.DescriptorSense, m.Protected = b[0]&dSenseMask != 0, b[4-2]&swpMask != 0
	m.TellsAborted = b[5-2]&tasMask != 0
	m.Owned = b[5-2]&atoMask != 0
}

// modeControlExtension is page 0Ah subpage 01h (SPC-4 §7.5.9).
func (d *Device) modeControlExtension(_ *parameters, b []byte) []byte {
	const (
		bytes  = 28
		scsip  = 0x02 // what SET TIMESTAMP has set stays
		ialuae = 0x01 // the operator changes access states
	)
	var p [bytes]byte
	p[0] = scsip | ialuae
	p[6-4] = sam.MaxSenseBytes // MAXIMUM SENSE DATA LENGTH
	return append(b, p[:]...)
}

// modePower is page 1Ah (SPC-4 §7.5.13): no timer leads to a power condition.
func (d *Device) modePower(_ *parameters, b []byte) []byte {
	const bytes = 38
	return append(b, make([]byte, bytes)...)
}

// modeExceptions is page 1Ch (SPC-4 §7.5.10). MRIE 6: an exception is reported only when
// it is asked for, by REQUEST SENSE or the log.
func (d *Device) modeExceptions(_ *parameters, b []byte) []byte {
	const bytes, onRequest = 10, 6
	var p [bytes]byte
	p[3-2] = onRequest
	return append(b, p[:]...)
}
