package login

import (
	"net/netip"
	"slices"

	"lunar/iscsi/pdu"
)

// DefaultMaxRecvDataSegmentLength holds in each direction until a side declares
// its own, and during login (RFC 3720 §12.12, §5.3 [R-5.3-13]), in bytes.
const DefaultMaxRecvDataSegmentLength = 8192

// Params are the operational parameters of a session and its connection: the
// results of negotiation, starting from the defaults of RFC 3720 §12. Lengths
// are in bytes, times in seconds.
type Params struct {
	HeaderDigest, DataDigest bool

	MaxConnections      uint32
	InitialR2T          bool
	ImmediateData       bool
	MaxBurstLength      uint32
	FirstBurstLength    uint32
	DefaultTime2Wait    uint32
	DefaultTime2Retain  uint32
	MaxOutstandingR2T   uint32
	DataPDUInOrder      bool
	DataSequenceInOrder bool
	ErrorRecoveryLevel  uint32
	ProtocolLevel       uint32
	TaskReporting       TaskReporting

	// MaxSend is the most the initiator takes in one data segment, MaxRecv the
	// most we take: the two MaxRecvDataSegmentLength declarations (§12.12).
	MaxSend, MaxRecv uint32
}

// TaskReporting is how the end of tasks is reported (RFC 7143 §13.23). Each value
// includes what those before it promise.
type TaskReporting uint8

// Values of TaskReporting, the default first.
const (
	// RFC3720 promises no fences around responses, and waits for data that tasks which
	// are ended together still owe.
	RFC3720 TaskReporting = iota
	// ResponseFence puts fences around responses (§4.2.2.3.3).
	ResponseFence
	// FastAbort ends many tasks without waiting for their data (§4.2.3.4).
	FastAbort
)

var reportings = [...]string{RFC3720: "RFC3720", ResponseFence: "ResponseFence", FastAbort: "FastAbort"}

// String is the value as it is negotiated.
func (r TaskReporting) String() string { return reportings[r] }

// reportingOf is the value that one of reportings names.
func reportingOf(name string) TaskReporting {
	return TaskReporting(slices.Index(reportings[:], name))
}

// inherit takes over what only the leading login of a session may settle (the LO
// keys of RFC 3720 §12 [R-12-1]): a connection that is reinstated belongs to a session
// that has them. Digests and segment lengths are the connection's own.
func (p *Params) inherit(session Params) {
	own := *p
	*p = session
	p.HeaderDigest, p.DataDigest, p.MaxSend, p.MaxRecv = own.HeaderDigest, own.DataDigest, own.MaxSend, own.MaxRecv
}

// DefaultParams are the values before anything is negotiated (RFC 3720 §12).
func DefaultParams() Params {
	return Params{
		MaxConnections:      1,
		InitialR2T:          true,
		ImmediateData:       true,
		MaxBurstLength:      262144,
		FirstBurstLength:    65536,
		DefaultTime2Wait:    2,
		DefaultTime2Retain:  20,
		MaxOutstandingR2T:   1,
		DataPDUInOrder:      true,
		DataSequenceInOrder: true,
		ProtocolLevel:       1,
		MaxSend:             DefaultMaxRecvDataSegmentLength,
		MaxRecv:             DefaultMaxRecvDataSegmentLength,
	}
}

// Offer is our side of every negotiation: the values RFC 3720 §12 combines with
// the initiator's.
type Offer struct {
	MaxConnections     uint32
	InitialR2T         bool
	ImmediateData      bool
	MaxBurstLength     uint32
	FirstBurstLength   uint32
	DefaultTime2Wait   uint32
	DefaultTime2Retain uint32
	MaxOutstandingR2T  uint32
	// ErrorRecoveryLevel is at most 1: sessions have no more.
	ErrorRecoveryLevel       uint32
	MaxRecvDataSegmentLength uint32
}

// DefaultOffer is what we offer without configuration. FirstBurstLength bounds
// what an initiator may send unasked, so memory for it is kept per command;
// MaxRecvDataSegmentLength is the largest pooled buffer.
func DefaultOffer() Offer {
	return Offer{
		MaxConnections:           8,
		InitialR2T:               false,
		ImmediateData:            true,
		MaxBurstLength:           1 << 20,
		FirstBurstLength:         65536,
		DefaultTime2Wait:         2,
		DefaultTime2Retain:       20,
		MaxOutstandingR2T:        8,
		ErrorRecoveryLevel:       2,
		MaxRecvDataSegmentLength: 262144,
	}
}

// Identity is who logs in to what: the two ends of an I_T nexus (RFC 3720
// §3.2.3 [R-3.2.3-8]).
type Identity struct {
	// Initiator and Target are iSCSI names in lower case; Target is empty in an
	// unnamed discovery session.
	Initiator, Target string
	// Alias is what the initiator calls itself for people (RFC 3720 §12.6), at most 255
	// bytes of whatever it sent; empty when its first text had none.
	Alias     string
	Discovery bool
	ISID      pdu.ISID
	// TSIH is what the first request carried: 0 asks for a new session.
	TSIH           pdu.TSIH
	CID            pdu.CID
	PortalGroupTag uint16
	// Source is where the connection comes from.
	Source netip.Addr
	// User is the name that was proved by CHAP; empty where nobody asked.
	User string
}
