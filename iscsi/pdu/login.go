package pdu

import "fmt"

// Stage is a stage code of a login PDU (RFC 3720 §10.12.3). Code 2 is reserved.
type Stage uint8

// Stages.
const (
	SecurityStage    Stage = 0
	OperationalStage Stage = 1
	FullFeature      Stage = 3
)

const (
	stageMask     = 3
	currentShift  = 2
	offVersionMax = 2
	offVersion    = 3
	offISID       = 8
	offTSIH       = 14
	offCID        = 20
	offLoginState = 36
)

// ISID is the initiator's part of a session identifier (RFC 3720 §10.12.5).
type ISID [6]byte

// TSIH is the target's session handle; 0 asks for a new session (§10.12.6).
type TSIH uint16

// CID names a connection in its session (§10.12.7).
type CID uint16

// login holds what request and response share.
type login struct{ h *Header }

// Transit is the T bit: ready to leave the current stage.
func (p login) Transit() bool { return p.h[offFlags]&FlagFinal != 0 }

// Continue is the C bit: the text goes on in the next PDU.
func (p login) Continue() bool { return p.h[offFlags]&FlagContinue != 0 }

// Current is CSG.
func (p login) Current() Stage { return Stage(p.h[offFlags] >> currentShift & stageMask) }

// Next is NSG, meaningful with Transit.
func (p login) Next() Stage { return Stage(p.h[offFlags] & stageMask) }

// SetStages writes byte 1. Next is written as 0 unless transit is set, because
// it is reserved then (RFC 3720 §10.12.3 [R-10-1]).
func (p login) SetStages(current, next Stage, transit, more bool) {
	f := byte(current) << currentShift
	if transit {
		f |= FlagFinal | byte(next)
	}
	if more {
		f |= FlagContinue
	}
	p.h[offFlags] = f
}

// VersionMax is the highest version the sender supports.
func (p login) VersionMax() byte { return p.h[offVersionMax] }

// Version is Version-min of a request and Version-active of a response.
func (p login) Version() byte { return p.h[offVersion] }

// SetVersions writes both.
func (p login) SetVersions(highest, second byte) {
	p.h[offVersionMax], p.h[offVersion] = highest, second
}

// ISID is the initiator's part of the session identifier.
func (p login) ISID() ISID { return ISID(p.h[offISID : offISID+6]) }

// SetISID writes the ISID.
func (p login) SetISID(i ISID) { copy(p.h[offISID:], i[:]) }

// TSIH is the target's session handle.
func (p login) TSIH() TSIH { return TSIH(p.h.half(offTSIH)) }

// SetTSIH writes the handle.
func (p login) SetTSIH(t TSIH) { p.h.setHalf(offTSIH, uint16(t)) }

// LoginRequest is opcode 03h (RFC 3720 §10.12).
type LoginRequest struct {
	login
	Request
}

// AsLoginRequest views h as a Login Request.
func AsLoginRequest(h *Header) LoginRequest { return LoginRequest{login{h}, Request{h}} }

// CID is the connection's number in its session.
func (p LoginRequest) CID() CID { return CID(p.half(offCID)) }

// SetCID writes the connection number.
func (p LoginRequest) SetCID(c CID) { p.setHalf(offCID, uint16(c)) }

// LoginStatus is Status-Class and Status-Detail as one number (RFC 3720
// §10.13.5); a class other than 0 ends the login.
type LoginStatus uint16

// Login status codes.
const (
	LoginSuccess            LoginStatus = 0x0000
	LoginMovedTemporarily   LoginStatus = 0x0101
	LoginMovedPermanently   LoginStatus = 0x0102
	LoginInitiatorError     LoginStatus = 0x0200
	LoginAuthFailure        LoginStatus = 0x0201
	LoginForbidden          LoginStatus = 0x0202
	LoginNotFound           LoginStatus = 0x0203
	LoginTargetRemoved      LoginStatus = 0x0204
	LoginUnsupportedVersion LoginStatus = 0x0205
	LoginTooManyConnections LoginStatus = 0x0206
	LoginMissingParameter   LoginStatus = 0x0207
	LoginCannotInclude      LoginStatus = 0x0208
	LoginTypeNotSupported   LoginStatus = 0x0209
	LoginNoSession          LoginStatus = 0x020a
	LoginInvalidDuringLogin LoginStatus = 0x020b
	LoginTargetError        LoginStatus = 0x0300
	LoginServiceUnavailable LoginStatus = 0x0301
	LoginOutOfResources     LoginStatus = 0x0302
)

// LoginResponse is opcode 23h (RFC 3720 §10.13).
type LoginResponse struct {
	login
	Response
}

// AsLoginResponse views h as a Login Response.
func AsLoginResponse(h *Header) LoginResponse { return LoginResponse{login{h}, Response{h}} }

// Status is class and detail.
func (p LoginResponse) Status() LoginStatus { return LoginStatus(p.half(offLoginState)) }

// SetStatus writes class and detail.
func (p LoginResponse) SetStatus(s LoginStatus) { p.setHalf(offLoginState, uint16(s)) }

// loginWords are the statuses in words.
var loginWords = map[LoginStatus]string{
	LoginSuccess: "success", LoginMovedTemporarily: "target moved temporarily", LoginMovedPermanently: "target moved permanently",
	LoginInitiatorError: "initiator error", LoginAuthFailure: "authentication failed", LoginForbidden: "forbidden",
	LoginNotFound: "target not found", LoginTargetRemoved: "target removed", LoginUnsupportedVersion: "unsupported version",
	LoginTooManyConnections: "too many connections", LoginMissingParameter: "missing parameter",
	LoginCannotInclude: "cannot include in session", LoginTypeNotSupported: "session type not supported",
	LoginNoSession: "session does not exist", LoginInvalidDuringLogin: "invalid during login", LoginTargetError: "target error",
	LoginServiceUnavailable: "service unavailable", LoginOutOfResources: "out of resources",
}

// String is the status in words.
func (s LoginStatus) String() string {
	if w, ok := loginWords[s]; ok {
		return w
	}
	return fmt.Sprintf("status %04x", uint16(s))
}
