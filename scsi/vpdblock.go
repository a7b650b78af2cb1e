package scsi

import (
	"encoding/binary"

	"lunar/scsi/sam"
)

// blockPageBytes is what follows the header of pages B0h and B1h.
const blockPageBytes = 0x3c

const (
	// rotationNone is MEDIUM ROTATION RATE of a medium that does not rotate; zero
	// does not report the rate.
	rotationNone = 0x0001

	// Bits of page B2h byte 5.
	lbpuMask    = 0x80 // UNMAP
	lbpwsMask   = 0x40 // WRITE SAME(16) with UNMAP
	lbpws10Mask = 0x20 // WRITE SAME(10) with UNMAP
	lbprzZeros  = 0x04 // deallocated blocks read as zeros
	ancSupMask  = 0x02 // blocks can be anchored

	provisioningFull = 0
	provisioningThin = 2

	// ugavalid says that UNMAP GRANULARITY ALIGNMENT is valid.
	ugavalid = 1 << 31
)

// vpdBlockLimits is page B0h (SBC-3 §6.6.3). Each limit is the number that the
// command itself checks, so the page cannot promise what is refused. PRE-FETCH has
// none.
func (d *Device) vpdBlockLimits(_ *sam.Path, b []byte) []byte {
	var p [blockPageBytes]byte
	at := func(pageByte int) []byte { return p[pageByte-4:] }

	// Byte 4, WSNZ, is zero: WRITE SAME of no blocks goes to the end.
	at(5)[0] = d.maxCompareBlocks()
	physical := uint32(1) << d.physicalExponent()
	binary.BigEndian.PutUint16(at(6), uint16(min(physical, 1<<16-1)))
	binary.BigEndian.PutUint32(at(8), d.maxBlocks)
	binary.BigEndian.PutUint32(at(12), d.optimBlocks)
	binary.BigEndian.PutUint64(at(36), uint64(d.maxBlocks))
	if most := d.maxAtomicBlocks(); most > 0 {
		// SBC-4 §6.6.4: alignment and granularity of zero blocks ask for none; with a
		// boundary no less goes, and none farther apart.
		binary.BigEndian.PutUint32(at(44), most)
		binary.BigEndian.PutUint32(at(56), most)
		binary.BigEndian.PutUint32(at(60), most)
	}
	if d.info.Thin {
		binary.BigEndian.PutUint32(at(20), maxUnmapBlocks)
		binary.BigEndian.PutUint32(at(24), maxUnmapDescriptors)
		binary.BigEndian.PutUint32(at(28), max(d.info.DiscardBytes>>d.blockShift, 1))
		// Granules begin where an LBA divided by the granularity leaves this.
		binary.BigEndian.PutUint32(at(32), ugavalid|d.info.DiscardOffset>>d.blockShift)
	}
	return append(b, p[:]...)
}

// vpdCharacteristics is page B1h (SBC-3 §6.6.2).
func (d *Device) vpdCharacteristics(_ *sam.Path, b []byte) []byte {
	var p [blockPageBytes]byte
	if !d.info.Rotational {
		binary.BigEndian.PutUint16(p[0:], rotationNone)
	}
	// VBULS: VERIFY with BYTCHK may name deallocated blocks, they are zeros.
	p[8-4] = 0x01
	// WABEREQ 01b: after BLOCK ERASE reads succeed. WACEREQ 00b: CRYPTOGRAPHIC ERASE is not
	// there.
	p[7-4] = 0x40
	return append(b, p[:]...)
}

// vpdProvisioning is page B2h (SBC-3 §6.6.4). There is no
// descriptor of a provisioning group; a threshold is of sets of 1 MiB.
func (d *Device) vpdProvisioning(_ *sam.Path, b []byte) []byte {
	if !d.info.Thin {
		return append(b, 0, 0, provisioningFull, 0)
	}
	does := byte(lbpuMask | lbpwsMask | lbpws10Mask | lbprzZeros)
	if d.info.Anchors {
		does |= ancSupMask
	}
	return append(b, d.thresholdExponent(), does, provisioningThin, 0)
}

// vpdBlockLimitsExtension is page B7h (SBC-4 §6.6.5): no streams, and no writes of scattered
// ranges.
func (d *Device) vpdBlockLimitsExtension(_ *sam.Path, b []byte) []byte {
	return append(b, make([]byte, blockPageBytes)...)
}

// vpdRanges is page B9h (SBC-4 §6.6.6): what a medium does in parallel it does everywhere, so
// there is one range, of all blocks, and nothing is said of storage elements.
func (d *Device) vpdRanges(_ *sam.Path, b []byte) []byte {
	const reserved, descriptor = 60, 32
	b = append(b, make([]byte, reserved+descriptor)...)
	binary.BigEndian.PutUint64(b[len(b)-descriptor+16:], d.blocks)
	return b
}
