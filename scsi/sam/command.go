package sam

// MaxCDBBytes is the longest CDB a Command keeps. Longer ones (RFC 3720
// §10.2.2.3 allows 260) name opcodes nobody here has, and are refused by opcode.
const MaxCDBBytes = 32

// Nexus is the index of an I_T nexus: small, dense, drawn by the engine when an
// initiator port first logs in to a target port, and kept while that pair is
// known, so that state bound to the nexus survives a broken session
// (RFC 3720 §3.4.3.1 [R-3.4.3.1-1]).
type Nexus uint32

// Attribute is the task attribute (SAM-5 §8.6, RFC 3720 §10.3.1).
type Attribute uint8

// Task attributes in the coding of the SCSI Command PDU.
const (
	Untagged Attribute = iota
	Simple
	Ordered
	HeadOfQueue
	ACA
)

// Status is a SCSI status code (SAM-5 §5.3.1).
type Status uint8

// Status codes.
const (
	Good                Status = 0x00
	CheckCondition      Status = 0x02
	ConditionMet        Status = 0x04
	Busy                Status = 0x08
	ReservationConflict Status = 0x18
	TaskSetFull         Status = 0x28
	ACAActive           Status = 0x30
	TaskAborted         Status = 0x40
)

// Qualifier says more about a status (SAM-5 §5.3.2). With BUSY, and without a scope in its
// top two bits, it is for how long the command should not be sent again, in 100 ms.
type Qualifier uint16

// RetrySoon asks for the shortest time there is before the command is sent again.
const RetrySoon Qualifier = 1

// Priority is the importance of a SIMPLE command beside other ones (SAM-5 §8.7): 1 is the
// highest, 15 the lowest, 0 none.
type Priority uint8

// middle is what a command without a priority counts as.
const middle = 8

// Before says whether a command of this priority should be seen to before one of
// another.
func (p Priority) Before(other Priority) bool {
	if p == 0 {
		p = middle
	}
	if other == 0 {
		other = middle
	}
	return p < other
}

// Action is what the device server asks of the owner of a command next.
type Action uint8

// Actions. The zero value is none of them, so that a forgotten decision shows.
const (
	// Complete: Status (and Sense) are final; nothing moves.
	Complete Action = iota + 1
	// Execute: attach a buffer of max(DataOutBytes, DataInBytes) bytes, fill it
	// with DataOutBytes from the initiator, then ask for Execute.
	Execute
	// ReadMedium: send Extent to the initiator, then GOOD.
	ReadMedium
	// WriteMedium: receive Extent.Bytes and write them to Extent, then GOOD.
	WriteMedium
	// CompareMedium: receive Extent.Bytes and compare them with Extent.
	CompareMedium
)

// Extent is a byte range of a medium.
type Extent struct {
	// Offset and Bytes are in bytes from the start of the medium.
	Offset, Bytes int64
	// FUA asks that a write be on stable storage before its status, and that what
	// a read returns be there: a volatile cache is flushed first (SBC-3 §4.15).
	FUA bool
	// Verify asks that what was written be read back and compared.
	Verify bool
	// Or asks that what is on the medium be ORed into what is written.
	Or bool
}

// Command is one SCSI command on its way through a device server.
//
// The first group is filled by the owner before Begin, the second by the device
// server, the third by the owner between Begin and Execute.
type Command struct {
	Nexus     Nexus
	LUN       LUN
	Attribute Attribute
	// Priority is a wish, and no promise.
	Priority Priority
	// Place is where the command stands in the order of its nexus, in serial
	// arithmetic; the CmdSN of RFC 3720 §3.2.2.1.
	Place uint32
	// Numbered says that Place is its own; else it is that of the next command (the I bit
	// of RFC 3720 §10.2.1.1).
	Numbered bool
	// Joint says that other connections, perhaps on other reactors, bring commands of the
	// same order.
	Joint    bool
	CDBBytes uint8
	CDB      [MaxCDBBytes]byte
	// ExpectedOutBytes is what the initiator announced to send (the Expected Data
	// Transfer Length of a write); zero when it announced nothing.
	ExpectedOutBytes int64
	// Path is the way the command came; nil shows no port and no units.
	Path *Path
	// Resumed says that the command has begun before, and goes on for another owner: it
	// has passed what meets a new one. Replaces is the ticket it has had at the home of
	// its unit, NoTicket when it had none there. Then Heard is how many functions its side
	// of the unit had heard of when it left, or Concluded, and Ended says that one of
	// these ends it.
	Resumed, Ended bool
	// Told says of a command that a function has ended, by its status TASK ABORTED or
	// with Ended, that its initiator gets that status.
	Told     bool
	Replaces uint32
	Heard    uint64
	// Part says that the command is a part of another one, which has met what meets a new
	// one: it takes no unit attention from who is to hear of it. Replaces is the ticket of
	// that one when both are the same unit's, else NoTicket.
	Part bool
	// TransportLevel is the level of the transport's protocol that the nexus has agreed
	// to, of which INQUIRY speaks; for iSCSI the iSCSIProtocolLevel (RFC 7144 §4.2).
	TransportLevel uint8
	// DescriptorSense is D_SENSE of the unit: sense leaves in descriptor format (SPC-4
	// §4.5.1).
	DescriptorSense bool
	// ReadOnly says that this initiator may not write to the unit, whatever others
	// may.
	ReadOnly bool

	// Action is set by Begin. DataOutBytes is what the command takes from the
	// initiator and DataInBytes the most it returns, both as the CDB has it and
	// not limited by what the initiator expects; the transport reports the
	// difference as a residual (RFC 7143 §11.4.5 [N-12]).
	Action       Action
	Status       Status
	Qualifier    Qualifier
	DataOutBytes int64
	DataInBytes  int64
	Extent       Extent
	Sense        Sense

	// Owner is the owner's own handle for the command; nobody else reads meaning
	// into it. Ticket is the task set's, drawn with Begin and given back when the
	// command is finished.
	Owner  uint64
	Ticket uint32

	// Buffer is lent for Execute. Execute finds the parameter list in
	// Buffer[:Received] and leaves DataInBytes bytes of answer at its start.
	Buffer   []byte
	Received int
}

// NoTicket is no ticket.
const NoTicket = ^uint32(0)

// Concluded stands for the functions that a command has heard of which is in no task set
// any more and is carried out once more.
const Concluded = ^uint64(0)

// Opcode is the first byte of the CDB.
func (c *Command) Opcode() byte { return c.CDB[0] }

// nacaMask is NACA in the CONTROL byte.
const nacaMask = 0x04

// NACA says whether the command, should it end with CHECK CONDITION, is to establish an
// auto contingent allegiance (SAM-5 §5.2). Where CONTROL stands follows from the opcode
// (SPC-4 §4.3); a CDB too short to have one, and a vendor's own, ask for nothing.
func (c *Command) NACA() bool {
	const variable = 0x7f
	at := 0
	switch c.CDB[0] >> 5 {
	case 0:
		at = 5
	case 1, 2:
		at = 9
	case 3:
		if c.CDB[0] != variable {
			return false
		}
		at = 1
	case 4:
		at = 15
	case 5:
		at = 11
	default:
		return false
	}
	return at < int(c.CDBBytes) && c.CDB[at]&nacaMask != 0
}

// Fail ends the command with CHECK CONDITION and the given sense.
func (c *Command) Fail(s Sense) {
	c.Action, c.Status, c.Sense = Complete, CheckCondition, s
	c.Sense.Descriptor = c.DescriptorSense
	c.DataInBytes, c.DataOutBytes = 0, 0
}

// Succeed ends the command with GOOD and no data.
func (c *Command) Succeed() {
	c.Action, c.Status = Complete, Good
	c.DataInBytes, c.DataOutBytes = 0, 0
}

// End ends the command with a status that has no sense, and without data.
func (c *Command) End(s Status) {
	c.Succeed()
	c.Status = s
}

// Defer ends the command with BUSY: it may be sent again, but not at once.
func (c *Command) Defer() {
	c.End(Busy)
	c.Qualifier = RetrySoon
}

// Reset clears everything but the memory, for the next use of a slab element.
func (c *Command) Reset() { *c = Command{} }
