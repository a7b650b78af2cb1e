package lun

import (
	"lunar/scsi"
	"lunar/scsi/sam"
)

// Counts are the commands of a unit that ended on one reactor, since it was attached.
type Counts struct {
	// Reads and Writes ended with GOOD, and moved so many bytes by their CDB; Others
	// ended with GOOD and are neither.
	Reads, Writes, Others uint64
	ReadBytes, WriteBytes uint64
	// Passed are those that came in through the gate: they needed nothing of the home.
	Passed uint64
	// Failed ended with CHECK CONDITION, by sense key; Aborted without a status, or with
	// one that says nothing of the medium.
	Failed [SenseKeys]uint64
	// WriteErrors are those of the medium errors that are of writes.
	WriteErrors uint64
	Aborted     uint64
}

// SenseKeys is how many sense keys there are (SPC-4 §4.5.6).
const SenseKeys = 16

// Add adds what ended elsewhere.
func (n *Counts) Add(o *Counts) {
	n.Reads += o.Reads
	n.Writes += o.Writes
	n.Others += o.Others
	n.ReadBytes += o.ReadBytes
	n.WriteBytes += o.WriteBytes
	n.Passed += o.Passed
	n.Aborted += o.Aborted
	n.WriteErrors += o.WriteErrors
	for i := range n.Failed {
		n.Failed[i] += o.Failed[i]
	}
}

// Counts are those of a unit on a reactor, for that reactor to ask.
func (u *Unit) Counts(reactor int) Counts {
	if reactor >= len(u.sides) || u.sides[reactor] == nil {
		return Counts{}
	}
	return u.sides[reactor].counts
}

// outcome is how a command ended, as far as it is counted. The side that counts it may
// be on another reactor, where the command's memory is not to be looked at.
type outcome struct {
	bytes  uint64
	action sam.Action
	status sam.Status
	key    sam.SenseKey
	writes bool // the medium could not write
}

func outcomeOf(c *sam.Command) outcome {
	return outcome{bytes: uint64(c.Extent.Bytes), action: scsi.Moved(c), status: c.Status, key: c.Sense.Key, writes: scsi.WriteFailed(c)}
}

// count takes the end of a command.
func (n *Counts) count(o outcome) {
	switch {
	case o.status == sam.CheckCondition:
		n.Failed[o.key%SenseKeys]++
		if o.writes {
			n.WriteErrors++
		}
	case o.status != sam.Good:
		n.Aborted++
	case o.action == sam.ReadMedium:
		n.Reads++
		n.ReadBytes += o.bytes
	case o.action == sam.WriteMedium:
		n.Writes++
		n.WriteBytes += o.bytes
	default:
		n.Others++
	}
}
