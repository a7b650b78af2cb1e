package transport

import (
	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
	"lunar/iscsi/session"
	"lunar/scsi/sam"
)

// Seek asks what became of a command of the session. The answer is Keeper.Found.
type Seek struct {
	Token uint32
	ITT   pdu.ITT
	// ExpDataSN is what the initiator has of its data.
	ExpDataSN serial.DataSN
	// Abort: it is to end, not to be reassigned; Ask: whether it is there, which has it
	// reassigned if it may be (RFC 7144 §6.3). Both name the unit too.
	Abort, Ask bool
	LUN        sam.LUN
}

// Finding is the answer to Seek.
type Finding struct {
	Kind FindingKind
	// Orphan is the command, where Kind is FoundOrphan.
	Orphan *Orphan
}

// FindingKind is what was found.
type FindingKind uint8

// Findings.
const (
	// FoundNothing: this connection does not know the tag.
	FoundNothing FindingKind = iota + 1
	// FoundAllegiant: a command is bound to this connection, which lives or was not
	// logged out for recovery.
	FoundAllegiant
	// FoundOther: the tag is of something that is no command.
	FoundOther
	// FoundEnded: the command has ended, as Seek asked.
	FoundEnded
	// FoundHere: the command is there, and stays.
	FoundHere
	// FoundOrphan: the command may go on elsewhere.
	FoundOrphan
)

// Seek looks for a command among those of a connection.
func (s *Stack) Seek(h Handle, q Seek) {
	c := s.find(h.Generation, h.Index)
	if c == nil || c.phase != fullFeature && c.phase != parked && c.phase != closing {
		s.keeper.Found(h, q.Token, Finding{Kind: FoundNothing})
		return
	}
	c.seeks = append(c.seeks, q)
	c.handOut()
}

// handOut answers the questions that can be answered.
func (c *Conn) handOut() {
	if c.phase == closing {
		return // gone answers
	}
	n := 0
	for _, q := range c.seeks {
		f := c.find(q)
		if f.Kind == 0 {
			c.seeks[n] = q
			n++
			continue
		}
		c.stack.keeper.Found(c.name(), q.Token, f)
	}
	c.seeks = c.seeks[:n]
	c.spent()
}

// find answers a question; without a kind it cannot be answered yet.
func (c *Conn) find(q Seek) Finding {
	ref, live := c.sess.Find(q.ITT)
	bound := c.phase != parked || !c.recovered
	switch {
	case live && ref.Kind != session.KindSCSI:
		return Finding{Kind: FoundOther}
	case live && (q.Ask || q.Abort) && ref.LUN != q.LUN, live && q.Ask && ref.Phase == session.Aborting:
		return Finding{Kind: FoundNothing}
	case live && q.Ask && bound:
		return Finding{Kind: FoundHere}
	case live && bound:
		return Finding{Kind: FoundAllegiant}
	case live && (ref.Phase == session.Aborting || ref.Phase == session.Waiting):
		// One that waits is due, and its word on the way from another core.
		return Finding{}
	case live && q.Abort:
		c.abort(&c.tasks[ref.Index()])
		if _, still := c.sess.Find(q.ITT); still {
			return Finding{}
		}
		return Finding{Kind: FoundEnded}
	case live:
		return c.orphan(&c.tasks[ref.Index()], q)
	case q.Abort || q.Ask || c.phase != parked:
		return Finding{Kind: FoundNothing}
	case !c.recovered:
		if c.sess.Answered(q.ITT) {
			return Finding{Kind: FoundAllegiant}
		}
		return Finding{Kind: FoundNothing}
	}
	o, ok := c.sess.OrphanOf(q.ITT, q.ExpDataSN)
	if !ok {
		return Finding{Kind: FoundNothing}
	}
	// What is carried out once more comes from its CDB alone.
	unit, present := c.introduce(&o.Command, o.CmdSN)
	if !present && !o.Concluded {
		return Finding{Kind: FoundNothing}
	}
	if present {
		o.Align(unit.Info().BlockBytes)
	}
	return Finding{FoundOrphan, &Orphan{Orphan: o, unit: unit, nexus: c.nexus, heard: sam.Concluded}}
}
