package scsi

import (
	"cmp"
	"encoding/binary"
	"slices"

	"lunar/scsi/sam"
)

// Service actions of commands with ROD tokens (SBC-4 §5.12, §5.59).
const (
	populateToken   = 0x10
	writeUsingToken = 0x11
)

const (
	// tokenIDAt is where the CDB of both has its LIST IDENTIFIER.
	tokenIDAt = 6
	// tokenFlagsAt holds RTV, or DEL_TKN, and IMMED.
	tokenFlagsAt = 2
	rtvMask      = 0x02
	delTknMask   = 0x02
	tokenImmed   = 0x01

	inactivityAt     = 4
	rodTypeAt        = 8
	populateRangesAt = 14 // BLOCK DEVICE RANGE DESCRIPTOR LENGTH, before the descriptors
	populateHeader   = 16
	rangeBytes       = 16
)

// beginPopulateToken serves POPULATE TOKEN (SBC-4 §5.12).
func (d *Device) beginPopulateToken(c *sam.Command) { askTokenList(c, populateHeader) }

// askTokenList asks for a parameter list that has at least a header. What stands behind the
// longest list of descriptors that is taken is not asked for.
func askTokenList(c *sam.Command, header int) {
	length := int64(binary.BigEndian.Uint32(c.CDB[copyLengthAt:]))
	switch {
	case length == 0:
		c.Succeed() // SBC-4 §5.12.1, §5.59.1: no list is no error
	case length < int64(header):
		c.Fail(illegal(codeParameterLength).At(copyLengthAt, -1))
	case length > int64(header)+maxRangeList:
		c.Fail(illegal(codeParameterLength).At(copyLengthAt, -1))
	default:
		ask(c, length, 0)
	}
}

// maxRangeList is the longest list of descriptors. More than are taken fit, so that who sends
// too many is told that.
const maxRangeList = 4096

// tokenList is the parameter list of c, nil when less than a header came.
func tokenList(c *sam.Command, header int) []byte {
	b := c.Buffer[:min(int64(c.Received), c.DataOutBytes)]
	if len(b) < header {
		c.Fail(illegal(codeParameterLength).At(copyLengthAt, -1))
		return nil
	}
	return b
}

// populateToken makes a ROD token (SBC-4 §5.12.2). Nothing else runs (MediumHold). What it is
// to stand for is where it is, so that all is done when the command ends, with IMMED or
// without.
func (d *Device) populateToken(c *sam.Command) Program {
	b := tokenList(c, populateHeader)
	if b == nil {
		return Program{}
	}
	timeout := binary.BigEndian.Uint32(b[inactivityAt:])
	switch {
	case int(binary.BigEndian.Uint16(b))+2 < populateHeader+rangeBytes:
		c.Fail(illegal(codeInvalidParameter).AtParameter(0))
		return Program{}
	case timeout > maxInactivity:
		c.Fail(illegal(codeInvalidParameter).AtParameter(inactivityAt))
		return Program{}
	case b[tokenFlagsAt]&rtvMask != 0 && binary.BigEndian.Uint32(b[rodTypeAt:]) != rodVulnerable:
		c.Fail(illegal(codeInvalidParameter).AtParameter(rodTypeAt))
		return Program{}
	case timeout == 0:
		timeout = defaultInactivity
	}
	ranges, blocks, ok := d.decodeRanges(c, b, populateRangesAt)
	if !ok {
		return Program{}
	}
	number, ok := d.record(c, binary.BigEndian.Uint32(c.CDB[tokenIDAt:]))
	if !ok {
		return Program{}
	}
	r := d.recordOf(c.Nexus, number)
	if r == nil {
		return Program{} // nobody could ask
	}
	r.status, r.bytes, r.block = copyDone, blocks<<d.blockShift, d.info.BlockBytes
	if len(ranges) > 0 {
		// SBC-4 §4.28.1: no blocks, no token.
		image := d.makeToken(c, ranges, timeout).image
		r.token = &image
	}
	return Program{}
}

// decodeRanges reads the block device range descriptors of a list whose length stands at byte
// at, just before them (SBC-4 §5.12.3). Those of no blocks are left out; blocks is how many
// there are in all. It ends c and is false when they are wrong.
func (d *Device) decodeRanges(c *sam.Command, b []byte, at int) (ranges []Range, blocks uint64, ok bool) {
	length := int(binary.BigEndian.Uint16(b[at:]))
	// SBC-4 §5.12.2: descriptors that are cut off are ignored.
	count := min(length, len(b)-at-2) / rangeBytes
	switch {
	case length < rangeBytes:
		c.Fail(illegal(codeInvalidParameter).AtParameter(at))
		return nil, 0, false
	case count == 0:
		c.Fail(illegal(codeParameterLength).At(copyLengthAt, -1))
		return nil, 0, false
	case count > maxRanges:
		c.Fail(illegal(codeManySegments).AtParameter(at))
		return nil, 0, false
	}
	for i := range count {
		field := at + 2 + i*rangeBytes
		r := Range{binary.BigEndian.Uint64(b[field:]), binary.BigEndian.Uint32(b[field+8:])}
		if r.LBA > d.blocks || uint64(r.Blocks) > d.blocks-r.LBA {
			c.Fail(illegal(codeRange).AtParameter(field))
			return nil, 0, false
		}
		if blocks += uint64(r.Blocks); blocks > maxTokenBytes>>d.blockShift {
			c.Fail(illegal(codeInvalidParameter).AtParameter(field + 8))
			return nil, 0, false
		}
		if r.Blocks > 0 {
			ranges = append(ranges, r)
		}
	}
	if overlap(ranges) {
		c.Fail(illegal(codeInvalidParameter).AtParameter(at + 2))
		return nil, 0, false
	}
	return ranges, blocks, true
}

// overlap says whether two ranges have a block in common.
func overlap(ranges []Range) bool {
	sorted := slices.SortedFunc(slices.Values(ranges), func(a, b Range) int { return cmp.Compare(a.LBA, b.LBA) })
	for i := 1; i < len(sorted); i++ {
		if sorted[i-1].LBA+uint64(sorted[i-1].Blocks) > sorted[i].LBA {
			return true
		}
	}
	return false
}
