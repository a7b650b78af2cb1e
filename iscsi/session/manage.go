package session

import (
	"lunar/iscsi/pdu"
	"lunar/scsi/sam"
)

// manage takes the header of a Task Management Function Request (RFC 3720
// §10.5).
func (c *Conn) manage(h *pdu.Header, ahs []byte) Disposition {
	// §10.5.2 [R-10.5.2-1]: no data and no additional header.
	if h.DataBytes() != 0 || len(ahs) != 0 {
		return c.refuse(pdu.RejectInvalidField, h, ahs)
	}
	p := pdu.AsTaskRequest(h)
	t, d := c.request(KindManage, h, ahs)
	if t == nil {
		return d
	}
	t.LUN, t.Function = h.LUN(), p.Function()
	t.RefTag, t.RefCmdSN, t.RefDataSN = p.ReferencedTag(), p.RefCmdSN(), p.ExpDataSN()
	return Disposition{Verdict: Skip}
}

// ManageStep is what a task management function needs next.
type ManageStep uint8

// Steps of a task management function.
const (
	// ManageDone: Result stands.
	ManageDone ManageStep = iota + 1
	// ManageTask: one task of this session ends, then Result stands.
	ManageTask
	// ManageUnit: the function goes to the logical unit, which ends every affected
	// task of every nexus.
	ManageUnit
	// ManageTarget: the same for each logical unit of the target.
	ManageTarget
	// ManageSeek: the task is looked for on the connections of the session that are
	// gone; then Result stands, or Reassigned goes on.
	ManageSeek
	// ManageNexus: every task of the nexus ends, then the response goes, then every
	// connection of the session closes.
	ManageNexus
)

// RunManage decides on a delivered function. For ManageTask it returns the task
// that ends. Every function gets a response (§10.5.1 [R-10.5.1-1]).
func (c *Conn) RunManage(t *Task) (ManageStep, *Task) {
	switch t.Function {
	case sam.AbortTask:
		return c.abortTask(t)
	case sam.AbortTaskSet, sam.ClearACA, sam.ClearTaskSet, sam.LogicalUnitReset:
		return ManageUnit, nil
	case sam.TargetWarmReset, sam.TargetColdReset:
		return ManageTarget, nil
	case sam.TaskReassign:
		return c.reassign(t), nil
	case sam.QueryTask, sam.QueryTaskSet, sam.NexusReset, sam.QueryAsynchronousEvent:
		return c.manage2(t), nil
	default:
		t.Result = pdu.FunctionNotSupported
	}
	return ManageDone, nil
}

// manage2 decides on the functions of protocol level 2 (RFC 7144 §6.3 [N-27]); below it
// they are not supported.
func (c *Conn) manage2(t *Task) ManageStep {
	switch {
	case c.Params.ProtocolLevel < protocolLevel2:
		t.Result = pdu.FunctionNotSupported
	case t.Function == sam.QueryTask:
		return c.queryTask(t)
	case t.Function == sam.NexusReset:
		// What comes behind it on this connection is thrown away.
		c.State, _ = c.State.Next(T9)
		t.Result = pdu.FunctionComplete
		return ManageNexus
	default:
		return ManageUnit
	}
	return ManageDone
}

// protocolLevel2 is the iSCSIProtocolLevel of RFC 7144.
const protocolLevel2 = 2

// queryTask says whether a command is in the task set (RFC 7144 §6.4.2). One that never
// came is not, and its number stays open.
func (c *Conn) queryTask(t *Task) ManageStep {
	ref, ok := c.Find(t.RefTag)
	switch {
	case ok && ref.Kind != KindSCSI:
		t.Result = pdu.FunctionRejected
	case ok && ref.LUN == t.LUN && ref.Phase != Aborting:
		t.Result = pdu.FunctionSucceeded
	case !ok && c.Parks():
		// Its connection may be gone.
		return ManageSeek
	default:
		t.Result = pdu.FunctionComplete
	}
	return ManageDone
}

// reassign decides on TASK REASSIGN as far as this connection knows (§6.2.2).
func (c *Conn) reassign(t *Task) ManageStep {
	ref, ok := c.Find(t.RefTag)
	switch {
	case !c.Parks():
		// [R-6.2.2-4]: no reassignment below level 2.
		t.Result = pdu.ReassignmentNotSupported
	case ok && ref.Kind != KindSCSI:
		// §10.5.1 [R-10.5.1-14].
		t.Result = pdu.FunctionRejected
	case ok:
		// [R-6.2.2-4]: it is bound to this connection, which lives.
		t.Result = pdu.TaskStillAllegiant
	default:
		return ManageSeek
	}
	return ManageDone
}

// abortTask looks for the task meant (§10.6.1 [R-10.6.1-2]).
func (c *Conn) abortTask(t *Task) (ManageStep, *Task) {
	ref, ok := c.Find(t.RefTag)
	switch {
	case ok && ref.Kind != KindSCSI:
		// §10.5.1 [R-10.5.1-9]: a function cannot be aborted, nor other iSCSI tasks.
		t.Result = pdu.FunctionRejected
		return ManageDone, nil
	case ok && ref.LUN == t.LUN:
		t.Result = pdu.FunctionComplete
		return ManageTask, ref
	case !ok && c.Parks():
		// §10.5.1 [R-10.5.1-8]: its connection may be gone.
		return ManageSeek, nil
	default:
		c.NotFound(t)
	}
	return ManageDone, nil
}

// NotFound decides on a function over a task that no connection knows.
func (c *Conn) NotFound(t *Task) {
	if t.Function == sam.QueryTask {
		t.Result = pdu.FunctionComplete
		return
	}
	if t.Function == sam.AbortTask && t.RefCmdSN.Less(t.CmdSN) && c.giveUp(t.RefCmdSN) {
		// §6.9 [R-6.9-1]: it never came. Its number counts as received, so a late copy
		// is ignored and what waits behind it goes on.
		t.Result = pdu.FunctionComplete
		c.drain()
		return
	}
	// §6.9 [R-6.9-2]: it was answered already, or never was.
	t.Result = pdu.TaskDoesNotExist
}

// MustWait says whether t is an immediate function over many tasks of which some,
// numbered before it, have not come yet; it waits for them (RFC 3720 §10.6.2
// [R-10.6.2-1]). ABORT TASK names one task, and if that never came, its number
// (§6.9 [R-6.9-1]).
func (c *Conn) MustWait(t *Task) bool {
	switch t.Function {
	case sam.AbortTaskSet, sam.ClearTaskSet, sam.LogicalUnitReset, sam.TargetWarmReset, sam.TargetColdReset:
		// Those on their way to other cores have not come there yet.
		return c.expected().Less(t.CmdSN) || c.shared != nil && t.Immediate && c.shared.Handed()
	case sam.AbortTask, sam.ClearACA, sam.TaskReassign:
	case sam.QueryTask, sam.QueryTaskSet, sam.NexusReset, sam.QueryAsynchronousEvent:
	}
	return false
}

// Covers says whether a function over many tasks of one unit, or of the target,
// ends other, which waits for an earlier CmdSN: commands numbered before the function
// are its business wherever they are (§10.5.1 [R-10.5.1-2]).
func (t *Task) Covers(other *Task) bool {
	return other.Kind == KindSCSI && other.Phase == Waiting && other.CmdSN.Less(t.CmdSN) &&
		(!t.Function.NeedsLUN() || other.LUN == t.LUN)
}
