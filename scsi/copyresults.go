package scsi

import (
	"encoding/binary"
	"math"
	"slices"

	"lunar/scsi/sam"
)

// Service actions of RECEIVE COPY RESULTS (SPC-4 §6.22 to §6.25).
const (
	copyStatusLID1       = 0x00 // RECEIVE COPY STATUS(LID1)
	copyParametersAction = 0x03 // RECEIVE COPY OPERATING PARAMETERS
	copyFailureAction    = 0x04 // RECEIVE COPY FAILURE DETAILS(LID1)
	copyStatusLID4       = 0x05 // RECEIVE COPY STATUS(LID4)
)

const (
	// copyIDAt is where a CDB has its LIST IDENTIFIER: one byte, or four in those of LID4.
	copyIDAt = 2

	copyParametersBytes = 44
	failureStatusAt     = 56
	failureSenseAt      = 60
	// maxCopyResults is the longest answer, a ROD token behind sense.
	maxCopyResults = statusSenseAt + sam.MaxSenseBytes + 3 + tokenListBytes
	statusSenseAt  = 32
)

// segmentKinds are the descriptor type codes that EXTENDED COPY takes, in ascending order.
var segmentKinds = [...]byte{segmentBlocks, segmentOffsets, cscdIdentifies}

// beginCopyResults serves RECEIVE COPY RESULTS.
func (d *Device) beginCopyResults(c *sam.Command) {
	if c.CDB[1]&actionMask != copyParametersAction && d.copyOf(c) == nil {
		// SPC-4 §6.23 to §6.25: of an unknown list identifier there is nothing to tell.
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
	id, action := uint32(c.CDB[copyIDAt]), c.CDB[1]&actionMask
	if c.CDB[0] == opCopyOut || action == copyStatusLID4 || action == rodTokenInformation {
		// SPC-4 §5.17.4.2: identifiers of one byte and of four are the same ones.
		id = binary.BigEndian.Uint32(c.CDB[copyIDAt:])
	}
	copies := d.nexuses[c.Nexus].copies
	i := slices.IndexFunc(copies, func(r copyRecord) bool { return r.id == id })
	switch {
	case i < 0,
		c.CDB[0] == opCopyIn && action == copyStatusLID1 && copies[i].told,
		c.CDB[0] == opCopyIn && action == copyFailureAction && !copies[i].explains():
		return nil
	}
	return &copies[i]
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
	switch c.CDB[1] & actionMask {
	case copyFailureAction:
		d.scratch = r.details(d.scratch[:0], c.DescriptorSense)
	case copyStatusLID1:
		d.scratch = r.describe(d.scratch[:0])
	case rodTokenInformation:
		d.scratch = r.describeToken(d.scratch[:0], c)
	default:
		d.scratch = r.describeLID4(d.scratch[:0], c.DescriptorSense)
	}
	answer(c, d.scratch)
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

// describeLID4 appends the answer of RECEIVE COPY STATUS(LID4), which is kept (SPC-4 §6.24).
func (r *copyRecord) describeLID4(b []byte, descriptor bool) []byte {
	const blocks = 0xf1 // TRANSFER COUNT UNITS
	p := make([]byte, statusSenseAt, statusSenseAt+sam.MaxSenseBytes+3)
	p[4] = r.action
	binary.BigEndian.PutUint16(p[6:], r.commands)
	binary.BigEndian.PutUint64(p[16:], r.bytes)
	binary.BigEndian.PutUint16(p[24:], r.segments)
	if r.block > 0 {
		p[15] = blocks
		binary.BigEndian.PutUint64(p[16:], r.bytes/uint64(r.block))
	}
	p = r.appendOutcome(p, descriptor)
	binary.BigEndian.PutUint32(p, uint32(len(p)-4))
	return append(b, p...)
}

// appendOutcome writes the COPY OPERATION STATUS and what belongs to it into p, and appends
// sense behind it.
func (r *copyRecord) appendOutcome(p []byte, descriptor bool) []byte {
	const (
		running, runningBehind = 0x11, 0x12 // in the background
		done, failed, partly   = 0x01, 0x02, 0x03
		terminated             = 0x60

		askAgain, askSoon, ended = 1000, 50, 0xfffffffe // milliseconds
	)
	delay := uint32(ended)
	switch {
	case r.status == copyRunning && r.block == 0:
		p[5], delay = running, askAgain
	case r.status == copyRunning:
		// What one command with a token moves is little, and hosts that poll wait as long
		// before the next one.
		p[5], delay = running, askSoon
		if r.background {
			p[5] = runningBehind
		}
	case r.status == copyDone:
		p[5] = done
	case r.ending == sam.TaskAborted:
		p[5], p[12] = terminated, byte(r.ending)
	default:
		p[5], p[12] = failed, byte(r.ending)
		if r.block > 0 {
			// SBC-4 §5.25: so when less was written than asked for.
			p[5] = partly
		}
		s := r.sense
		s.Descriptor = descriptor
		p = s.Append(p)
		p[14] = byte(len(p) - statusSenseAt)
		p = append(p, make([]byte, -len(p)&3)...)
		p[13] = byte(len(p) - statusSenseAt)
	}
	binary.BigEndian.PutUint32(p[8:], delay)
	return p
}

// details appends the answer of RECEIVE COPY FAILURE DETAILS(LID1) (SPC-4 §6.23). They are
// given once; without any there is but their length, zero.
func (r *copyRecord) details(b []byte, descriptor bool) []byte {
	if r.status != copyFailed {
		return append(b, 0, 0, 0, 0)
	}
	r.explained = true
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
