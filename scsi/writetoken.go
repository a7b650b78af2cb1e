package scsi

import (
	"encoding/binary"
	"slices"

	"lunar/scsi/sam"
)

// Parameter list of WRITE USING TOKEN (SBC-4 §5.59.2).
const (
	rodOffsetAt   = 8
	tokenAt       = 16
	writeRangesAt = 534
	writeHeader   = 536
)

// transfer is a WRITE USING TOKEN under way.
type transfer struct {
	// to are the ranges that are written, blocks of them in all; skip is where in the data
	// of the token they begin, in bytes.
	to     []Range
	blocks uint64
	skip   uint64
	// zero: of the block device zero ROD token. Else number and from are of a token made by
	// the unit at place maker of the path.
	zero   bool
	maker  int
	number uint64
	from   []Range
	// own is the place of the unit itself.
	own int
	// at is how many bytes segments have taken, bytes how many are written with nothing
	// missing before them.
	at, bytes uint64
	deletes   bool
}

// beginWriteUsingToken serves WRITE USING TOKEN (SBC-4 §5.59).
func (d *Device) beginWriteUsingToken(c *sam.Command) { askTokenList(c, writeHeader) }

// writeUsingToken checks the whole list. When another unit made the token, that one is asked
// for it before anything is written (Claims).
func (d *Device) writeUsingToken(c *sam.Command) Program {
	b := tokenList(c, writeHeader)
	if b == nil {
		return Program{}
	}
	t, ok := d.decodeTransfer(c, b)
	if !ok || !t.checkToken(c, b[tokenAt:][:tokenBytes]) {
		return Program{}
	}
	if d.copying == maxCopies {
		c.Defer()
		return Program{}
	}
	number, ok := d.record(c, binary.BigEndian.Uint32(c.CDB[tokenIDAt:]))
	if !ok {
		return Program{}
	}
	d.copying++
	p := Program{Kind: Copy, record: number, immediate: b[tokenFlagsAt]&tokenImmed != 0}
	if r := d.recordOf(c.Nexus, number); r != nil {
		r.block, r.background = d.info.BlockBytes, p.immediate
	}
	i := slices.Index(d.transfers[:], nil)
	d.transfers[i], p.transfer = t, uint8(i+1)
	return p
}

// decodeTransfer reads the list but for the token.
func (d *Device) decodeTransfer(c *sam.Command, b []byte) (t *transfer, ok bool) {
	length, list := int(binary.BigEndian.Uint16(b)), int(binary.BigEndian.Uint16(b[writeRangesAt:]))
	if length < writeHeader-2+rangeBytes || length != list+writeHeader-2 {
		c.Fail(illegal(codeInvalidParameter).AtParameter(0))
		return nil, false
	}
	t = &transfer{deletes: b[tokenFlagsAt]&delTknMask != 0}
	if t.to, t.blocks, ok = d.decodeRanges(c, b, writeRangesAt); !ok {
		return nil, false
	}
	// More than any token stands for is behind its end, whatever the length of blocks.
	offset := binary.BigEndian.Uint64(b[rodOffsetAt:])
	t.skip = min(offset, maxTokenBytes) << d.blockShift
	if t.own, ok = ownPlace(c); !ok {
		c.Fail(copyAborted(codeNotReachable))
		return nil, false
	}
	return t, true
}

// checkToken looks at what a token says of itself (SPC-4 §5.17.6.5.2.3), and finds the unit
// that made it among those that the initiator sees; for it there are no others.
func (t *transfer) checkToken(c *sam.Command, b []byte) bool {
	if binary.BigEndian.Uint16(b[tokenLengthAt:]) != tokenLength {
		c.Fail(illegal(codeTokenLength).AtParameter(tokenAt + tokenLengthAt))
		return false
	}
	switch binary.BigEndian.Uint32(b) {
	case rodZero:
		t.zero = true
		return true
	case rodVulnerable:
	default:
		c.Fail(illegal(codeTokenType).AtParameter(tokenAt))
		return false
	}
	creator := b[tokenCreatorAt:][:cscdBytes]
	if creator[0] != cscdIdentifies || creator[cscdLengthAt] != naaBytes {
		c.Fail(illegal(codeTokenCorrupt).AtParameter(tokenAt + tokenCreatorAt))
		return false
	}
	maker, code := findUnit(c.Path, creator)
	if code != codeNone {
		c.Fail(illegal(codeTokenRemote).AtParameter(tokenAt + tokenCreatorAt))
		return false
	}
	t.maker = maker
	return true
}

// Claims says whether a Copy has to ask for its token first, and then the place in
// sam.Path.LUNs of the unit to be asked; token is what that looks for (Claim).
func (d *Device) Claims(c *sam.Command, p *Program) (maker int, token []byte, asks bool) {
	if t := d.transferOf(p); t != nil && !t.zero {
		return t.maker, c.Buffer[tokenAt:][:tokenBytes], true
	}
	return 0, nil, false
}

// Claimed takes the answer. It ends c and is false when the token cannot be used.
func (d *Device) Claimed(c *sam.Command, p *Program, k Claim) bool {
	t := d.transferOf(p)
	t.number, t.from = k.Number, k.Ranges
	block := uint64(c.Path.Units[t.maker].BlockBytes)
	stands := uint64(0)
	for _, r := range k.Ranges {
		stands += uint64(r.Blocks) * block
	}
	switch {
	case k.Code != codeNone:
		c.Fail(illegal(k.Code).AtParameter(tokenAt))
	case t.skip >= stands:
		t.from = nil
		c.Fail(illegal(codeInvalidParameter).AtParameter(rodOffsetAt))
	default:
		return true
	}
	return false
}

// Immediate says whether a Copy goes on without its command, which ends when the copy starts.
func (p *Program) Immediate() bool { return p.immediate }

// transferOf is what a Copy of WRITE USING TOKEN does, nil for EXTENDED COPY.
func (d *Device) transferOf(p *Program) *transfer {
	if p.transfer == 0 {
		return nil
	}
	return d.transfers[p.transfer-1]
}

// Token is the ROD token that a Copy reads by and the place of its maker, which has to
// vouch for it behind every read (Vouch); false without one. Deletes says that it is to
// be deleted at the end.
func (d *Device) Token(p *Program) (maker int, number uint64, deletes, has bool) {
	t := d.transferOf(p)
	if t == nil || t.zero || t.from == nil {
		return 0, 0, false, false
	}
	return t.maker, t.number, t.deletes, true
}

// nextSegment takes what is consecutive on both sides. It is false when all is written, or
// what the token stands for is at its end.
func (t *transfer) nextSegment(c *sam.Command) (s Segment, ok bool) {
	to := uint64(c.Path.Units[t.own].BlockBytes)
	lba, n, ok := locate(t.to, t.at, to)
	if !ok {
		return s, false
	}
	s = Segment{Source: t.own, Destination: t.own, DestinationLBA: lba, Zero: t.zero, Bytes: int64(n)}
	if !t.zero {
		block := uint64(c.Path.Units[t.maker].BlockBytes)
		at := t.skip + t.at
		from, m, ok := locate(t.from, at, block)
		n = min(n, m)
		// DEVIATION [D-50]: what is no whole block of either unit is not put together.
		n -= n % max(block, to)
		if !ok || n == 0 || at%block != 0 {
			return s, false
		}
		s.Source, s.SourceLBA, s.Bytes = t.maker, from, int64(n)
	}
	t.at += n
	return s, true
}

// locate finds the block that a byte of the data of ranges stands in, and how many bytes
// there are from the byte to the end of the range.
func locate(ranges []Range, at, block uint64) (lba, bytes uint64, ok bool) {
	for _, r := range ranges {
		n := uint64(r.Blocks) * block
		if at < n {
			return r.LBA + at/block, n - at, true
		}
		at -= n
	}
	return 0, 0, false
}

// conclude makes c say how a transfer ended: when less was written than asked for, how much
// (SBC-4 §4.28.2). A token that could not be used before anything was written is said to be
// so; so is that COPY OPERATION ABORT or a function ended the copy.
func (t *transfer) conclude(c *sam.Command, block uint64) {
	count := t.bytes / block
	s := c.Sense
	switch {
	case c.Status == sam.TaskAborted, count == t.blocks,
		c.Status == sam.CheckCondition && (s.Code == codeCleared || count == 0 && t.from == nil && !t.zero),
		c.Status == sam.CheckCondition && count == 0 && s.Code == codeTokenCancelled:
		return
	case count == 0:
		c.Fail(illegal(codeUnderrun).WithInfo(0))
	default:
		c.Fail(copyAborted(codeUnderrun).WithInfo(count))
	}
}

// CancelCopy ends c because the token that its copy reads by does not live any more.
func (d *Device) CancelCopy(c *sam.Command) { c.Fail(illegal(codeTokenCancelled).AtParameter(tokenAt)) }

// ownPlace is the place of the unit that got c in its path.
func ownPlace(c *sam.Command) (place int, ok bool) {
	if c.Path == nil {
		return 0, false
	}
	place = slices.IndexFunc(c.Path.LUNs, func(l sam.LUN) bool { return sameNumber(l, c.LUN) })
	return place, place >= 0
}
