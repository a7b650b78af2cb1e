package scsi

import (
	"encoding/binary"

	"lunar/scsi/sam"
)

// Parameter list of EXTENDED COPY(LID1) (SPC-4 §6.5).
const (
	copyHeaderBytes = 16
	// copyUsageAt holds STR, LIST ID USAGE and PRIORITY.
	copyUsageAt     = 1
	copyCSCDsAt     = 2
	copySegmentsAt  = 8
	copyInlineAt    = 12
	copyUsageShift  = 3
	copyUsageMask   = 0x03
	usageReserved   = 1
	usageNoListID   = 3
	cscdBytes       = 32
	cscdIdentifies  = 0xe4 // Identification Descriptor CSCD descriptor
	cscdTypeMask    = 0x1f // PERIPHERAL DEVICE TYPE
	cscdDesignator  = 4
	cscdLengthAt    = 7
	cscdBlockAt     = 28 // PAD and DISK BLOCK LENGTH
	blockLengthMask = 1<<24 - 1
	designatorBytes = 20
	naaBytes        = 16

	segmentHeaderBytes = 4
	// segmentBlocks copies from block device to block device; segmentOffsets does so with
	// byte offsets.
	segmentBlocks, segmentBlocksBytes   = 0x02, 28
	segmentOffsets, segmentOffsetsBytes = 0x0a, 32
)

// Limits of a parameter list, as RECEIVE COPY OPERATING PARAMETERS reports them.
const (
	maxCSCDs    = 16
	maxSegments = 64
	// maxCopyList is the MAXIMUM DESCRIPTOR LIST LENGTH. More than either maximum fits, so
	// that who sends too many descriptors is told that.
	maxCopyList = 4096
	// maxSegmentBytes is the MAXIMUM SEGMENT LENGTH: all that 65,535 blocks of 4096 bytes
	// are.
	maxSegmentBytes = 256 << 20
)

// copyList is a parameter list of EXTENDED COPY.
type copyList struct {
	id    uint8
	usage uint8
	// cscds and segments are the two descriptor lists.
	cscds, segments []byte
}

// copyListOf divides a parameter list, of which at least the header is there.
func copyListOf(b []byte) (l copyList, ok bool) {
	l = copyList{id: b[0], usage: b[copyUsageAt] >> copyUsageShift & copyUsageMask}
	cscds, segments := int64(binary.BigEndian.Uint16(b[copyCSCDsAt:])), int64(binary.BigEndian.Uint32(b[copySegmentsAt:]))
	if cscds+segments > min(maxCopyList, int64(len(b)-copyHeaderBytes)) {
		return l, false
	}
	b = b[copyHeaderBytes:]
	l.cscds, l.segments = b[:cscds], b[cscds:cscds+segments]
	return l, true
}

// decodeCopyList makes every check of a parameter list that needs no other unit, before
// the first byte is copied. It ends c and is false when the list is wrong.
func decodeCopyList(c *sam.Command) (l copyList, ok bool) {
	b := c.Buffer[:min(c.Received, int(binary.BigEndian.Uint32(c.CDB[copyLengthAt:])))]
	if len(b) < copyHeaderBytes {
		c.Fail(illegal(codeParameterLength).At(copyLengthAt, -1))
		return l, false
	}
	l, ok = copyListOf(b)
	switch {
	case binary.BigEndian.Uint32(b[copyInlineAt:]) != 0:
		// SPC-4 §6.22: MAXIMUM INLINE DATA LENGTH is 0.
		c.Fail(illegal(codeInlineData).AtParameter(copyInlineAt))
	case !ok:
		c.Fail(illegal(codeParameterLength).AtParameter(copyCSCDsAt))
	case l.usage == usageReserved:
		c.Fail(illegal(codeInvalidParameter).AtParameter(copyUsageAt))
	case l.usage == usageNoListID && l.id != 0:
		// SPC-4 §6.4.3.2: who wants no list identifier names none.
		c.Fail(illegal(codeInvalidParameter).AtParameter(0))
	default:
		return l, l.checkCSCDs(c) && l.checkSegments(c)
	}
	return l, false
}

// checkCSCDs looks at the descriptors of copy sources and destinations (SPC-4 §6.4.5).
func (l *copyList) checkCSCDs(c *sam.Command) bool {
	if len(l.cscds)%cscdBytes != 0 {
		c.Fail(illegal(codeParameterLength).AtParameter(copyCSCDsAt))
		return false
	}
	if len(l.cscds) > maxCSCDs*cscdBytes {
		c.Fail(illegal(codeManyTargets).AtParameter(copyCSCDsAt))
		return false
	}
	for at := 0; at < len(l.cscds); at += cscdBytes {
		switch {
		case l.cscds[at] != cscdIdentifies:
			c.Fail(illegal(codeTargetType).AtParameter(copyHeaderBytes + at))
			return false
		case l.cscds[at+cscdLengthAt] > designatorBytes:
			c.Fail(illegal(codeInvalidParameter).AtParameter(copyHeaderBytes + at + cscdLengthAt))
			return false
		}
	}
	return true
}

// checkSegments looks at the kinds, lengths and number of the segment descriptors
// (SPC-4 §6.4.6).
func (l *copyList) checkSegments(c *sam.Command) bool {
	start := copyHeaderBytes + len(l.cscds)
	count := 0
	for rest := l.segments; len(rest) > 0; count++ {
		at := start + len(l.segments) - len(rest)
		n := segmentLength(rest[0])
		switch {
		case n == 0:
			c.Fail(illegal(codeSegmentType).AtParameter(at))
			return false
		case len(rest) < n:
			c.Fail(illegal(codeParameterLength).AtParameter(copySegmentsAt))
			return false
		case int(binary.BigEndian.Uint16(rest[2:]))+segmentHeaderBytes != n:
			c.Fail(illegal(codeInvalidParameter).AtParameter(at + 2))
			return false
		case rest[0] == segmentOffsets && binary.BigEndian.Uint32(rest[8:]) > maxSegmentBytes:
			c.Fail(illegal(codeInvalidParameter).AtParameter(at + 8))
			return false
		}
		rest = rest[n:]
	}
	if count > maxSegments {
		c.Fail(illegal(codeManySegments).AtParameter(copySegmentsAt))
		return false
	}
	return true
}

// segmentLength is how long a segment descriptor of a kind is, 0 for one that is not
// supported.
func segmentLength(kind byte) int {
	switch kind {
	case segmentBlocks:
		return segmentBlocksBytes
	case segmentOffsets:
		return segmentOffsetsBytes
	}
	return 0
}
