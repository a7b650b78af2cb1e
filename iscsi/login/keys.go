package login

import (
	"lunar/iscsi/auth"
	"lunar/iscsi/pdu"
	"lunar/iscsi/text"
)

// kind says how the result of a key is found (RFC 3720 §5.2, the Function column
// of its key table).
type kind uint8

const (
	// kindList: the first offered value we support (§5.2.1).
	kindList kind = iota + 1
	// kindAnd and kindOr: a Boolean function of both sides (§5.2.2).
	kindAnd
	kindOr
	// kindMin and kindMax: the smaller or larger of both sides.
	kindMin
	kindMax
	// kindDeclare: a number the sender states, without an answer.
	kindDeclare
	// kindName: an iSCSI name the sender states, without an answer.
	kindName
	// kindSession: the type of the session, which identify has read.
	kindSession
	// kindNote: a statement we take note of and answer with nothing.
	kindNote
	// kindReject: always answered Reject.
	kindReject
	// kindTargetOnly: only a target sends it.
	kindTargetOnly
	// kindProof: a key of the method that AuthMethod settled, which answers it.
	kindProof
)

// when is the set of phases in which a key may come.
type when uint8

const (
	inSecurity when = 1 << iota
	inOperational
	inFullFeature

	inLogin = inSecurity | inOperational
	always  = inLogin | inFullFeature
)

// Key is one row of the key table (RFC 3720 §11, §12).
type Key struct {
	name string
	kind kind
	when when
	// normalOnly keys are answered Irrelevant in a discovery session.
	normalOnly bool
	// leadingOnly keys are settled by the first connection of a session for all of it
	// (§12 [R-12-1]).
	leadingOnly bool
	// min and max bound a number; another one is answered Reject.
	min, max uint32
	// number and flag are where the result goes, ourNumber and ourFlag our side.
	number    func(*Params) *uint32
	flag      func(*Params) *bool
	ourNumber func(*Offer) uint32
	ourFlag   func(*Offer) bool
	// choices are the supported members of a list, and chosen stores one.
	choices []string
	chosen  func(*Params, string)
}

const (
	minSegment = 512
	maxSegment = pdu.MaxDataSegmentBytes
	maxSeconds = 3600
	maxCount   = 65535
)

var digestChoices = []string{"CRC32C", text.None}

// keys is the table. Its order gives each key its number in keySet.
var keys = [...]Key{
	{name: "InitiatorName", kind: kindName, when: inLogin},
	{name: "TargetName", kind: kindName, when: inLogin},
	{name: "SessionType", kind: kindSession, when: inLogin, leadingOnly: true},
	{name: "InitiatorAlias", kind: kindNote, when: always},
	{name: "TargetAlias", kind: kindTargetOnly, when: always},
	{name: "TargetAddress", kind: kindTargetOnly, when: always},
	{name: "TargetPortalGroupTag", kind: kindTargetOnly, when: inLogin},
	{
		// What is supported here; of it, demand leaves the one that is allowed.
		name: authMethod, kind: kindList, when: inSecurity, choices: []string{chap, text.None},
		chosen: func(*Params, string) {},
	},
	{name: auth.KeyAlgorithm, kind: kindProof, when: inSecurity},
	{name: auth.KeyIdentifier, kind: kindProof, when: inSecurity},
	{name: auth.KeyChallenge, kind: kindProof, when: inSecurity},
	{name: auth.KeyName, kind: kindProof, when: inSecurity},
	{name: auth.KeyResponse, kind: kindProof, when: inSecurity},
	{
		name: "HeaderDigest", kind: kindList, when: inOperational, choices: digestChoices,
		chosen: func(p *Params, v string) { p.HeaderDigest = v != text.None },
	},
	{
		name: "DataDigest", kind: kindList, when: inOperational, choices: digestChoices,
		chosen: func(p *Params, v string) { p.DataDigest = v != text.None },
	},
	{
		name: "MaxConnections", kind: kindMin, when: inOperational, leadingOnly: true, normalOnly: true, min: 1, max: maxCount,
		number:    func(p *Params) *uint32 { return &p.MaxConnections },
		ourNumber: func(o *Offer) uint32 { return o.MaxConnections },
	},
	{
		name: "InitialR2T", kind: kindOr, when: inOperational, leadingOnly: true, normalOnly: true,
		flag:    func(p *Params) *bool { return &p.InitialR2T },
		ourFlag: func(o *Offer) bool { return o.InitialR2T },
	},
	{
		name: "ImmediateData", kind: kindAnd, when: inOperational, leadingOnly: true, normalOnly: true,
		flag:    func(p *Params) *bool { return &p.ImmediateData },
		ourFlag: func(o *Offer) bool { return o.ImmediateData },
	},
	{
		name: "MaxRecvDataSegmentLength", kind: kindDeclare, when: inOperational | inFullFeature,
		min: minSegment, max: maxSegment,
		number: func(p *Params) *uint32 { return &p.MaxSend },
	},
	{
		name: "MaxBurstLength", kind: kindMin, when: inOperational, leadingOnly: true, normalOnly: true,
		min: minSegment, max: maxSegment,
		number:    func(p *Params) *uint32 { return &p.MaxBurstLength },
		ourNumber: func(o *Offer) uint32 { return o.MaxBurstLength },
	},
	{
		name: firstBurstLength, kind: kindMin, when: inOperational, leadingOnly: true, normalOnly: true,
		min: minSegment, max: maxSegment,
		number:    func(p *Params) *uint32 { return &p.FirstBurstLength },
		ourNumber: func(o *Offer) uint32 { return o.FirstBurstLength },
	},
	{
		// The one number of which the larger counts (RFC 3720 §12.15).
		name: "DefaultTime2Wait", kind: kindMax, when: inOperational, leadingOnly: true, max: maxSeconds,
		number:    func(p *Params) *uint32 { return &p.DefaultTime2Wait },
		ourNumber: func(o *Offer) uint32 { return o.DefaultTime2Wait },
	},
	{
		name: "DefaultTime2Retain", kind: kindMin, when: inOperational, leadingOnly: true, max: maxSeconds,
		number:    func(p *Params) *uint32 { return &p.DefaultTime2Retain },
		ourNumber: func(o *Offer) uint32 { return o.DefaultTime2Retain },
	},
	{
		name: maxOutstandingR2T, kind: kindMin, when: inOperational, leadingOnly: true, normalOnly: true, min: 1, max: maxCount,
		number:    func(p *Params) *uint32 { return &p.MaxOutstandingR2T },
		ourNumber: func(o *Offer) uint32 { return o.MaxOutstandingR2T },
	},
	{
		// We send and take data in order, whatever the peer could do.
		name: "DataPDUInOrder", kind: kindOr, when: inOperational, leadingOnly: true, normalOnly: true,
		flag:    func(p *Params) *bool { return &p.DataPDUInOrder },
		ourFlag: func(*Offer) bool { return true },
	},
	{
		name: "DataSequenceInOrder", kind: kindOr, when: inOperational, leadingOnly: true, normalOnly: true,
		flag:    func(p *Params) *bool { return &p.DataSequenceInOrder },
		ourFlag: func(*Offer) bool { return true },
	},
	{
		name: errorRecoveryLevel, kind: kindMin, when: inOperational, leadingOnly: true, max: maxLevel,
		number:    func(p *Params) *uint32 { return &p.ErrorRecoveryLevel },
		ourNumber: func(o *Offer) uint32 { return o.ErrorRecoveryLevel },
	},
	{
		// DEVIATION [D-4]: markers are gone since RFC 7143 §13.25 [N-1]; No is the
		// answer both standards allow, and intervals are answered Reject.
		name: "OFMarker", kind: kindAnd, when: inOperational,
		flag: func(*Params) *bool { return new(bool) }, ourFlag: func(*Offer) bool { return false },
	},
	{
		name: "IFMarker", kind: kindAnd, when: inOperational,
		flag: func(*Params) *bool { return new(bool) }, ourFlag: func(*Offer) bool { return false },
	},
	{name: "OFMarkInt", kind: kindReject, when: inOperational},
	{name: "IFMarkInt", kind: kindReject, when: inOperational},
	{
		// RFC 7143 §13.23 [N-3]: all of it is supported, so the initiator's preference
		// decides.
		name: "TaskReporting", kind: kindList, when: inOperational, leadingOnly: true, normalOnly: true,
		choices: reportings[:], chosen: func(p *Params, v string) { p.TaskReporting = reportingOf(v) },
	},
	{
		// RFC 7144 §7.1.1 [N-24].
		name: "iSCSIProtocolLevel", kind: kindMin, when: inOperational, leadingOnly: true, normalOnly: true, max: 31,
		number:    func(p *Params) *uint32 { return &p.ProtocolLevel },
		ourNumber: func(*Offer) uint32 { return protocolLevel },
	},
	// RFC 7143 §13.26 [N-20]: declarative, and never alters behaviour.
	{name: "X#NodeArchitecture", kind: kindNote, when: inOperational, leadingOnly: true},
	{name: SendTargets, kind: kindNote, when: inFullFeature},
}

const (
	// protocolLevel is what RFC 7144 adds.
	protocolLevel = 2

	firstBurstLength   = "FirstBurstLength"
	maxOutstandingR2T  = "MaxOutstandingR2T"
	errorRecoveryLevel = "ErrorRecoveryLevel"
	authMethod         = "AuthMethod"
	// maxLevel is the highest recovery level there is.
	maxLevel = 2
	// chap is the one method besides None (RFC 3720 §11.1 [R-11.1-1]).
	chap = "CHAP"
)

// SendTargets asks for the targets of a node, in full feature phase only
// (RFC 3720 appendix D [R-D-1]). The session answers it.
const SendTargets = "SendTargets"

// find returns the row of a key and its number, or -1.
func find(name []byte) (*Key, int) {
	for i := range keys {
		if keys[i].name == string(name) {
			return &keys[i], i
		}
	}
	return nil, -1
}

// keySet notes which keys came, to detect a repeated one.
type keySet uint64

var _ = [1]struct{}{}[len(keys)/64] // the set holds every key

func (s *keySet) add(i int) (again bool) {
	again = *s&(1<<i) != 0
	*s |= 1 << i
	return again
}
