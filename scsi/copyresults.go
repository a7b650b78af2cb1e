package scsi

import (
	"encoding/binary"
	"math"
	"slices"

	"lunar/scsi/sam"
)

// Service actions of RECEIVE COPY RESULTS (SPC-4 §6.22, §6.23, §6.25).
const (
	copyStatusAction     = 0x00 // RECEIVE COPY STATUS(LID1)
	copyParametersAction = 0x03 // RECEIVE COPY OPERATING PARAMETERS
	copyFailureAction    = 0x04 // RECEIVE COPY FAILURE DETAILS(LID1)
)

const (
	// copyIDAt is where the CDB has its LIST IDENTIFIER: one byte.
	copyIDAt = 2

	copyParametersBytes = 44
	failureStatusAt     = 56
	failureSenseAt      = 60
	// maxCopyResults is the longest answer, failure details.
	maxCopyResults = failureSenseAt + sam.MaxSenseBytes

	// maxCopies is how many third-party copies a unit has under way, with a list identifier
	// or without one.
	maxCopies = 16
	// maxRecords bounds what is kept for one nexus. Being more than maxCopies, one of them
	// has always ended and can make room.
	maxRecords = 32
)

// segmentKinds are the descriptor type codes that EXTENDED COPY takes, in ascending order.
var segmentKinds = [...]byte{segmentBlocks, segmentOffsets, cscdIdentifies}

// copyStatus is the COPY COMMAND STATUS (SPC-4 §6.25).
type copyStatus uint8

const (
	copyRunning copyStatus = iota
	copyDone
	copyFailed
)

// copyRecord is what is told of a third-party copy with a list identifier, until it has been
// told once, or another copy of the nexus takes the identifier, or the unit is reset or the
// nexus lost (SPC-4 §6.23, §6.25).
type copyRecord struct {
	// number tells the copies of a Device apart.
	number uint32
	id     uint8
	status copyStatus
	// segments were begun, and bytes are at their destination with nothing missing before
	// them.
	segments uint16
	bytes    uint64
	// ending and sense are how the command of a copy ended that failed, which may be asked
	// for by itself; told says that the status was.
	ending sam.Status
	sense  sam.Sense
	told   bool
}

// over says whether there is nothing left to tell.
func (r *copyRecord) over() bool { return r.told && r.status != copyFailed }

// record begins to keep what is told of the copy of c and gives it a number. It ends c and
// is false when the list identifier is that of another one under way.
func (d *Device) record(c *sam.Command, id uint8) (number uint32, ok bool) {
	if int(c.Nexus) >= len(d.nexuses) {
		return 0, true // nobody could ask
	}
	s := &d.nexuses[c.Nexus]
	if i := slices.IndexFunc(s.copies, func(r copyRecord) bool { return r.id == id }); i >= 0 {
		if s.copies[i].status == copyRunning {
			// SPC-4 §5.17.4.2: a list identifier that is in use.
			c.Fail(illegal(codeInProgress).AtParameter(0))
			return 0, false
		}
		s.copies = slices.Delete(s.copies, i, i+1)
	}
	if len(s.copies) == maxRecords {
		i := slices.IndexFunc(s.copies, func(r copyRecord) bool { return r.status != copyRunning })
		s.copies = slices.Delete(s.copies, i, i+1)
	}
	d.copies = max(d.copies+1, 1)
	s.copies = append(s.copies, copyRecord{number: d.copies, id: id})
	return d.copies, true
}

// recordOf returns the record of that number, nil when there is none any more.
func (d *Device) recordOf(n sam.Nexus, number uint32) *copyRecord {
	if number == 0 || int(n) >= len(d.nexuses) {
		return nil
	}
	copies := d.nexuses[n].copies
	for i := range copies {
		if copies[i].number == number {
			return &copies[i]
		}
	}
	return nil
}

// Copied says that so many bytes more of p are at their destination.
func (d *Device) Copied(c *sam.Command, p *Program, bytes int64) {
	if r := d.recordOf(c.Nexus, p.record); r != nil {
		r.bytes += uint64(bytes)
	}
}

// EndCopy takes the end of p, whose outcome stands in c. Residual is how many blocks of the
// destination the segment at which it was aborted has left, as counted from the first that
// is missing; negative when nothing of it was written (SPC-4 §5.17.7.4).
func (d *Device) EndCopy(c *sam.Command, p *Program, residual int64) {
	d.copying--
	if c.Status == sam.CheckCondition && residual >= 0 {
		c.Sense = c.Sense.WithInfo(uint64(residual))
	}
	r := d.recordOf(c.Nexus, p.record)
	switch {
	case r == nil:
	case c.Status == sam.Good:
		r.status = copyDone
	default:
		r.status, r.ending, r.sense = copyFailed, c.Status, c.Sense
	}
}

// beginCopyResults serves RECEIVE COPY RESULTS.
func (d *Device) beginCopyResults(c *sam.Command) {
	if c.CDB[1]&actionMask != copyParametersAction && d.copyOf(c) == nil {
		// SPC-4 §6.23, §6.25: of an unknown list identifier there is nothing to tell.
		failField(c, copyIDAt, -1)
		return
	}
	ask(c, 0, min(int64(binary.BigEndian.Uint32(c.CDB[copyLengthAt:])), maxCopyResults))
}

// copyOf is the record that c asks about, nil without one.
func (d *Device) copyOf(c *sam.Command) *copyRecord {
	if int(c.Nexus) >= len(d.nexuses) {
		return nil
	}
	copies, details := d.nexuses[c.Nexus].copies, c.CDB[1]&actionMask == copyFailureAction
	for i := range copies {
		if r := &copies[i]; r.id == c.CDB[copyIDAt] && (details && r.status != copyRunning || !details && !r.told) {
			return r
		}
	}
	return nil
}

func (d *Device) copyResults(c *sam.Command) Program {
	if c.CDB[1]&actionMask == copyParametersAction {
		d.scratch = d.copyParameters(d.scratch[:0])
		answer(c, d.scratch)
		return Program{}
	}
	r := d.copyOf(c)
	if r == nil {
		// It was told to another command, or forgotten, since Begin.
		failField(c, copyIDAt, -1)
		return Program{}
	}
	if c.CDB[1]&actionMask == copyFailureAction {
		d.scratch = r.details(d.scratch[:0], c.DescriptorSense)
	} else {
		d.scratch = r.describe(d.scratch[:0])
	}
	answer(c, d.scratch)
	copies := d.nexuses[c.Nexus].copies
	d.nexuses[c.Nexus].copies = slices.DeleteFunc(copies, func(r copyRecord) bool { return r.over() })
	return Program{}
}

// describe appends the answer of RECEIVE COPY STATUS(LID1) (SPC-4 §6.25). When the copy has
// ended, this is told once.
func (r *copyRecord) describe(b []byte) []byte {
	const statusBytes, kibibytes = 8, 1
	r.told = r.status != copyRunning
	units, count := byte(0), r.bytes
	if count > math.MaxUint32 {
		units, count = kibibytes, count>>10
	}
	b = binary.BigEndian.AppendUint32(b, statusBytes)
	b = append(b, byte(r.status))
	b = binary.BigEndian.AppendUint16(b, r.segments)
	b = append(b, units)
	return binary.BigEndian.AppendUint32(b, uint32(min(count, math.MaxUint32)))
}

// details appends the answer of RECEIVE COPY FAILURE DETAILS(LID1) (SPC-4 §6.23). They are
// given once; without any there is but their length, zero.
func (r *copyRecord) details(b []byte, descriptor bool) []byte {
	if r.status != copyFailed {
		return append(b, 0, 0, 0, 0)
	}
	start := len(b)
	b = append(b, make([]byte, failureSenseAt)...)
	b[start+failureStatusAt] = byte(r.ending)
	if r.ending == sam.CheckCondition {
		s := r.sense
		s.Descriptor = descriptor
		b = s.Append(b)
	}
	n := len(b) - start
	binary.BigEndian.PutUint32(b[start:], uint32(n-4))
	binary.BigEndian.PutUint16(b[start+failureSenseAt-2:], uint16(n-failureSenseAt))
	r.status, r.told = copyDone, true
	return b
}

// copyParameters appends the answer of RECEIVE COPY OPERATING PARAMETERS (SPC-4 §6.22).
func (d *Device) copyParameters(b []byte) []byte {
	const snlid = 0x01 // LIST ID USAGE 11b is taken
	p := make([]byte, copyParametersBytes, copyParametersBytes+len(segmentKinds))
	p = append(p, segmentKinds[:]...)
	binary.BigEndian.PutUint32(p, uint32(len(p)-4))
	p[4] = snlid
	binary.BigEndian.PutUint16(p[8:], maxCSCDs)
	binary.BigEndian.PutUint16(p[10:], maxSegments)
	binary.BigEndian.PutUint32(p[12:], maxCopyList)
	binary.BigEndian.PutUint32(p[16:], maxSegmentBytes)
	// Neither inline data, nor held data, nor stream devices.
	binary.BigEndian.PutUint16(p[34:], maxCopies)
	p[36] = maxCopies
	p[37] = d.blockShift // DATA SEGMENT GRANULARITY
	p[43] = byte(len(segmentKinds))
	return append(b, p...)
}
