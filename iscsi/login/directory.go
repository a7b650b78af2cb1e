package login

import (
	"net/netip"

	"lunar/iscsi/auth"
	"lunar/iscsi/pdu"
)

// Query is who asks for what. Names are in lower case.
type Query struct {
	// Target is empty in a discovery session that names none.
	Initiator, Target string
	Discovery         bool
	// Source is the initiator's address; it proves nothing.
	Source netip.Addr
}

// Access is the answer to a Query.
type Access struct {
	// Status is LoginSuccess, or why not (RFC 3720 §10.13.5).
	Status pdu.LoginStatus
	// Addresses are the TargetAddress values of a redirection, host[:port] without a
	// tag (RFC 3720 §12.8 [R-12.8-2]); one with none is answered as LoginTargetError.
	Addresses []string
	// Alias is the TargetAlias, at most 255 bytes of UTF-8 without NUL; empty for none.
	// It is said once, in a normal session, to an initiator that proved itself.
	Alias string
	// Offer is our side of the negotiation; nil is the portal's.
	Offer *Offer
	// Auth is what the initiator must prove, a policy that passed its Check; nil
	// demands nothing.
	Auth *auth.Policy
}

// Directory answers what the login phase must know of the targets of a portal, and
// of discovery. It is asked once in a login, when the names are known and before
// anything is negotiated.
type Directory interface {
	Access(q Query) Access
}
