package scsi

import (
	"encoding/binary"

	"lunar/lun/blk"
	"lunar/scsi/sam"
)

// GET LBA STATUS parameter data (SBC-3 §5.4.2).
const (
	statusHeaderBytes     = 8
	statusDescriptorBytes = 16

	provisioningMapped      = 0
	provisioningDeallocated = 1
	provisioningAnchored    = 2

	// maxLookups bounds how often one command asks the medium, and with it the
	// descriptors of its answer. SBC-3 §5.4.1 lets an answer end early; the
	// initiator asks again from there.
	maxLookups = 16
	// maxMapBytes bounds how far one look-up looks. All look-ups of a command
	// together stay below 2^32 blocks, which is what one descriptor can say.
	maxMapBytes = 64 << 30

	maxStatusBytes = statusHeaderBytes + maxLookups*statusDescriptorBytes
)

// statusRoom is how much of the answer the initiator takes, in bytes.
func statusRoom(c *sam.Command) int64 {
	return min(int64(binary.BigEndian.Uint32(c.CDB[10:])), maxStatusBytes)
}

// beginLBAStatus serves GET LBA STATUS (SBC-3 §5.4).
func (d *Device) beginLBAStatus(c *sam.Command) {
	lba := binary.BigEndian.Uint64(c.CDB[2:])
	switch {
	case lba >= d.blocks:
		// SBC-3 §5.4.1: a starting LBA behind the last one is out of range.
		c.Fail(illegal(codeRange).At(2, -1))
	case statusRoom(c) == 0:
		// SPC-4 §4.3.5.6: no room for the answer is no error.
		c.Succeed()
	default:
		ask(c, 0, statusRoom(c))
	}
}

// lbaStatus describes the medium from the starting LBA on; Extent writes the
// answer, one look-up after the other.
func (d *Device) lbaStatus(c *sam.Command) Program {
	lba := binary.BigEndian.Uint64(c.CDB[2:])
	// No byte of the buffer is an answer before a look-up has written it.
	c.DataInBytes = 0
	return Program{Kind: Extents, Offset: int64(lba << d.blockShift), Bytes: int64((d.blocks - lba) << d.blockShift)}
}

// nextLookup asks for what lies behind everything described so far.
func (p *Program) nextLookup(c *sam.Command) (Step, bool) {
	// SBC-3 §5.4.2: at least one descriptor, even when it will be cut.
	fit := max((statusRoom(c)-statusHeaderBytes)/statusDescriptorBytes, 1)
	if p.Bytes == 0 || p.index == maxLookups || int64(p.runs) == fit {
		return Step{}, false
	}
	p.index++
	return Step{Op: blk.Map, Offset: p.Offset, Length: min(p.Bytes, maxMapBytes)}, true
}

// Extent hands the result of a Map step to an Extents program: bytes of the
// medium, from where the step began, are all holes, or all anchored, or all mapped.
func (d *Device) Extent(c *sam.Command, p *Program, bytes int64, hole, anchored bool) {
	bytes = min(bytes, p.Bytes)
	// SBC-3 §4.7.2: every block of a unit that is not thin is mapped, whatever its
	// medium saves.
	state := byte(provisioningMapped)
	switch {
	case !d.info.Thin:
	case hole:
		state = provisioningDeallocated
	case anchored:
		state = provisioningAnchored
	}
	if p.runs == 0 || p.run.state != state {
		p.runs++
		p.run = run{offset: p.Offset, state: state}
	}
	p.run.bytes += bytes
	p.Offset += bytes
	p.Bytes -= bytes
	d.writeExtent(c, p)
}

// writeExtent writes the header and the last descriptor, cut to the allocation
// length (SBC-3 §5.4.2).
func (d *Device) writeExtent(c *sam.Command, p *Program) {
	room := c.Buffer[:min(int64(len(c.Buffer)), statusRoom(c))]
	var header [statusHeaderBytes]byte
	// PARAMETER DATA LENGTH counts the bytes behind itself.
	end := statusHeaderBytes + p.runs*statusDescriptorBytes
	binary.BigEndian.PutUint32(header[:], uint32(end-4))
	copy(room, header[:])

	var b [statusDescriptorBytes]byte
	binary.BigEndian.PutUint64(b[0:], uint64(p.run.offset)>>d.blockShift)
	binary.BigEndian.PutUint32(b[8:], uint32(p.run.bytes>>d.blockShift))
	b[12] = p.run.state
	if at := end - statusDescriptorBytes; at < len(room) {
		copy(room[at:], b[:])
	}
	c.DataInBytes = int64(min(end, len(room)))
}
