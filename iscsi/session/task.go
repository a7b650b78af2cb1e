package session

import (
	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
	"lunar/scsi/sam"
)

// Kind is what a task carries out.
type Kind uint8

// Kinds of tasks: one per request that wants an answer.
const (
	KindFree Kind = iota
	KindSCSI
	KindManage
	KindPing
	KindText
	KindLogout
)

// Phase is where a task stands. It only moves forward, but that a task which was aborted
// may have a status to tell after all (TAS).
type Phase uint8

// Phases of a task.
const (
	// Receiving: its first PDU has not ended.
	Receiving Phase = iota + 1
	// Waiting: received, but an earlier CmdSN is missing.
	Waiting
	// Running: delivered; data moves, the device server works.
	Running
	// Responding: the outcome stands; its last PDU has not left.
	Responding
	// Aborting: ended without a response, waiting until nothing can touch its
	// memory or the medium any more.
	Aborting
)

// Task is one request and its state. The zero value is a free slab element.
type Task struct {
	sam.Command

	index uint32
	// plan is the number of its plan in what is kept.
	plan    uint32
	Kind    Kind
	Phase   Phase
	ITT     pdu.ITT
	CmdSN   serial.CmdSN
	counted bool // its CmdSN was accepted, so its end returns a credit

	Immediate bool
	// Adopted: it came from a connection that is gone, and outlives this one too.
	Adopted bool
	// Alone says of a command that the device server runs nothing beside it.
	Alone       bool
	Read, Write bool
	// EDTL is the expected length of the data-out when W is set, else of the
	// data-in; BidiRead the expected data-in of a bidirectional command.
	EDTL, BidiRead uint32

	Out DataOut
	In  DataIn

	// failure is what to report, once the data still owed has come, of a task whose
	// data did not come as agreed (RFC 3720 §10.4.2 [R-10.4.2-1]). It is kept apart
	// from Sense, which is lent to the device server meanwhile.
	failed    bool
	failure   sam.Sense
	moved     int64 // bytes of the data-out that were used
	tttCount  uint16
	Function  sam.Function
	RefTag    pdu.ITT
	RefCmdSN  serial.CmdSN
	RefDataSN serial.DataSN
	Result    pdu.TaskResult
	// Information is what a function that asks adds to its result.
	Information [3]byte
	Reason      pdu.LogoutReason
	CID         pdu.CID
	Logout      pdu.LogoutResult
	Text        []byte
	textFinal   bool // F of the request
	textMore    bool // C of the request
	textTTT     pdu.TTT
	textHead    []byte // the whole header of the request, for a Reject
	// outlived: it was ended by FastAbort, and its tag may be another task's.
	outlived bool
	// said is the answer of a command that was reassigned after it was answered.
	said *saidAnswer
}

// Index is the slab index, constant over the life of the session.
func (t *Task) Index() uint32 { return t.index }

// ExpectIn is how many bytes the initiator is ready to receive.
func (t *Task) ExpectIn() int64 {
	switch {
	case t.Read && t.Write:
		return int64(t.BidiRead)
	case t.Read:
		return int64(t.EDTL)
	}
	return 0
}

// ExpectOut is how many bytes the initiator will send.
func (t *Task) ExpectOut() int64 {
	if t.Write {
		return int64(t.EDTL)
	}
	return 0
}

// Failed says whether the task will end with CHECK CONDITION because of how its
// data came, so that nothing of it reaches the medium any more.
func (t *Task) Failed() bool { return t.failed }

// FailData ends the task with the given sense as soon as the initiator owes it no
// more data. The first failure is the one reported.
func (t *Task) FailData(s sam.Sense) {
	if !t.failed {
		t.failed, t.failure = true, s
	}
}

// reset prepares a slab element for its next task. The tag counter goes on, so
// that tags of the last task are recognised as stale; the handle of the next one is
// its owner's to set.
func (t *Task) reset() {
	*t = Task{index: t.index, plan: t.plan, tttCount: t.tttCount, Command: sam.Command{Owner: t.Owner}}
}
