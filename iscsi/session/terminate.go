package session

import (
	"lunar/iscsi/login"
	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
	"lunar/scsi/sam"
)

// What is here is the target's side of FastAbort (RFC 7143 §4.2.3.4 [N-6]): a function
// that ends many tasks waits for nobody's data. The initiator is told by an Async Message
// that the tasks of a unit are ended, and until it has acknowledged that, their Target
// Transfer Tags stay theirs and late data is thrown away.

// FastAborts says whether FastAbort was negotiated.
func (c *Conn) FastAborts() bool { return c.Params.TaskReporting == login.FastAbort }

// termination is a unit of which tasks are ended: one for each LUN, however often that
// happens before it is acknowledged.
type termination struct {
	lun sam.LUN
	// untold: the message is to be sent; else statSN is that of the last one.
	untold bool
	statSN serial.StatSN
}

// Terminate notes that tasks of a unit are ended by a function that came over another
// connection, so that the initiator is told (§4.2.3.4 d).
func (c *Conn) Terminate(l sam.LUN) {
	for i := range c.terminations {
		if c.terminations[i].lun == l {
			c.terminations[i].untold = true
			return
		}
	}
	c.terminations = append(c.terminations, termination{lun: l, untold: true})
}

// Terminating says whether the initiator is still to be told of a termination.
func (c *Conn) Terminating() bool {
	for i := range c.terminations {
		if c.terminations[i].untold {
			return true
		}
	}
	return false
}

// EmitTermination writes the next Async Message with event 5 (§11.9.1). One follows from
// Terminating.
func (c *Conn) EmitTermination(h *pdu.Header) {
	for i := range c.terminations {
		if t := &c.terminations[i]; t.untold {
			t.untold, t.statSN = false, c.statSN
			c.emitAsyncAbout(h, pdu.EventTermination, t.lun)
			return
		}
	}
}

// Reserves says whether the Target Transfer Tags of tasks of a unit that were ended may
// still be used by data that is on its way (§4.2.3.4 c).
func (c *Conn) Reserves(l sam.LUN) bool {
	for i := range c.terminations {
		if c.terminations[i].lun == l {
			return true
		}
	}
	return false
}

// terminated takes a NOP-Out without tags: it acknowledges a termination when it names
// its LUN and its StatSN has been received; then no data for it comes any more (§4.2.3.4
// g, §11.9.1). What answers a ping has our tag, and a LUN for that alone.
func (c *Conn) terminated(p pdu.NOPOut) {
	if p.TTT() != pdu.NoTag {
		return
	}
	for i := range c.terminations {
		t := &c.terminations[i]
		if t.lun == p.LUN() && !t.untold && t.statSN.Less(c.expStatSN) {
			c.terminations = append(c.terminations[:i], c.terminations[i+1:]...)
			return
		}
	}
}

// Outlive takes the tag of an ended task away, which its initiator may use again from
// the response of the function on. What is left until Release is its place, with its
// Target Transfer Tags: data that still comes for it is thrown away.
func (c *Conn) Outlive(t *Task) {
	c.dir.remove(t.ITT)
	t.outlived = true
}
