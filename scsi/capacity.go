package scsi

import (
	"encoding/binary"
	"math/bits"

	"lunar/scsi/sam"
)

const (
	capacity10Bytes = 8
	capacity16Bytes = 32

	lbpmeMask = 0x80
	lbprzMask = 0x40
)

// beginReadCapacity10 serves READ CAPACITY(10) (SBC-3 §5.15). It has no
// allocation length: the answer is always eight bytes.
func (d *Device) beginReadCapacity10(c *sam.Command) { ask(c, 0, capacity10Bytes) }

func (d *Device) readCapacity10(c *sam.Command) Program {
	var b [capacity10Bytes]byte
	// SBC-3 §5.15.2: a medium too large for this answer says so with all ones.
	binary.BigEndian.PutUint32(b[0:], uint32(min(d.blocks-1, 1<<32-1)))
	binary.BigEndian.PutUint32(b[4:], d.info.BlockBytes)
	answer(c, b[:])
	return Program{}
}

// beginReadCapacity16 serves READ CAPACITY(16) (SBC-3 §5.16).
func (d *Device) beginReadCapacity16(c *sam.Command) {
	ask(c, 0, min(int64(binary.BigEndian.Uint32(c.CDB[10:])), capacity16Bytes))
}

func (d *Device) readCapacity16(c *sam.Command) Program {
	var b [capacity16Bytes]byte
	binary.BigEndian.PutUint64(b[0:], d.blocks-1)
	binary.BigEndian.PutUint32(b[8:], d.info.BlockBytes)
	b[12] = d.protectionType()
	// P_I_EXPONENT is zero: a block has protection information once.
	b[13] = d.physicalExponent()
	binary.BigEndian.PutUint16(b[14:], d.lowestAligned())
	if d.info.Thin {
		// SBC-3 §5.16.2: LBPME opens the logical block provisioning page, and
		// LBPRZ promises zeros from blocks that are deallocated.
		b[14] |= lbpmeMask | lbprzMask
	}
	answer(c, b[:])
	return Program{}
}

// physicalExponent is LOGICAL BLOCKS PER PHYSICAL BLOCK EXPONENT.
func (d *Device) physicalExponent() byte {
	return byte(bits.TrailingZeros32(max(d.info.PhysicalBytes/d.info.BlockBytes, 1)))
}

// lowestAligned is LOWEST ALIGNED LOGICAL BLOCK ADDRESS, a field of 14 bits: zero for a
// medium whose first physical block begins behind that.
func (d *Device) lowestAligned() uint16 {
	const most = 1<<14 - 1
	n := d.info.AlignedBytes >> d.blockShift
	if n > most {
		return 0
	}
	return uint16(n)
}
