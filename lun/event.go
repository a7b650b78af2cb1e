package lun

import (
	"lunar/lun/blk"
	"lunar/scsi"
	"lunar/scsi/sam"
)

// EventKind says what happened to something a Local was given.
type EventKind uint8

// Events, each with the field that carries it.
const (
	// Begun: the device server has decided on Command.
	Begun EventKind = iota + 1
	// Executed: Command has its status and data.
	Executed
	// Moved: Request has its result.
	Moved
	// Abort: a function, Management, ends the command of Owner. Its owner stops it and
	// calls Finish when nothing touches the medium for it any more. Of Management it may
	// read what the function was asked with.
	Abort
	// Managed: Management is carried out.
	Managed
	// Vouched and Disowned are for copies alone: the token by which a piece was read lives,
	// or does not.
	Vouched
	Disowned
)

// Event is one end, or one demand, for the owner of a command on this reactor.
type Event struct {
	Kind       EventKind
	Command    *sam.Command
	Request    *blk.Request
	Management *Management
	Owner      uint64
}

// messageKind says what a message asks of the reactor that gets it.
type messageKind uint8

const (
	askBegin messageKind = iota + 1
	askExecute
	askMove
	askCompare
	askMerge
	askStop
	askFinish
	askManage
	askOpen
	askLoss
	askWithdraw // the owner of a command that has not begun ends it
	askAdvance  // nothing is inside the gate on the sender any more
	askAbort    // a function for the side of the receiver
	askConclude // a function has ended on the side of the sender
	askCleared  // a nexus lost commands on the side of the sender
	askAttend   // a unit attention for a nexus
	askForget   // a command goes on under another ticket
	askCount    // a gathering
	tell        // an Event for a command of the receiver
	tellCopy    // an Event for a copy of the receiver
	askClaim    // a copy of the sender wants to use a token
	tellClaim   // the answer
	askVouch    // whether a token lives
	askRelease  // a copy of the sender does not use a token any more
)

// Message travels between the Locals of two reactors.
type Message struct {
	kind  messageKind
	unit  *Unit
	nexus sam.Nexus
	name  *sam.NexusName
	// attention is what a nexus is told.
	attention scsi.Attention
	// ticket is of the command that is stopped or finished.
	ticket uint32
	// outcome is of the command that is finished.
	outcome outcome
	// found is the answer of a side to a function that asks.
	found bool
	// claim goes to and fro; token is the number of one, which with found is to be deleted.
	claim *claim
	token uint64
	// gathering goes from side to side.
	gathering *gathering
	Event
}

// Post sends messages to other reactors. A mailbox is as large as the number of
// tasks that can exist, so it cannot fail (architecture §8).
type Post interface {
	Post(reactor int, m Message)
}

// Owners carry the reactor that owns a command or request in their top byte.
const ownerShift = 56

// Owner makes an owner handle of a reactor and the 56 bits it keeps for itself.
func Owner(reactor int, own uint64) uint64 { return uint64(reactor)<<ownerShift | own }

// OwnerBits takes the owner's own bits out of a handle.
func OwnerBits(owner uint64) uint64 { return owner & (1<<ownerShift - 1) }

// OwnerReactor is the reactor of a handle.
func OwnerReactor(owner uint64) int { return int(owner >> ownerShift) }
