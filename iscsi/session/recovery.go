package session

// fault is a class of error of RFC 3720 §6.
type fault uint8

// Faults. The first three have one remedy at every level here, which stands where
// they are found; they are listed so that the table is whole.
const (
	// badHeader: the header digest of a PDU is wrong. Its lengths may be too, and
	// without markers nothing tells where the next PDU starts (§6.7 [R-6.7-2]).
	badHeader fault = iota
	// badRequest: the payload digest of a request is wrong, immediate data included.
	// A retry brings all of it again (§6.7 [R-6.7-5]).
	badRequest
	// lostConnection: nothing is continued on another connection (§6.12).
	lostConnection
	// badData: the payload digest of a Data-Out is wrong (§6.7 [R-6.7-4]).
	badData
	// missingData: a DataSN is passed over (§6.8 [R-6.8-1]), or a burst ends before
	// all of it has come (§6.1.4.1 [R-6.1.4.1-1]).
	missingData
	// lateData: a burst does not go on (§6.1.4.1 [R-6.1.4.1-1]).
	lateData
	// lostAnswer: the initiator says that it has not received something of ours
	// (§10.16).
	lostAnswer
)

// remedy is what is done about a fault.
type remedy uint8

// Remedies.
const (
	closeConnection remedy = iota + 1
	endSession
	// dropRequest: Reject; its number stays open.
	dropRequest
	// failTask: the command ends with CHECK CONDITION once its bursts have ended.
	failTask
	// await: nothing is done.
	await
	// askAgain: a recovery R2T asks for what is missing.
	askAgain
	// sendAgain: it is kept until it is acknowledged, and sent once more.
	sendAgain
	// refuseSNACK: Reject 03, nothing is kept.
	refuseSNACK
)

// MaxRecoveryLevel is the highest ErrorRecoveryLevel a session can have.
const MaxRecoveryLevel = 1

// remedies says what a fault leads to at each ErrorRecoveryLevel. Nothing else here or
// in the transport looks at the level.
var remedies = [...][MaxRecoveryLevel + 1]remedy{
	badHeader:      {closeConnection, closeConnection},
	badRequest:     {dropRequest, dropRequest},
	lostConnection: {endSession, endSession},
	badData:        {failTask, askAgain},
	missingData:    {failTask, askAgain},
	lateData:       {await, askAgain},
	lostAnswer:     {refuseSNACK, sendAgain},
}

func (c *Conn) remedy(f fault) remedy { return remedies[f][c.Params.ErrorRecoveryLevel] }
