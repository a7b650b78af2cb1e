package pdu

const (
	reasonMask     = 0x7f
	offTime2Wait   = 40
	offTime2Retain = 42
)

// LogoutReason is why an initiator logs out (RFC 3720 §10.14.1).
type LogoutReason uint8

// Logout reasons.
const (
	CloseSession      LogoutReason = 0
	CloseConnection   LogoutReason = 1
	RemoveForRecovery LogoutReason = 2
)

// LogoutRequest is opcode 06h (RFC 3720 §10.14).
type LogoutRequest struct{ Request }

// AsLogoutRequest views h as a Logout Request.
func AsLogoutRequest(h *Header) LogoutRequest { return LogoutRequest{Request{h}} }

// Reason is why.
func (p LogoutRequest) Reason() LogoutReason { return LogoutReason(p.Header[offFlags] & reasonMask) }

// SetReason writes byte 1: the reason with F, which is always set.
func (p LogoutRequest) SetReason(r LogoutReason) { p.Header[offFlags] = FlagFinal | byte(r) }

// CID is the connection to close; not meaningful when the session closes.
func (p LogoutRequest) CID() CID { return CID(p.half(offCID)) }

// SetCID writes the connection number.
func (p LogoutRequest) SetCID(c CID) { p.setHalf(offCID, uint16(c)) }

// LogoutResult is the outcome of a logout (RFC 3720 §10.15.1).
type LogoutResult uint8

// Logout outcomes.
const (
	LogoutDone                 LogoutResult = 0
	LogoutCIDNotFound          LogoutResult = 1
	LogoutRecoveryNotSupported LogoutResult = 2
	LogoutCleanupFailed        LogoutResult = 3
)

// LogoutResponse is opcode 26h (RFC 3720 §10.15).
type LogoutResponse struct{ Response }

// AsLogoutResponse views h as a Logout Response.
func AsLogoutResponse(h *Header) LogoutResponse { return LogoutResponse{Response{h}} }

// Result is the outcome.
func (p LogoutResponse) Result() LogoutResult { return LogoutResult(p.Header[offResponse]) }

// SetResult writes the outcome.
func (p LogoutResponse) SetResult(r LogoutResult) { p.Header[offResponse] = byte(r) }

// Times are Time2Wait and Time2Retain in seconds (§10.15.3).
func (p LogoutResponse) Times() (wait, retain uint16) {
	return p.half(offTime2Wait), p.half(offTime2Retain)
}

// SetTimes writes Time2Wait and Time2Retain.
func (p LogoutResponse) SetTimes(wait, retain uint16) {
	p.setHalf(offTime2Wait, wait)
	p.setHalf(offTime2Retain, retain)
}
