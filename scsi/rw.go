package scsi

import (
	"encoding/binary"

	"lunar/scsi/sam"
)

const (
	// fuaMask and the masks beside it are bits of CDB byte 1.
	fuaMask   = 0x08
	unmapMask = 0x08

	// zeroMeans256 is what a TRANSFER LENGTH of zero means in a 6-byte CDB.
	zeroMeans256 = 256
)

// fields says where a block command keeps its LBA and length; the length of the
// CDB, three bits of the opcode, decides it (SPC-4 §4.2.5.1).
type fields struct{ lbaAt, lengthAt int }

func fieldsOf(opcode byte) fields {
	switch opcode >> 5 {
	case 0:
		return fields{1, 4}
	case 3:
		return fields{longLBAAt, longLengthAt}
	case 4:
		return fields{2, 10}
	case 5:
		return fields{2, 6}
	default:
		return fields{2, 7}
	}
}

// decode reads LBA and number of blocks of a 6-, 10-, 12-, 16- or 32-byte CDB.
func decode(c *sam.Command) (lba uint64, blocks uint32) {
	switch c.CDB[0] >> 5 {
	case 0:
		// SBC-2, READ(6): 21 bits of address, and a length of zero means 256.
		lba = uint64(binary.BigEndian.Uint32(c.CDB[0:4]) & 0x1fffff)
		if blocks = uint32(c.CDB[4]); blocks == 0 {
			blocks = zeroMeans256
		}
	case 3:
		lba, blocks = binary.BigEndian.Uint64(c.CDB[longLBAAt:]), binary.BigEndian.Uint32(c.CDB[longLengthAt:])
	case 4:
		lba, blocks = binary.BigEndian.Uint64(c.CDB[2:]), binary.BigEndian.Uint32(c.CDB[10:])
	case 5:
		lba, blocks = uint64(binary.BigEndian.Uint32(c.CDB[2:])), binary.BigEndian.Uint32(c.CDB[6:])
	default:
		lba, blocks = uint64(binary.BigEndian.Uint32(c.CDB[2:])), uint32(binary.BigEndian.Uint16(c.CDB[7:]))
	}
	return lba, blocks
}

// inRange says whether blocks from lba lie on the medium, without overflow. No
// blocks at the very end are in range; no blocks behind it are not.
func (d *Device) inRange(lba, blocks uint64) bool {
	return lba <= d.blocks && blocks <= d.blocks-lba
}

// reaches says whether extent will take the range of c.
func (d *Device) reaches(c *sam.Command) bool {
	lba, blocks := decode(c)
	return d.inRange(lba, uint64(blocks)) && blocks <= d.maxBlocks
}

// extent decodes the range of a medium command and checks it against the medium
// and the longest transfer. It ends c and is false when the range is refused.
func (d *Device) extent(c *sam.Command) (e sam.Extent, ok bool) {
	lba, blocks := decode(c)
	if !d.inRange(lba, uint64(blocks)) {
		// SBC-3 §4.18: an address behind the end is refused before data moves.
		c.Fail(illegal(codeRange).At(fieldsOf(c.CDB[0]).lbaAt, -1))
		return e, false
	}
	if blocks > d.maxBlocks {
		// SBC-3 §6.6.3: over MAXIMUM TRANSFER LENGTH is an invalid field.
		failField(c, fieldsOf(c.CDB[0]).lengthAt, -1)
		return e, false
	}
	return sam.Extent{Offset: int64(lba << d.blockShift), Bytes: int64(blocks) << d.blockShift}, true
}

// fua reads FUA; the 6-byte CDBs have none, their byte 1 is address.
func fua(c *sam.Command) bool { return c.CDB[0] >= 0x20 && c.CDB[1]&fuaMask != 0 }

// beginRead serves READ(6), (10), (12) and (16) (SBC-3 §5.11 to §5.13, and SBC-2
// for the 6-byte form). DPO is a hint about a cache and changes nothing here.
// Extent.FUA asks that the blocks be on the medium, not only in a volatile cache,
// before they are read.
func (d *Device) beginRead(c *sam.Command) {
	e, ok := d.extent(c)
	if !ok {
		return
	}
	if e.Bytes == 0 {
		// SBC-3 §5.11: no blocks to transfer is no error.
		c.Succeed()
		return
	}
	e.FUA = fua(c)
	c.Action, c.Status, c.Extent = sam.ReadMedium, sam.Good, e
	c.DataInBytes, c.DataOutBytes = e.Bytes, 0
}

// beginWrite serves WRITE(6), (10), (12) and (16) (SBC-3 §5.33 to §5.35, and
// SBC-2 for the 6-byte form).
func (d *Device) beginWrite(c *sam.Command) {
	e, ok := d.extent(c)
	if !ok {
		return
	}
	if e.Bytes == 0 {
		c.Succeed()
		return
	}
	e.FUA = fua(c)
	c.Action, c.Status, c.Extent = sam.WriteMedium, sam.Good, e
	c.DataInBytes, c.DataOutBytes = 0, e.Bytes
}

// beginOrWrite serves ORWRITE(16) (SBC-3, ORWRITE): what is written is what stands there, OR
// what is sent. That nothing comes in between is up to the unit (MediumAtomic).
func (d *Device) beginOrWrite(c *sam.Command) {
	d.beginWrite(c)
	c.Extent.Or = c.Action == sam.WriteMedium
}
