package initiator

import (
	"strconv"

	"lunar/iscsi/text"
)

// Bounds of the length keys, in bytes (RFC 3720 §12.12-12.14).
const (
	minLength = 512
	maxLength = 1<<24 - 1
	// loginSegmentBytes is the data segment limit while login lasts (RFC 3720
	// §12.12: the default holds until declared otherwise, and then after login).
	loginSegmentBytes = 8192
)

// rule is how a key's result follows from two values (RFC 3720 §5.2).
type rule uint8

const (
	declare rule = iota
	minimum
	maximum
	and
	or2
	list
)

// keyRow is one operational key: its rule, our value for a Config, and where a
// result goes.
type keyRow struct {
	name string
	rule rule
	// normal says that the key means nothing in a discovery session (RFC 3720 §12).
	normal bool
	// leading says that the first login of a session settles the key for all of its
	// connections (RFC 3720 §12).
	leading bool
	// standard is what holds anyway, and is not offered.
	standard  string
	low, high uint64
	offer     func(*Config) string
	store     func(*Params, string)
}

// keyTable is every operational key that is offered, in the order of the request.
var keyTable = []keyRow{
	{
		name: "HeaderDigest", rule: list,
		offer: func(c *Config) string { return digestOffer(c.HeaderDigest) },
		store: func(p *Params, v string) { p.HeaderDigest = v == "CRC32C" },
	},
	{
		name: "DataDigest", rule: list,
		offer: func(c *Config) string { return digestOffer(c.DataDigest) },
		store: func(p *Params, v string) { p.DataDigest = v == "CRC32C" },
	},
	{
		name: "MaxRecvDataSegmentLength", rule: declare, low: minLength, high: maxLength,
		offer: func(c *Config) string { return number(c.MaxRecvDataSegmentLength) },
		store: func(p *Params, v string) { p.MaxSendDataSegmentLength = parsed(v) },
	},
	{
		name: "InitialR2T", leading: true, rule: or2, normal: true,
		offer: func(c *Config) string { return text.YesNo(*c.InitialR2T) },
		store: func(p *Params, v string) { p.InitialR2T = v == text.Yes },
	},
	{
		name: "ImmediateData", leading: true, rule: and, normal: true,
		offer: func(c *Config) string { return text.YesNo(*c.ImmediateData) },
		store: func(p *Params, v string) { p.ImmediateData = v == text.Yes },
	},
	{
		name: "MaxBurstLength", leading: true, rule: minimum, normal: true, low: minLength, high: maxLength,
		offer: func(c *Config) string { return number(c.MaxBurst) },
		store: func(p *Params, v string) { p.MaxBurst = parsed(v) },
	},
	{
		name: "FirstBurstLength", leading: true, rule: minimum, normal: true, low: minLength, high: maxLength,
		offer: func(c *Config) string { return number(c.FirstBurst) },
		store: func(p *Params, v string) { p.FirstBurst = parsed(v) },
	},
	{
		name: "MaxOutstandingR2T", leading: true, rule: minimum, normal: true, low: 1, high: 65535,
		offer: func(c *Config) string { return number(uint32(c.MaxOutstandingR2T)) },
		store: func(p *Params, v string) { p.MaxOutstandingR2T = uint16(parsed(v)) },
	},
	{
		name: "MaxConnections", leading: true, rule: minimum, normal: true, low: 1, high: 65535,
		offer: func(c *Config) string { return number(uint32(c.MaxConnections)) },
		store: func(p *Params, v string) { p.MaxConnections = uint16(parsed(v)) },
	},
	{
		name: "ErrorRecoveryLevel", leading: true, rule: minimum, high: maxLevel,
		offer: func(c *Config) string { return number(uint32(c.RecoveryLevel)) },
		store: func(p *Params, v string) { p.ErrorRecoveryLevel = uint8(parsed(v)) },
	},
	{
		// RFC 7143 §13.23.
		name: "TaskReporting", leading: true, rule: list, normal: true, standard: RFC3720.String(),
		offer: func(c *Config) string { return reportings[c.TaskReporting].offer },
		store: func(p *Params, v string) { p.TaskReporting = reportingOf(v) },
	},
	{name: "DataPDUInOrder", leading: true, rule: or2, normal: true, offer: fixed(text.Yes), store: ignored},
	{name: "DataSequenceInOrder", leading: true, rule: or2, normal: true, offer: fixed(text.Yes), store: ignored},
	{
		name: "DefaultTime2Wait", leading: true, rule: maximum, high: 3600,
		offer: func(c *Config) string { return number(uint32(c.Time2Wait)) },
		store: func(p *Params, v string) { p.DefaultTime2Wait = uint16(parsed(v)) },
	},
	{
		name: "DefaultTime2Retain", leading: true, rule: minimum, high: 3600,
		offer: func(c *Config) string { return number(uint32(c.Time2Retain)) },
		store: func(p *Params, v string) { p.DefaultTime2Retain = uint16(parsed(v)) },
	},
}

func fixed(v string) func(*Config) string { return func(*Config) string { return v } }
func ignored(*Params, string)             {}
func number(n uint32) string              { return strconv.FormatUint(uint64(n), 10) }

// parsed reads a number that result has already checked.
func parsed(v string) uint32 {
	n, _ := text.Number([]byte(v))
	return uint32(n)
}

func digestOffer(want bool) string {
	if want {
		return "CRC32C,None"
	}
	return text.None
}

func findKey(name string) *keyRow {
	for i := range keyTable {
		if keyTable[i].name == name {
			return &keyTable[i]
		}
	}
	return nil
}

// allows says whether theirs is a result that the key's rule permits when we
// offered ours: an answer outside the offer is the target's mistake (RFC 3720
// §5.2.1, §5.2.2).
func (k *keyRow) allows(ours, theirs string) bool {
	switch k.rule {
	case list:
		return inList(ours, theirs)
	case and:
		return theirs == text.No || theirs == text.Yes && ours == text.Yes
	case or2:
		return theirs == text.Yes || theirs == text.No && ours == text.No
	case declare, minimum, maximum:
	}
	n, ok := text.Number([]byte(theirs))
	if !ok || n < k.low || n > k.high {
		return false
	}
	mine := uint64(parsed(ours))
	return k.rule == declare || k.rule == minimum && n <= mine || k.rule == maximum && n >= mine
}

// combined is what the rule of a Yes or No makes of both values, for a target that
// answers with its own value instead of the result. Everything else stays as it is.
func (k *keyRow) combined(ours, theirs string) string {
	if k.rule == and || k.rule == or2 {
		if v, ok := k.answer(ours, theirs); ok {
			return v
		}
	}
	return theirs
}

// answer is our result when the target offers first. It is false when the offer is
// malformed.
func (k *keyRow) answer(ours, theirs string) (string, bool) {
	switch k.rule {
	case list:
		return firstCommon(theirs, ours)
	case and, or2:
		t, ok := text.Bool([]byte(theirs))
		mine := ours == text.Yes
		if k.rule == and {
			return text.YesNo(t && mine), ok
		}
		return text.YesNo(t || mine), ok
	case declare, minimum, maximum:
	}
	n, ok := text.Number([]byte(theirs))
	if !ok || n < k.low || n > k.high {
		return "", false
	}
	if mine := uint64(parsed(ours)); k.rule == minimum && mine < n || k.rule == maximum && mine > n {
		return ours, true
	}
	return theirs, true
}

func inList(list, item string) bool {
	for rest := []byte(list); len(rest) > 0; {
		var it []byte
		it, rest = text.NextItem(rest)
		if string(it) == item {
			return true
		}
	}
	return false
}

// firstCommon is the first member of offered that we accept (RFC 3720 §5.2.1: the
// offer is in order of preference).
func firstCommon(offered, accepted string) (string, bool) {
	for rest := []byte(offered); len(rest) > 0; {
		var it []byte
		it, rest = text.NextItem(rest)
		if inList(accepted, string(it)) {
			return string(it), true
		}
	}
	return "", false
}
