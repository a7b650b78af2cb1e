package initiator

import (
	"errors"
	"fmt"

	"lunar/iscsi/pdu"
	"lunar/scsi/sam"
)

// Errors that a caller may want to tell apart with errors.Is.
var (
	// ErrClosed: the session was closed by its user.
	ErrClosed = errors.New("session is closed")
	// ErrFull: Config.QueueDepth requests are in progress; submit again when one
	// has ended.
	ErrFull = errors.New("queue depth is used up")
	// ErrAborted: the command was ended by a task management function.
	ErrAborted = errors.New("command was aborted by task management")
	// ErrDigest: received bytes do not match their CRC32C (RFC 3720 §12.1).
	ErrDigest = errors.New("digest does not match: bytes were damaged on the way")
	// ErrDataLost: the target cannot send again what was lost on the way.
	ErrDataLost = errors.New("target does not send again what was lost")
	// ErrSilent: a connection that owed an answer said nothing (Config.Probe).
	ErrSilent = errors.New("connection has gone silent; the target, or the way to it, is down")
	// ErrUnproven: the target did not prove that it knows CHAP.TargetSecret, so it may
	// be another one; nothing was sent to it but the login.
	ErrUnproven = errors.New("target did not prove itself; check TargetSecret, and that it is the right target")
)

// ProtocolError says that the target broke a rule, named in What. It ends the
// session.
type ProtocolError struct{ What string }

// Error implements error.
func (e *ProtocolError) Error() string {
	return "target broke the protocol: " + e.What
}

func broken(format string, args ...any) error {
	return &ProtocolError{What: fmt.Sprintf(format, args...)}
}

// LoginError is a Login Response of a class other than 0 (RFC 3720 §10.13.5).
type LoginError struct {
	Portal, Target string
	Status         pdu.LoginStatus
}

// Error implements error.
func (e *LoginError) Error() string {
	advice, known := loginAdvice[e.Status]
	if !known {
		advice = "look at the target's log"
	}
	return fmt.Sprintf("initiator: log in to %s at %s: status 0x%04x: %s",
		e.Target, e.Portal, uint16(e.Status), advice)
}

var loginAdvice = map[pdu.LoginStatus]string{
	pdu.LoginMovedTemporarily:   "moved, but to no usable address",
	pdu.LoginMovedPermanently:   "moved, but to no usable address",
	pdu.LoginInitiatorError:     "target saw an error in the login; compare the offered keys",
	pdu.LoginAuthFailure:        "authentication failed, or is demanded: give the user and secret the target knows",
	pdu.LoginForbidden:          "this initiator name is not allowed; add it to the target's access list",
	pdu.LoginNotFound:           "no such target at this portal; check the name with discovery",
	pdu.LoginTargetRemoved:      "target was removed",
	pdu.LoginUnsupportedVersion: "target speaks no version of ours",
	pdu.LoginTooManyConnections: "too many connections in the session",
	pdu.LoginMissingParameter:   "target misses a key",
	pdu.LoginTypeNotSupported:   "target does not support this session type",
	pdu.LoginServiceUnavailable: "target is not operational; try again later",
	pdu.LoginOutOfResources:     "target has no resources left; close other sessions",
}

// LostError is a request whose connection was lost before the answer: the target may
// have carried it out or not. Connections are named by their CID.
type LostError struct {
	Portal, Target string
	CID            pdu.CID
	Cause          error
}

// Error implements error.
func (e *LostError) Error() string {
	return fmt.Sprintf("initiator: connection %d with %s at %s was lost before the answer; ask for its outcome or repeat it: %v",
		e.CID, e.Target, e.Portal, e.Cause)
}

// Unwrap is why the connection was lost.
func (e *LostError) Unwrap() error { return e.Cause }

// RejectError is a Reject PDU (RFC 3720 §10.17). Header is that of the rejected
// PDU, as the target returned it.
type RejectError struct {
	Reason pdu.RejectReason
	Header pdu.Header
}

// Error implements error.
func (e *RejectError) Error() string {
	return fmt.Sprintf("target rejected a %v with reason %v", e.Header.Opcode(), e.Reason)
}

// AsyncError is an Async Message (RFC 3720 §10.9). Parameters depend on the event:
// a CID, Time2Wait, Time2Retain, in seconds.
type AsyncError struct {
	Event                              pdu.AsyncEvent
	Vendor                             byte
	LUN                                sam.LUN
	Parameter1, Parameter2, Parameter3 uint16
	// Data is sense with its length in front for EventSCSI, a copy.
	Data []byte
}

// Error implements error.
func (e *AsyncError) Error() string {
	what, known := asyncText[e.Event]
	if !known {
		what = fmt.Sprintf("event %d", e.Event)
	}
	return "target sent an Async Message: " + what
}

var asyncText = map[pdu.AsyncEvent]string{
	pdu.EventSCSI:          "a SCSI event",
	pdu.EventLogoutRequest: "it asks for logout; log in again later",
	pdu.EventDropping:      "it drops the connection; log in again",
	pdu.EventDroppingAll:   "it drops all connections of the session; log in again",
	pdu.EventRenegotiate:   "it asks for negotiation; log in again",
	pdu.EventTermination:   "tasks of a logical unit are ended",
	pdu.EventVendor:        "a vendor's event",
}

// SCSIError is a command that ended with a status other than GOOD.
type SCSIError struct {
	Opcode byte
	Status sam.Status
	Key    sam.SenseKey
	// Code is ASC and ASCQ as one number; 0x2900 is 29h/00h.
	Code  uint16
	Sense []byte
}

// Error implements error.
func (e *SCSIError) Error() string {
	if e.Status != sam.CheckCondition {
		return fmt.Sprintf("SCSI command 0x%02x ended with status 0x%02x", e.Opcode, byte(e.Status))
	}
	return fmt.Sprintf("SCSI command 0x%02x ended with sense key 0x%x, code %02x/%02x",
		e.Opcode, byte(e.Key), e.Code>>8, e.Code&0xff)
}

// parseSense reads key and code of fixed and descriptor sense (SPC-4 §4.5).
func parseSense(b []byte) (sam.SenseKey, uint16) {
	if len(b) == 0 {
		return 0, 0
	}
	switch b[0] & 0x7f {
	case 0x70, 0x71:
		if len(b) >= 14 {
			return sam.SenseKey(b[2] & 0x0f), uint16(b[12])<<8 | uint16(b[13])
		}
	case 0x72, 0x73:
		if len(b) >= 4 {
			return sam.SenseKey(b[1] & 0x0f), uint16(b[2])<<8 | uint16(b[3])
		}
	}
	return 0, 0
}
