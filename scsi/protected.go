package scsi

import (
	"encoding/binary"

	"lunar/scsi/pi"
	"lunar/scsi/sam"
)

// MaxListBytes is the most data of a command that is executed: both halves of the longest
// COMPARE AND WRITE. A transport holds it at once.
const MaxListBytes = 2 << 20

// act is what a command does that may ask for protection information.
type act uint8

// Acts. The zero value is a command that has no field to ask for it.
const (
	actRead act = iota + 1
	actWrite
	actWriteVerify
	actVerify
	actSame
	actAtomic
	actCompare
	actOr
)

const (
	// protectMask is RDPROTECT, WRPROTECT, VRPROTECT or ORPROTECT in byte 1, of a 32-byte
	// CDB in byte 10.
	protectMask, protectShift = 0xe0, 5
	// maxProtect is the highest code of these that is not reserved (SBC-4 tables 79, 133).
	maxProtect = 5
)

// optionsAt is the byte of a CDB that has the field of protection, DPO, FUA, BYTCHK, UNMAP
// and NDOB.
func optionsAt(opcode byte) int {
	if opcode == opVariable {
		return longOptionsAt
	}
	return 1
}

// asksProtection says of a command that has an act whether protection information comes with
// its data, or, in a 32-byte CDB, what it is expected to say.
func asksProtection(c *sam.Command) bool {
	return c.CDB[0] == opVariable || c.CDB[1]&protectMask != 0
}

// withoutProtection is a usage in which no protection information may be asked for.
func withoutProtection(o *Opcode, usage []byte) []byte {
	if o.act != 0 {
		usage[optionsAt(o.Code)] &^= protectMask
	}
	return usage
}

// usageOf is the CDB usage of a row as the unit is formatted now: with type 0 no command may
// ask for protection information, with type 2 only those of 32 bytes (SBC-4 §4.21.2).
func (d *Device) usageOf(o *Opcode) []byte {
	u := o.usage(&d.info)
	if o.Code != opVariable && (d.protection == pi.Type0 || d.protection == pi.Type2) {
		return withoutProtection(o, u)
	}
	return u
}

// protected is a command that asks for protection information, decoded.
type protected struct {
	act act
	// code is RDPROTECT or the like; bytchk is BYTCHK.
	code, bytchk     byte
	fua, unmap, ndob bool
	// anchor: what is unmapped keeps its store.
	anchor bool
	// owned is ATO.
	owned bool
	// offset and bytes are the range, of user data; lba is its first block.
	offset, bytes int64
	lba           uint64
	// block is the length of a block, wire that of one with what comes with it.
	block, wire int64
	// expect is what the tuples of the range have to say, as far as code has it checked.
	expect pi.Expect
}

// blocks is how many blocks the range has.
func (p *protected) blocks() int64 { return p.bytes / p.block }

// changes says whether the command changes blocks.
func (p *protected) changes() bool { return p.act != actRead && p.act != actVerify }

// decodeProtected decodes a command that asks for protection information. It ends c and is
// false when the command is refused.
func (d *Device) decodeProtected(c *sam.Command, row *Opcode) (p protected, ok bool) {
	at := optionsAt(c.CDB[0])
	options := c.CDB[at]
	p = protected{
		act: row.act, code: options & protectMask >> protectShift, bytchk: options >> 1 & 3,
		unmap: row.act == actSame && options&unmapMask != 0, ndob: row.act == actSame && options&ndobMask != 0 && row.Usage[at]&ndobMask != 0,
		fua: options&fuaMask != 0 || d.mode.Through, owned: d.mode.Owned, block: int64(d.info.BlockBytes),
	}
	if !d.allowsProtection(c, &p, at) {
		return p, false
	}
	if p.anchor = row.act == actSame && options&anchorSameMask != 0; p.anchor && !p.unmap {
		failField(c, at, 4) // SBC-3 §5.43: ANCHOR is for what UNMAP unmaps
		return p, false
	}
	e, ok := d.protectedExtent(c, row.act)
	if !ok {
		return p, false
	}
	p.offset, p.bytes, p.lba, p.wire = e.Offset, e.Bytes, uint64(e.Offset)>>d.blockShift, p.block
	if p.code != 0 {
		p.wire += pi.Bytes
	}
	p.expect = d.expected(c, &p)
	return p, true
}

// allowsProtection ends c, and is false, when the unit is formatted so that it may not ask
// as it does (SBC-4 §4.21.2).
func (d *Device) allowsProtection(c *sam.Command, p *protected, at int) bool {
	long := c.CDB[0] == opVariable
	switch {
	case long && d.protection != pi.Type2, !long && d.protection == pi.Type2:
		failOpcode(c, false)
	case long && c.CDB[longAdditionalAt] != longAdditional:
		failField(c, longAdditionalAt, -1)
	case d.protection == pi.Type0, p.code > maxProtect:
		failField(c, at, 7)
	case p.act == actVerify && p.bytchk == 2, p.act == actWriteVerify && p.bytchk > bytchkAll:
		failField(c, at, 2) // reserved
	default:
		return true
	}
	return false
}

// protectedExtent decodes the range, as it is decoded without protection information.
func (d *Device) protectedExtent(c *sam.Command, a act) (e sam.Extent, ok bool) {
	switch a {
	case actSame:
		return d.sameExtent(c)
	case actAtomic:
		return d.atomicExtent(c)
	case actCompare:
		return d.compareExtent(c)
	default:
		return d.extent(c)
	}
}

// expected is what the tuples have to say: what code has checked (SBC-4 tables 79 and 133),
// as far as it is known. Application tags are known of 32-byte CDBs alone, with ATO set;
// reference tags by the LBA with type 1, by the CDB with type 2, and not with type 3.
func (d *Device) expected(c *sam.Command, p *protected) pi.Expect {
	e := pi.Expect{Type: d.protection, Reference: uint32(p.lba)}
	known := pi.Guard
	switch d.protection {
	case pi.Type1:
		known |= pi.Reference
	case pi.Type2:
		known |= pi.Reference
		e.Reference = binary.BigEndian.Uint32(c.CDB[longReferenceAt:])
		if d.mode.Owned {
			known |= pi.Application
			e.Tag, e.Mask = binary.BigEndian.Uint16(c.CDB[longTagAt:]), binary.BigEndian.Uint16(c.CDB[longMaskAt:])
		}
	case pi.Type0, pi.Type3:
	}
	switch p.code {
	case 2:
		e.Checks = known & (pi.Application | pi.Reference)
	case 3:
	case 4:
		e.Checks = known & pi.Guard
	default: // 0, 1 and 5
		e.Checks = known
	}
	return e
}

// beginLong is in the rows of the 32-byte CDBs: they all ask for protection information.
func (d *Device) beginLong(c *sam.Command) { failOpcode(c, false) }

// beginProtected begins a command that asks for protection information. It is executed with
// all its data in one buffer; no range is longer than that holds (maxBlocks).
func (d *Device) beginProtected(c *sam.Command, row *Opcode) {
	p, ok := d.decodeProtected(c, row)
	switch {
	case !ok:
		return
	case p.bytes == 0 && p.act == actCompare && c.ExpectedOutBytes > 0:
		failField(c, compareBlocksAt, -1) // as without protection information
		return
	case p.bytes == 0:
		c.Succeed()
		return
	}
	out, in := p.lengths()
	ask(c, out, in)
	whole := p.act == actSame || p.act == actAtomic || p.act == actCompare
	if whole && out > 0 && c.ExpectedOutBytes > 0 && c.ExpectedOutBytes != out {
		FailExpected(c)
	}
}

// lengths are those of the data of a command, in bytes.
func (p *protected) lengths() (out, in int64) {
	n := p.blocks() * p.wire
	switch p.act {
	case actRead:
		return 0, n
	case actVerify:
		switch p.bytchk {
		case bytchkAll:
			return n, 0
		case bytchkBlock:
			return p.wire, 0
		}
		return 0, 0
	case actSame:
		if p.ndob {
			return 0, 0
		}
		return p.wire, 0
	case actCompare:
		return 2 * n, 0
	default:
		return n, 0
	}
}
