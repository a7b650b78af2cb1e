package session

import "lunar/iscsi/login"

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
	// lostConnection: the transport of a connection is gone (§6.12).
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
	// park: its commands wait for their reassignment (§6.1.4.3).
	park
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
const MaxRecoveryLevel = 2

// remedies says what a fault leads to at each ErrorRecoveryLevel. Nothing else here or
// in the transport looks at the level.
var remedies = [...][MaxRecoveryLevel + 1]remedy{
	badHeader:      {closeConnection, closeConnection, closeConnection},
	badRequest:     {dropRequest, dropRequest, dropRequest},
	lostConnection: {endSession, endSession, park},
	badData:        {failTask, askAgain, askAgain},
	missingData:    {failTask, askAgain, askAgain},
	lateData:       {await, askAgain, askAgain},
	lostAnswer:     {refuseSNACK, sendAgain, sendAgain},
}

// Parks says whether the commands of a connection that is lost wait to be reassigned.
func (c *Conn) Parks() bool { return c.remedy(lostConnection) == park }

// Parks is the same of a session with these parameters, and Shares says whether its
// connections have an order in common: it may have several, or others that take the
// place of those it has lost (§5.3.4 [R-5.3.4-1]).
func Parks(p login.Params) bool { return remedies[lostConnection][p.ErrorRecoveryLevel] == park }

// Shares is described with Parks.
func Shares(p login.Params) bool { return p.MaxConnections > 1 || Parks(p) }

func (c *Conn) remedy(f fault) remedy { return remedies[f][c.Params.ErrorRecoveryLevel] }
