package scsi

import "lunar/scsi/sam"

// maxRequestSense is the longest sense data there can be (SPC-4 §6.39).
const maxRequestSense = 252

// beginRequestSense serves REQUEST SENSE (SPC-4 §6.39).
func (d *Device) beginRequestSense(c *sam.Command) {
	ask(c, 0, min(int64(c.CDB[4]), maxRequestSense))
}

// requestSense returns what the nexus would be told next, as data with GOOD.
// Sense of an ended command is not kept: it left with its status (SAM-5 §5.13.4).
func (d *Device) requestSense(c *sam.Command) Program {
	s := sam.NewSense(sam.NoSense, codeNone)
	switch {
	case d.absent:
		s = illegal(codeNoUnit)
	case d.pending(c.Nexus) && c.DataInBytes > 0:
		// SPC-4 §6.39: reporting a unit attention clears it. With room for not
		// even one byte nothing is reported.
		s = d.takeAttention(c.Nexus)
	case d.operation != nil:
		s = sam.NewSense(sam.NotReady, d.operation.code()).WithProgress(d.operation.progress())
	case d.gone:
		s = sam.NewSense(sam.NotReady, codeNotReady)
	case d.ejected:
		s = sam.NewSense(sam.NotReady, codeNoMedium)
	case d.stopped:
		s = sam.NewSense(sam.NotReady, codeNeedsStart)
	}
	s.Descriptor = c.CDB[1]&1 != 0 // DESC
	d.scratch = s.Append(d.scratch[:0])
	answer(c, d.scratch)
	return Program{}
}
