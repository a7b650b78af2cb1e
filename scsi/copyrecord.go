package scsi

import (
	"slices"

	"lunar/scsi/sam"
)

const (
	// maxCopies is how many third-party copies a unit has under way, with a list identifier
	// or without one.
	maxCopies = 16
	// maxRecords bounds what is kept for one nexus. Being more than maxCopies, one of them
	// has always ended and can make room.
	maxRecords = 32
)

// copyStatus is the COPY COMMAND STATUS (SPC-4 §6.25).
type copyStatus uint8

const (
	copyRunning copyStatus = iota
	copyDone
	copyFailed
)

// copyRecord is what is told of a third-party copy with a list identifier, until another copy
// of the nexus takes the identifier, or the unit is reset or the nexus lost (SPC-4 §6.23 to
// §6.25).
type copyRecord struct {
	// number tells the copies of a Device apart.
	number uint32
	id     uint32
	// action is the service action of the command.
	action byte
	status copyStatus
	// segments were begun, and bytes are at their destination with nothing missing before
	// them.
	segments uint16
	bytes    uint64
	// commands are those sent to units that ended well; it wraps.
	commands uint16
	// ending and sense are how the command of a copy ended that failed. told and explained
	// say that RECEIVE COPY STATUS(LID1) and FAILURE DETAILS(LID1) have told of it.
	ending          sam.Status
	sense           sam.Sense
	told, explained bool
	// block is what a command with a ROD token counts by, 0 for another one; background says
	// that it goes on without its command. token is what RECEIVE ROD TOKEN INFORMATION has
	// not told yet.
	block      uint32
	background bool
	token      *[tokenBytes]byte
}

// explains says whether there are failure details to be asked for, if only that there was
// no failure.
func (r *copyRecord) explains() bool {
	return r.action == extendedCopyLID1 && r.status != copyRunning && !r.explained
}

// record begins to keep what is told of the copy of c and gives it a number. It ends c and
// is false when the list identifier is that of another one under way.
func (d *Device) record(c *sam.Command, id uint32) (number uint32, ok bool) {
	if int(c.Nexus) >= len(d.nexuses) {
		return 0, true // nobody could ask
	}
	s, action := &d.nexuses[c.Nexus], c.CDB[1]&actionMask
	if i := slices.IndexFunc(s.copies, func(r copyRecord) bool { return r.id == id }); i >= 0 {
		switch r := &s.copies[i]; {
		case r.status != copyRunning:
		case r.action != action && r.block == 0 && action <= extendedCopyLID4:
			// SPC-4 §6.4.3.2: one that is in use, and in the other format.
			c.Fail(atListID(c, illegal(codeInvalidParameter)))
			return 0, false
		default:
			// SPC-4 §5.17.4.2: one that is in use.
			c.Fail(atListID(c, illegal(codeInProgress)))
			return 0, false
		}
		s.copies = slices.Delete(s.copies, i, i+1)
	}
	if len(s.copies) == maxRecords {
		i := slices.IndexFunc(s.copies, func(r copyRecord) bool { return r.status != copyRunning })
		s.copies = slices.Delete(s.copies, i, i+1)
	}
	d.copies = max(d.copies+1, 1)
	s.copies = append(s.copies, copyRecord{number: d.copies, id: id, action: action})
	return d.copies, true
}

// atListID returns s with a pointer to the list identifier of a command that copies.
func atListID(c *sam.Command, s sam.Sense) sam.Sense {
	if a := c.CDB[1] & actionMask; a == populateToken || a == writeUsingToken {
		return s.At(tokenIDAt, -1)
	}
	return s.AtParameter(layoutOf(c).idAt)
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

// Copied says that so many commands more of p ended well, and so many bytes more are at their
// destination.
func (d *Device) Copied(c *sam.Command, p *Program, commands int, bytes int64) {
	if t := d.transferOf(p); t != nil {
		t.bytes += uint64(bytes)
	}
	if r := d.recordOf(c.Nexus, p.record); r != nil {
		r.commands += uint16(commands)
		r.bytes += uint64(bytes)
	}
}

// EndCopy takes the end of p, whose outcome stands in c. Residual is how many blocks of the
// destination the segment at which it was aborted has left, as counted from the first that
// is missing; negative when nothing of it was written (SPC-4 §5.17.7.4).
func (d *Device) EndCopy(c *sam.Command, p *Program, residual int64) {
	d.copying--
	if t := d.transferOf(p); t != nil {
		d.transfers[p.transfer-1] = nil
		t.conclude(c, uint64(d.info.BlockBytes))
	} else if c.Status == sam.CheckCondition && residual >= 0 {
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
