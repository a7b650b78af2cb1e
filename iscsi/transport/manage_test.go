package transport

import (
	"testing"

	"lunar/internal/conform"
	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
	"lunar/scsi/sam"
)

// gap leaves out a CmdSN and returns it.
func (c *client) gap() uint32 {
	c.cmdSN++
	return c.cmdSN - 1
}

// A function that waits for earlier commands ends with the session, and never
// takes effect.
func TestLogout_EndsWaitingFunctions(t *testing.T) {
	conform.Covers(t, "R-10.14-1")
	w := newWorld(t, options{})
	c, other := w.login(), w.login()
	c.gap()
	c.manage(sam.LogicalUnitReset, pdu.NoTag, 0)
	c.logout()
	c.one(pdu.OpLogoutResp)
	if !c.peer.Ended() {
		t.Error("the connection stays open after the Logout Response")
	}
	other.check(0, w.medium[:512])
}

// Commands delivered together with a logout in front of them do not start.
func TestLogout_CommandsBehindItNeverStart(t *testing.T) {
	conform.Covers(t, "R-10.14-1", "R-10.14-5")
	w := newWorld(t, options{})
	c := w.login()
	missing := c.gap()
	h := c.request(pdu.OpLogoutReq, false)
	pdu.AsLogoutRequest(h).SetReason(pdu.CloseSession)
	c.send(h, nil)
	data := w.bytesOf(512)
	c.write10(5, 1, data, true)
	c.read10(0, 1)
	if a := c.answers(); len(a) != 0 {
		t.Fatalf("answers before the gap is closed: %s", names(a))
	}
	c.cmdSN = missing
	c.command(make([]byte, 6), pdu.FlagFinal, 0, nil)
	a := c.answers()
	// The command before the logout ends with its session (R-10.14-1) or was
	// answered; the Logout Response is the last PDU.
	if len(a) == 0 || a[len(a)-1].h.Opcode() != pdu.OpLogoutResp || !c.peer.Ended() {
		t.Fatalf("answers %s", names(a))
	}
	if string(w.medium[5*512:6*512]) == string(data) {
		t.Error("a command behind the logout was executed")
	}
}

// What is sent behind a logout has no effect and no answer (RFC 3720 §10.14
// [R-10.14-7]).
func TestLogout_RequestsBehindItAreIgnored(t *testing.T) {
	conform.Covers(t, "R-10.14-7")
	w := newWorld(t, options{slow: true})
	c := w.login()
	w.queue.held = true
	c.read10(0, 8)
	w.settle()
	c.logout()
	c.read10(0, 1)
	w.settle()
	w.queue.held = false
	c.one(pdu.OpLogoutResp)
}

// A numbered function may name a command delivered right behind it.
func TestManage_AbortsACommandNotStarted(t *testing.T) {
	w := newWorld(t, options{})
	c := w.login()
	missing := c.gap()
	h := c.request(pdu.OpTaskRequest, false)
	p := pdu.AsTaskRequest(h)
	p.SetFunction(sam.AbortTask)
	p.SetReferencedTag(pdu.ITT(c.nextT))
	p.SetRefCmdSN(serial.Cmd(c.cmdSN))
	c.send(h, nil)
	c.read10(0, 1)
	c.cmdSN = missing
	c.command(make([]byte, 6), pdu.FlagFinal, 0, nil)
	a := c.answers()
	if len(a) != 2 || len(dataIn(a)) != 0 {
		t.Fatalf("answers %s", names(a))
	}
	c.cmdSN = missing + 3
	c.check(0, w.medium[:512])
}

// ABORT TASK of a command that never came needs no waiting: the gap it names is
// what it closes (RFC 3720 §6.9 [R-6.9-1]).
func TestManage_AbortTaskClosesAGapAtOnce(t *testing.T) {
	conform.Covers(t, "R-6.9-1", "R-10.6.1-2")
	conform.Trap(t, 14)
	w := newWorld(t, options{})
	c := w.login()
	missing := c.gap()
	c.read10(0, 1)
	if a := c.answers(); len(a) != 0 {
		t.Fatalf("answers %s", names(a))
	}
	c.manage(sam.AbortTask, 0x4711, missing)
	a := c.answers()
	if len(a) != 2 || a[0].h.Opcode() != pdu.OpTaskResponse || pdu.AsTaskResponse(&a[0].h).Result() != pdu.FunctionComplete {
		t.Fatalf("answers %s", names(a))
	}
	if len(dataIn(a)) != 512 {
		t.Error("the command behind the gap was not executed")
	}
}

// A reset that waited in vain for earlier commands ends those that came and wait
// behind the gap: they are numbered before it (RFC 3720 §10.5.1).
func TestManage_ResetAfterItsWait_EndsQueuedCommands(t *testing.T) {
	conform.Covers(t, "R-10.5.1-4", "R-10.5.1-10")
	w := newWorld(t, options{})
	c := w.login()
	missing := c.gap()
	c.read10(0, 1)
	c.manage(sam.LogicalUnitReset, pdu.NoTag, 0)
	w.settle()
	w.pass(3 * w.stack.limits.AbortNanos)
	if a := c.one(pdu.OpTaskResponse); pdu.AsTaskResponse(&a.h).Result() != pdu.FunctionComplete {
		t.Fatal("result", pdu.AsTaskResponse(&a.h).Result())
	}
	next := c.cmdSN
	c.cmdSN = missing
	c.command(make([]byte, 6), pdu.FlagFinal, 0, nil)
	if a := c.answers(); len(a) != 1 || len(dataIn(a)) != 0 {
		t.Fatalf("answers %s", names(a))
	}
	c.cmdSN = next
	c.check(0, w.medium[:512])
}

// LUN RESET from elsewhere ends commands without an answer; the window they held
// is told about (RFC 3720 §10.4.11 [R-10.4.11-1]).
func TestManage_ResetFromElsewhere_ReopensTheWindow(t *testing.T) {
	conform.Covers(t, "R-10.4.11-1", "R-10.5.1-10")
	conform.Trap(t, 7)
	w := newWorld(t, options{slow: true})
	a, b := w.login(), w.login()
	w.queue.held = true
	for range w.stack.limits.Session.Window {
		b.read10(0, 8)
	}
	w.settle()
	a.manage(sam.LogicalUnitReset, pdu.NoTag, 0)
	w.settle()
	if got := a.drain(); len(got) != 0 {
		t.Fatalf("answers before the medium is quiet: %s", names(got))
	}
	w.queue.held = false
	a.one(pdu.OpTaskResponse)
	nop := b.one(pdu.OpNOPIn)
	r := pdu.AsNOPIn(&nop.h)
	if r.TTT() != pdu.NoTag || r.ITT() != pdu.NoTag || r.MaxCmdSN().Uint32() != b.cmdSN+w.stack.limits.Session.Window-1 {
		t.Errorf("TTT %x ITT %x MaxCmdSN %v, next CmdSN %d", r.TTT(), r.ITT(), r.MaxCmdSN(), b.cmdSN)
	}
	b.read10(0, 1)
	got := b.answers() // the unit attention of the reset
	if len(got) != 1 || statusOf(&got[0]) != sam.CheckCondition || got[0].data[4] != byte(sam.UnitAttention) {
		t.Fatalf("answers %s", names(got))
	}
	b.check(0, w.medium[:512])
}

// An initiator that aborts and then sends nothing more is waited for within a
// bound (open-iscsi with FastAbort); data that comes later is thrown away.
func TestManage_AbortOfAWriteThatOwesData(t *testing.T) {
	conform.Trap(t, 41)
	conform.Trap(t, 42)
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
	conform.Covers(t, "R-10.5.1-1", "R-10.6.1-3", "R-10.5.1-11")
	w := newWorld(t, options{})
	c := w.login()
	for f, want := range map[sam.Function]pdu.TaskResult{
		0: pdu.FunctionNotSupported, sam.AbortTask: pdu.TaskDoesNotExist, sam.AbortTaskSet: pdu.FunctionComplete,
		sam.ClearACA: pdu.FunctionComplete, sam.ClearTaskSet: pdu.FunctionComplete,
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
