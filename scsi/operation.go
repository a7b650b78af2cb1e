package scsi

import (
	"lunar/lun/blk"
	"lunar/scsi/sam"
)

// operation is what a unit does to its whole medium for longer than a command lives:
// nobody's abort, reset or logout ends it (SBC-3 §4.11). There is one at most.
type operation struct {
	// sanitizes tells a SANITIZE, of which the unit is told at its next start if it did not
	// end, from a FORMAT UNIT.
	sanitizes bool
	// pattern is a block to write, nil to deallocate instead; passes is how often, inverts
	// that every other pass writes its complement.
	pattern []byte
	passes  int
	inverts bool
	// done and total are in bytes, of all passes.
	done, total int64
}

// code is what commands are told that cannot be served meanwhile.
func (o *operation) code() uint16 {
	if o.sanitizes {
		return codeSanitizing
	}
	return codeFormatting
}

// progress is PROGRESS INDICATION, out of 65,536 (SPC-4 §4.5.2.4.4).
func (o *operation) progress() uint16 {
	if o.total == 0 {
		return 0
	}
	return uint16(min(float64(o.done)/float64(o.total)*65536, 65535))
}

// start has the unit carry out an operation, whose program runs without its command when
// that does not want to wait (IMMED).
func (d *Device) start(o *operation) Program {
	d.spoilAll()
	d.operation, d.sanitizeFailed = o, false
	o.total = d.info.Bytes * int64(o.passes)
	kind := Erase
	if o.pattern != nil {
		kind = Overwrite
	}
	return Program{Kind: kind, Bytes: d.info.Bytes}
}

// Interrupted is the program of a sanitize or format operation that was under way when the unit was
// last stopped, to be run before its first command: none when there was none.
func (d *Device) Interrupted() Program {
	if !d.sanitizing && !d.formatting || d.info.ReadOnly {
		return Program{}
	}
	// What it was to write is not kept: to deallocate everything leaves no less.
	return d.start(&operation{sanitizes: d.sanitizing, passes: 1})
}

// nextErase cuts an Erase, nextOverwrite an Overwrite; both end with a flush.
func (d *Device) nextErase(p *Program) (Step, bool) {
	op := blk.Zero
	if d.info.Thin {
		op = blk.Discard // the least that makes blocks read as zeros
	}
	if s, ok := p.cut(op, maxRangeBytes); ok {
		s.Bare = op == blk.Zero // SBC-4 §5.4.1: protection information says nothing
		d.operation.done += s.Length
		return s, true
	}
	return p.flush()
}

func (d *Device) nextOverwrite(p *Program) (Step, bool) {
	for {
		if s, ok := p.cut(blk.Write, blk.MaxRequestBytes); ok {
			d.operation.done += s.Length
			return s, true
		}
		if p.index++; p.index >= d.operation.passes {
			return p.flush()
		}
		p.Offset, p.Bytes = 0, d.info.Bytes
	}
}

// layOut fills data with the block that this pass writes.
func (o *operation) layOut(pass int, data []byte) {
	n := copy(data, o.pattern)
	if o.inverts && pass%2 == 1 {
		for i := range data[:n] {
			data[i] = ^data[i]
		}
	}
	for n < len(data) {
		n += copy(data[n:], data[:n])
	}
}

// Concluded ends an operation. Where its end has to be kept, it returns a Keep, which
// Kept ends.
func (d *Device) Concluded(c *sam.Command, ok bool) Program {
	o := d.operation
	d.operation = nil
	if !o.sanitizes {
		return d.formatted(c, ok)
	}
	d.sanitizeFailed = !ok
	if !ok {
		// SBC-3 §4.11.4: the unit stays out of use until it is sanitized after all.
		c.Fail(sam.NewSense(sam.MediumError, codeSanitizeFailed))
		return Program{}
	}
	n := d.draftOf(c)
	n.sanitizing, n.formatting, n.durable = false, false, true
	return d.adopt(n)
}
