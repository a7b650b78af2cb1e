package transport

import (
	"testing"

	"lunar/iscsi/pdu"
	"lunar/scsi/sam"
)

// gap leaves out a CmdSN and returns it.
func (c *client) gap() uint32 {
	c.cmdSN++
	return c.cmdSN - 1
}

// An initiator that aborts and then sends nothing more is waited for within a
// bound (open-iscsi with FastAbort); data that comes later is thrown away.
func TestManage_AbortOfAWriteThatOwesData(t *testing.T) {
	for _, late := range []bool{false, true} {
		w := newWorld(t, options{})
		c := w.login("InitialR2T=Yes")
		data := w.bytesOf(16384)
		itt := c.write10(0, 32, nil, true)
		r2t := c.one(pdu.OpR2T)
		c.manage(sam.AbortTask, itt, c.cmdSN-1)
		if a := c.answers(); len(a) != 0 {
			t.Fatalf("answers %s", names(a))
		}
		if late {
			w.pass(3 * w.stack.limits.AbortNanos)
			c.one(pdu.OpTaskResponse)
			c.answerR2T(&r2t, data, 4096)
			if a := c.answers(); len(a) != 0 {
				t.Fatalf("answers %s", names(a))
			}
		} else {
			c.answerR2T(&r2t, data, 4096)
			c.one(pdu.OpTaskResponse)
		}
		c.check(0, make([]byte, 16384))
	}
}

// Functions are aborted by nobody (RFC 3720 §10.5.1 [R-10.5.1-9]), and every
// function gets its answer ([R-10.5.1-1]).
func TestManage_EveryFunctionIsAnswered(t *testing.T) {
	w := newWorld(t, options{})
	c := w.login()
	for f, want := range map[sam.Function]pdu.TaskResult{
		0: pdu.FunctionNotSupported, sam.AbortTask: pdu.TaskDoesNotExist, sam.AbortTaskSet: pdu.FunctionComplete,
		sam.ClearACA: pdu.FunctionNotSupported, sam.ClearTaskSet: pdu.FunctionComplete,
		sam.LogicalUnitReset: pdu.FunctionComplete, sam.TargetWarmReset: pdu.FunctionComplete,
		sam.TaskReassign: pdu.ReassignmentNotSupported, 9: pdu.FunctionNotSupported, 127: pdu.FunctionNotSupported,
	} {
		c.manage(f, 0x4711, c.cmdSN-20)
		if a := c.one(pdu.OpTaskResponse); pdu.AsTaskResponse(&a.h).Result() != want {
			t.Errorf("function %d: result %d", f, pdu.AsTaskResponse(&a.h).Result())
		}
	}
	h := c.request(pdu.OpTaskRequest, true)
	pdu.AsTaskRequest(h).SetFunction(sam.LogicalUnitReset)
	h.SetLUN(sam.LUNOf(9))
	c.send(h, nil)
	if a := c.one(pdu.OpTaskResponse); pdu.AsTaskResponse(&a.h).Result() != pdu.LUNDoesNotExist {
		t.Error("a LUN without a unit is reset")
	}
}
