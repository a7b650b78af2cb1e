package scsi

import (
	"encoding/binary"
	"math"

	"lunar/scsi/sam"
)

// copyLengthAt is where EXTENDED COPY has its PARAMETER LIST LENGTH, and RECEIVE COPY
// RESULTS its ALLOCATION LENGTH.
const copyLengthAt = 10

// Service actions of third-party copies (SPC-4 §6.3, §6.4, §6.5).
const (
	extendedCopyLID1   = 0x00
	extendedCopyLID4   = 0x01
	copyOperationAbort = 0x1c
)

// beginExtendedCopy serves EXTENDED COPY(LID1) and (LID4) (SPC-4 §6.4, §6.5).
func (d *Device) beginExtendedCopy(c *sam.Command) {
	length := binary.BigEndian.Uint32(c.CDB[copyLengthAt:])
	switch {
	case length == 0:
		c.Succeed() // SPC-4 §6.4.1: no list is no error
	case int64(length) < int64(layoutOf(c).header), int64(length) > int64(layoutOf(c).header+maxCopyList):
		c.Fail(illegal(codeParameterLength).At(copyLengthAt, -1))
	default:
		ask(c, int64(length), 0)
	}
}

// extendedCopy checks the whole list and begins to keep what RECEIVE COPY RESULTS tells of
// the copy. What its segments name is looked up when their turn comes.
func (d *Device) extendedCopy(c *sam.Command) Program {
	l, ok := decodeCopyList(c)
	if !ok {
		return Program{}
	}
	if d.copying == maxCopies {
		c.Defer()
		return Program{}
	}
	p := Program{Kind: Copy, Offset: int64(l.header + len(l.cscds)), Bytes: int64(len(l.segments))}
	if l.usage != usageNoListID {
		if p.record, ok = d.record(c, l.id); !ok {
			return Program{}
		}
	}
	d.copying++
	return p
}

// Segment is one part of a third-party copy, from unit to unit.
type Segment struct {
	// Source and Destination are places in sam.Path.LUNs.
	Source, Destination int
	// SourceLBA and DestinationLBA are in blocks of the one and of the other unit; what
	// stands behind them does not run over.
	SourceLBA, DestinationLBA uint64
	// Bytes is a whole number of blocks of both, perhaps none.
	Bytes int64
	// Zero says that zeros are written; there is no source.
	Zero bool
}

// Bytes of a segment descriptor (SPC-4 §6.4.6.4, §6.4.6.12).
const (
	segmentFlagsAt       = 1
	destinationCountMask = 0x02 // DC: the blocks counted are those of the destination
	segmentSourceAt      = 4
	segmentDestinationAt = 6
	segmentCountAt       = 8 // of bytes with offsets, else two bytes later of blocks
	segmentSourceLBAAt   = 12
	segmentTargetLBAAt   = 20
	segmentOffsetAt      = 28

	// ownUnit is the CSCD descriptor ID of the unit that got the command (SPC-4 §6.4.6.1).
	ownUnit = 0xffff
)

// NextSegment takes the next segment from p, whose parts before have all ended. It is false
// when there is none, or when it ended c because of what the segment says: then what was
// copied before stays copied (SPC-4 §5.17.7.4).
func (d *Device) NextSegment(c *sam.Command, p *Program) (s Segment, ok bool) {
	if t := d.transferOf(p); t != nil {
		return t.nextSegment(c)
	}
	if p.index > 0 && p.Bytes > 0 {
		n := int64(segmentLength(c.Buffer[p.Offset]))
		p.Offset += n
		p.Bytes -= n
	}
	if p.Bytes == 0 {
		return s, false
	}
	p.index++
	if r := d.recordOf(c.Nexus, p.record); r != nil {
		r.segments = uint16(p.index)
	}
	if s.Source, ok = d.findCSCD(c, p, false); !ok {
		return s, false
	}
	if s.Destination, ok = d.findCSCD(c, p, true); !ok {
		return s, false
	}
	return s, s.measure(c, p.descriptor(c), p.segment())
}

// segment is the number of the segment that NextSegment took last, descriptor what stands
// of it and behind it.
func (p *Program) segment() uint16 { return uint16(p.index - 1) }

func (p *Program) descriptor(c *sam.Command) []byte { return c.Buffer[p.Offset : p.Offset+p.Bytes] }

// cscdID is which of its two CSCD descriptor IDs a segment has, and where.
func (p *Program) cscdID(c *sam.Command, destination bool) (id uint16, at int) {
	at = segmentSourceAt
	if destination {
		at = segmentDestinationAt
	}
	return binary.BigEndian.Uint16(p.descriptor(c)[at:]), at
}

// measure decodes how much a segment copies, and from where to where. It ends c and is
// false when that cannot be.
func (s *Segment) measure(c *sam.Command, b []byte, number uint16) bool {
	source, destination := int64(c.Path.Units[s.Source].BlockBytes), int64(c.Path.Units[s.Destination].BlockBytes)
	var from, to int64 // byte offsets
	switch block := source; b[0] {
	case segmentOffsets:
		s.Bytes = int64(binary.BigEndian.Uint32(b[segmentCountAt:]))
		from, to = int64(binary.BigEndian.Uint16(b[segmentOffsetAt:])), int64(binary.BigEndian.Uint16(b[segmentOffsetAt+2:]))
	default:
		if b[segmentFlagsAt]&destinationCountMask != 0 {
			block = destination
		}
		s.Bytes = int64(binary.BigEndian.Uint16(b[segmentCountAt+2:])) * block
	}
	switch {
	case from%source != 0 || to%destination != 0:
		// SPC-4 §6.22: DATA SEGMENT GRANULARITY is a block. Less would have to be read,
		// changed and written back, while others write there too.
		c.Fail(copyAborted(codeGranularity).AtSegment(number, segmentOffsetAt))
		return false
	case s.Bytes%source != 0 || s.Bytes%destination != 0:
		// DEVIATION [D-40]: what is left of a block is neither padded nor carried over.
		c.Fail(copyAborted(codeInexactSegment).AtSegment(number, segmentCountAt))
		return false
	}
	s.SourceLBA, s.DestinationLBA = binary.BigEndian.Uint64(b[segmentSourceLBAAt:]), binary.BigEndian.Uint64(b[segmentTargetLBAAt:])
	return advanceLBA(c, &s.SourceLBA, from/source, s.Bytes/source, number, segmentSourceLBAAt) &&
		advanceLBA(c, &s.DestinationLBA, to/destination, s.Bytes/destination, number, segmentTargetLBAAt)
}

// advanceLBA adds blocks to an address behind which other ones follow. It ends c and is false
// when there are no such addresses.
func advanceLBA(c *sam.Command, lba *uint64, blocks, follow int64, number uint16, at int) bool {
	if *lba > math.MaxUint64-uint64(blocks+follow) {
		c.Fail(copyAborted(codeNone).AtSegment(number, at))
		return false
	}
	*lba += uint64(blocks)
	return true
}

// findCSCD finds what the segment of p names as its source or destination among the units
// that the initiator sees; nobody reaches others by a copy. It ends c and is false when there
// is none.
func (d *Device) findCSCD(c *sam.Command, p *Program, destination bool) (place int, ok bool) {
	id, at := p.cscdID(c, destination)
	l, _ := copyListOf(c)
	n := int(id) - l.first
	switch {
	case id == ownUnit:
		if place, ok = ownPlace(c); ok {
			return place, true
		}
	case c.Path != nil && n >= 0 && n < len(l.cscds)/cscdBytes:
		place, code := findUnit(c.Path, l.cscds[n*cscdBytes:][:cscdBytes])
		if code == codeNone {
			return place, true
		}
		c.Fail(p.atCSCD(c, copyAborted(code), destination))
		return 0, false
	}
	// SPC-4 §6.4.6.1: the ID names nothing that could be reached.
	c.Fail(copyAborted(codeUnreachable).AtSegment(p.segment(), at))
	return 0, false
}

// atCSCD returns s with a pointer to the CSCD descriptor of a segment, or to the ID in it
// for which there is none (SPC-4 §5.17.7.4).
func (p *Program) atCSCD(c *sam.Command, s sam.Sense, destination bool) sam.Sense {
	id, at := p.cscdID(c, destination)
	if id == ownUnit {
		return s.AtSegment(p.segment(), at)
	}
	return s.AtCSCD(p.segment(), cscdsAt+int(id)*cscdBytes)
}

func sameNumber(a, b sam.LUN) bool {
	n, known := a.Number()
	m, ok := b.Number()
	return known && ok && n == m
}

// findUnit finds the unit that an Identification Descriptor CSCD descriptor names: by the
// NAA designator of page 83h, the only one of those it reports which fits (SPC-4 §6.4.5.6).
// The code says what is wrong.
func findUnit(p *sam.Path, b []byte) (place int, code uint16) {
	const codeSetMask, typeMask = 0x0f, 0x3f
	id := b[cscdDesignator:]
	if b[1]&cscdTypeMask != 0 {
		return 0, codeWrongDevice
	}
	if id[0]&codeSetMask != codeSetBinary || id[1]&typeMask != ofUnit|typeNAA || id[3] != naaBytes {
		return 0, codeNotReachable
	}
	for i := range p.Units {
		u := &p.Units[i]
		if [16]byte(id[4:20]) != u.NAA {
			continue
		}
		// SPC-4 §6.4.5.3: DISK BLOCK LENGTH is the unit's, or 0 for whatever that is. Who
		// counts blocks of another length means other ones.
		if n := binary.BigEndian.Uint32(b[cscdBlockAt:]) & blockLengthMask; n != 0 && n != u.BlockBytes {
			return 0, codeWrongDevice
		}
		return i, codeNone
	}
	return 0, codeNotReachable
}

// copyAborted returns a COPY ABORTED sense.
func copyAborted(code uint16) sam.Sense { return sam.NewSense(sam.CopyAborted, code) }

// FailCopy ends c because a command of the segment before ended with status and s: a READ of
// the source or, with write, a WRITE to the destination (SPC-4 §5.17.7.4). DEVIATION [D-41]:
// what the unit said is not forwarded.
func (d *Device) FailCopy(c *sam.Command, p *Program, write bool, status sam.Status, s sam.Sense) {
	if d.transferOf(p) != nil {
		c.Fail(copyAborted(codeThirdParty)) // EndCopy says how far it came
		return
	}
	if status != sam.CheckCondition || s.Key != sam.IllegalRequest {
		c.Fail(p.atCSCD(c, copyAborted(codeThirdParty), write))
		return
	}
	// The device is well; the segment asks for what is not there.
	at := segmentSourceLBAAt
	if write {
		at = segmentTargetLBAAt
	}
	c.Fail(copyAborted(codeNone).AtSegment(p.segment(), at))
}

// LoseCopy ends c because the source or, with write, the destination of the segment before
// is no unit any more.
func (d *Device) LoseCopy(c *sam.Command, p *Program, write bool) {
	if d.transferOf(p) != nil {
		c.Fail(copyAborted(codeNotReachable))
		return
	}
	c.Fail(p.atCSCD(c, copyAborted(codeNotReachable), write))
}

// beginCopyAbort serves COPY OPERATION ABORT (SPC-4 §6.3).
func (d *Device) beginCopyAbort(c *sam.Command) {
	if r := d.copyOf(c); r == nil || r.status != copyRunning {
		failField(c, copyIDAt, -1)
		return
	}
	ask(c, 0, 0)
}

// copyAbort has the unit end a copy.
func (d *Device) copyAbort(c *sam.Command) Program {
	r := d.copyOf(c)
	if r == nil || r.status != copyRunning {
		failField(c, copyIDAt, -1) // it has ended since Begin
		return Program{}
	}
	return Program{Kind: AbortCopy, record: r.number}
}

// Aborts says whether p, an AbortCopy, is for the copy o.
func (p *Program) Aborts(o *Program) bool { return p.record == o.record }

// ClearCopy ends c because COPY OPERATION ABORT ended its copy (SPC-4 §5.17.4.7).
func (d *Device) ClearCopy(c *sam.Command) { c.Fail(copyAborted(codeCleared)) }

// LayOutTransfer makes c a READ(16) or, with write, a WRITE(16) (SBC-3 §5.13, §5.35).
func LayOutTransfer(c *sam.Command, write bool, lba uint64, blocks uint32) {
	const read16, write16, cdbBytes = 0x88, 0x8a, 16
	c.CDB[0], c.CDBBytes = read16, cdbBytes
	if write {
		c.CDB[0] = write16
	}
	binary.BigEndian.PutUint64(c.CDB[2:], lba)
	binary.BigEndian.PutUint32(c.CDB[10:], blocks)
}

// Mapped is the unit as a third-party copy may name it. It does not change.
func (d *Device) Mapped() sam.Mapped {
	return sam.Mapped{NAA: d.identity.NAA, BlockBytes: d.info.BlockBytes}
}
