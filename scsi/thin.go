package scsi

import (
	"encoding/binary"

	"lunar/lun/blk"
)

// thresholdSetBytes is how much space one threshold set stands for (SBC-3 §4.7.3.7.1).
const thresholdSetBytes = 1 << 20

// thresholdExponent is THRESHOLD EXPONENT of page B2h: a set has as many blocks as two to
// the power of it.
func (d *Device) thresholdExponent() uint8 {
	e := uint8(0)
	for n := int64(d.info.BlockBytes); n < thresholdSetBytes; n *= 2 {
		e++
	}
	return e
}

func sets(bytes int64) uint32 { return uint32(min(bytes/thresholdSetBytes, 1<<32-1)) }

// usage is how much of the store behind the medium is taken, in bytes; known says that the
// store tells.
type usage struct {
	used, available int64
	known           bool
	// reached: the threshold was told of, and is not until there is more again.
	reached bool
}

// Used takes what the medium takes of its store, as old as the last look at it. It is true
// when the soft threshold has been reached: every nexus is told, once (SBC-3 §4.7.3.7.5).
func (d *Device) Used(u blk.Usage) (reached bool) {
	before := d.usage.reached
	d.usage = usage{used: u.Used, available: u.Available, known: u.Known}
	d.usage.reached = u.Known && d.mode.Armed && sets(u.Available) <= d.mode.Threshold
	if d.usage.reached && !before {
		d.AttendAll(ThresholdReached)
		return true
	}
	return false
}

// logProvisioning is page 0Ch (SBC-3 §6.4.4): what is available and what is used, in
// threshold sets.
func (d *Device) logProvisioning(_ *Statistics, b []byte) []byte {
	const available, used, bytes, shared, dedicated = 0x01, 0x02, 8, 0x02, 0x01
	if !d.usage.known {
		return b
	}
	for _, p := range []struct {
		code, scope byte
		value       int64
	}{{available, shared, d.usage.available}, {used, dedicated, d.usage.used}} {
		b = append(b, 0, p.code, logList, bytes)
		b = binary.BigEndian.AppendUint32(b, sets(p.value))
		b = append(b, p.scope, 0, 0, 0)
	}
	return b
}

const (
	thresholdArmed     = 0x80
	thresholdAvailable = 0x01 // THRESHOLD RESOURCE: what is available
	thresholdAt        = 16 - 4
	thresholdBytes     = 8
)

// modeThresholds is page 1Ch subpage 02h (SBC-3 §6.5.9): one soft threshold, armed while
// what is available decreases.
func (d *Device) modeThresholds(m *parameters, b []byte) []byte {
	var p [thresholdAt + thresholdBytes]byte
	if m.Armed {
		p[thresholdAt] = thresholdArmed
	}
	p[thresholdAt+1] = thresholdAvailable
	binary.BigEndian.PutUint32(p[thresholdAt+4:], m.Threshold)
	return append(b, p[:]...)
}

func maskThresholds(_ *Device, b []byte) {
	b[thresholdAt] = thresholdArmed
	binary.BigEndian.PutUint32(b[thresholdAt+4:], 1<<32-1)
}

func changeThresholds(m *parameters, b []byte) {
	m.Armed = b[thresholdAt]&thresholdArmed != 0
	m.Threshold = binary.BigEndian.Uint32(b[thresholdAt+4:])
}

// passes says that no parameter has reads and writes ask the device server.
func (m *parameters) passes() bool { return !m.DescriptorSense && !m.Protected && !m.Through }
