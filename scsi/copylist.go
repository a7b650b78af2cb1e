package scsi

import (
	"encoding/binary"

	"lunar/scsi/sam"
)

// Parameter lists of EXTENDED COPY (SPC-4 §6.4.2, §6.5).
const (
	// cscdsAt is where the CSCD descriptor of ID 0 stands; in a list of LID4, of which the
	// header is longer, it is a part of that.
	cscdsAt = 16
	// copyUsageAt holds STR, LIST ID USAGE and PRIORITY.
	copyUsageAt     = 1
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

// copyLayout is where a parameter list has its fields; first is the ID of its first CSCD
// descriptor.
type copyLayout struct {
	header, first                       int
	idAt, cscdsAt, segmentsAt, inlineAt int
}

var (
	layoutLID1 = copyLayout{header: 16, first: 0, idAt: 0, cscdsAt: 2, segmentsAt: 8, inlineAt: 12}
	layoutLID4 = copyLayout{header: 48, first: 1, idAt: 20, cscdsAt: 42, segmentsAt: 44, inlineAt: 46}
)

func layoutOf(c *sam.Command) *copyLayout {
	if c.CDB[1]&actionMask == extendedCopyLID4 {
		return &layoutLID4
	}
	return &layoutLID1
}

// copyList is a parameter list of EXTENDED COPY.
type copyList struct {
	*copyLayout
	id    uint32
	usage uint8
	// cscds and segments are the two descriptor lists, inline says that there is other data.
	cscds, segments []byte
	inline          bool
}

// copyListOf divides the parameter list of c, of which at least the header is there.
func copyListOf(c *sam.Command) (l copyList, ok bool) {
	b := c.Buffer[:min(c.Received, int(binary.BigEndian.Uint32(c.CDB[copyLengthAt:])))]
	l = copyList{copyLayout: layoutOf(c), usage: b[copyUsageAt] >> copyUsageShift & copyUsageMask}
	cscds, segments := int64(binary.BigEndian.Uint16(b[l.cscdsAt:])), int64(0)
	if l.copyLayout == &layoutLID4 {
		l.id, segments = binary.BigEndian.Uint32(b[l.idAt:]), int64(binary.BigEndian.Uint16(b[l.segmentsAt:]))
		l.inline = binary.BigEndian.Uint16(b[l.inlineAt:]) != 0
	} else {
		l.id, segments = uint32(b[l.idAt]), int64(binary.BigEndian.Uint32(b[l.segmentsAt:]))
		l.inline = binary.BigEndian.Uint32(b[l.inlineAt:]) != 0
	}
	if cscds+segments > min(maxCopyList, int64(len(b)-l.header)) {
		return l, false
	}
	b = b[l.header:]
	l.cscds, l.segments = b[:cscds], b[cscds:cscds+segments]
	return l, true
}

// decodeCopyList makes every check of a parameter list that needs no other unit, before
// the first byte is copied. It ends c and is false when the list is wrong.
func decodeCopyList(c *sam.Command) (l copyList, ok bool) {
	if min(c.Received, int(binary.BigEndian.Uint32(c.CDB[copyLengthAt:]))) < layoutOf(c).header {
		c.Fail(illegal(codeParameterLength).At(copyLengthAt, -1))
		return l, false
	}
	l, ok = copyListOf(c)
	switch {
	case l.copyLayout == &layoutLID4 && !checkHeader(c, l.usage):
	case l.inline:
		// SPC-4 §6.22: MAXIMUM INLINE DATA LENGTH is 0.
		c.Fail(illegal(codeInlineData).AtParameter(l.inlineAt))
	case !ok:
		c.Fail(illegal(codeParameterLength).AtParameter(l.cscdsAt))
	case l.usage == usageReserved:
		c.Fail(illegal(codeInvalidParameter).AtParameter(copyUsageAt))
	case l.usage == usageNoListID && l.id != 0:
		// SPC-4 §6.4.3.2: who wants no list identifier names none.
		c.Fail(illegal(codeInvalidParameter).AtParameter(l.idAt))
	default:
		return l, l.checkCSCDs(c) && l.checkSegments(c)
	}
	return l, false
}

// checkHeader looks at what only the header of LID4 has (SPC-4 §6.4.2). It ends c and is
// false when that is wrong.
func checkHeader(c *sam.Command, usage uint8) bool {
	const (
		format, headerCSCDBytes, headerCSCDType = 0x01, 0x0020, 0xff
		lengthAt, flagsAt, typeAt               = 2, 15, 16
		gSense, immed                           = 0x02, 0x01
	)
	flags := c.Buffer[flagsAt]
	switch {
	case c.Buffer[0] != format:
		c.Fail(illegal(codeInvalidParameter).AtParameter(0))
	case binary.BigEndian.Uint16(c.Buffer[lengthAt:]) != headerCSCDBytes:
		c.Fail(illegal(codeInvalidParameter).AtParameter(lengthAt))
	case c.Buffer[typeAt] != headerCSCDType:
		c.Fail(illegal(codeInvalidParameter).AtParameter(typeAt))
	case flags&immed != 0 && (flags&gSense != 0 || usage == usageNoListID):
		// SPC-4 §6.4.2 calls it a field of the CDB. Otherwise IMMED is not supported, and the
		// copy is made before the command ends (§5.17.4.3).
		c.Fail(illegal(codeInvalidField))
	case flags&gSense != 0:
		// DEVIATION [D-42]: GOOD comes without sense.
		c.Fail(illegal(codeInvalidParameter).AtParameter(flagsAt))
	default:
		return true
	}
	return false
}

// checkCSCDs looks at the descriptors of copy sources and destinations (SPC-4 §6.4.5).
func (l *copyList) checkCSCDs(c *sam.Command) bool {
	if len(l.cscds)%cscdBytes != 0 {
		c.Fail(illegal(codeParameterLength).AtParameter(l.cscdsAt))
		return false
	}
	if len(l.cscds) > maxCSCDs*cscdBytes {
		c.Fail(illegal(codeManyTargets).AtParameter(l.cscdsAt))
		return false
	}
	for at := 0; at < len(l.cscds); at += cscdBytes {
		switch {
		case l.cscds[at] != cscdIdentifies:
			c.Fail(illegal(codeTargetType).AtParameter(l.header + at))
			return false
		case l.cscds[at+cscdLengthAt] > designatorBytes:
			c.Fail(illegal(codeInvalidParameter).AtParameter(l.header + at + cscdLengthAt))
			return false
		}
	}
	return true
}

// checkSegments looks at the kinds, lengths and number of the segment descriptors
// (SPC-4 §6.4.6).
func (l *copyList) checkSegments(c *sam.Command) bool {
	start := l.header + len(l.cscds)
	count := 0
	for rest := l.segments; len(rest) > 0; count++ {
		at := start + len(l.segments) - len(rest)
		n := segmentLength(rest[0])
		switch {
		case n == 0:
			c.Fail(illegal(codeSegmentType).AtParameter(at))
			return false
		case len(rest) < n:
			c.Fail(illegal(codeParameterLength).AtParameter(l.segmentsAt))
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
		c.Fail(illegal(codeManySegments).AtParameter(l.segmentsAt))
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
