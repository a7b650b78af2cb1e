package session

import (
	"lunar/iscsi/login"
	"lunar/iscsi/pdu"
	"lunar/scsi/sam"
)

// What is here says which responses are delivered behind a fence (RFC 7143 §4.2.2.3):
// behind everything the I_T_L nexus was told before, and before everything it is told
// after. The transport puts the fences up.

// Fences says whether responses get fences: it was negotiated, and the session may have
// several connections. On a single one nothing overtakes (§4.2.2.3.3 a).
func (c *Conn) Fences() bool { return c.fences }

func fences(s *Start) bool {
	return s.Shared != nil && s.Params.TaskReporting != login.RFC3720
}

// Scope is what a fence separates: the responses for one logical unit, or with All those
// for every one.
type Scope struct {
	LUN sam.LUN
	All bool
}

// Scope is what a fence around the response of t separates.
func (t *Task) Scope() Scope {
	return Scope{LUN: t.LUN, All: t.Kind == KindManage && !t.Function.NeedsLUN()}
}

// Holds says whether the response of t is one of those that a fence separates. Functions
// that take a command over, or ask for one, end nothing, and their response goes before
// whatever the command has to say (RFC 3720 §10.6 [R-10.6-1]).
func (s Scope) Holds(t *Task) bool {
	switch t.Kind {
	case KindSCSI:
	case KindManage:
		if f := t.Function; !f.EndsMany() && f != sam.AbortTask && f != sam.ClearACA {
			return false
		}
	case KindFree, KindPing, KindText, KindLogout:
		return false
	}
	return s.All || t.LUN == s.LUN || t.Scope().All
}

// NeedsFence says whether the response of a task is delivered behind a fence (RFC 7143
// §4.2.2.3.4 [N-4]). Which unit attention or ACA ACTIVE is the first one of an event is
// nowhere known, so each of them is.
func (c *Conn) NeedsFence(t *Task) bool {
	switch t.Kind {
	case KindSCSI:
		switch {
		case t.said != nil:
			return false // it was said before
		case t.Status == sam.ACAActive:
			return true
		case t.Status == sam.CheckCondition:
			return t.NACA() || t.tellsOfAbort()
		}
	case KindManage:
		return t.Result == pdu.FunctionComplete && (t.Function.EndsMany() || t.Function == sam.ClearACA)
	case KindFree, KindPing, KindText, KindLogout:
	}
	return false
}

// Additional sense codes by which a nexus hears that its commands were ended: a reset,
// and CLEAR TASK SET of another nexus (SPC-4 §5.13.5, SAM-5 §7.5).
const (
	ascReset   = 0x29
	ascCleared = 0x2f
)

// tellsOfAbort says whether a response carries a unit attention about the end of many
// tasks.
func (t *Task) tellsOfAbort() bool {
	asc := t.Sense.Code >> 8
	return t.Sense.Key == sam.UnitAttention && (asc == ascReset || asc == ascCleared)
}
