package session

import (
	"testing"

	"lunar/internal/conform"
	"lunar/iscsi/login"
	"lunar/iscsi/order"
	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
	"lunar/scsi/sam"
)

// fast is a connection of a session with FastAbort.
func fast() *Conn {
	s := defaults()
	s.params.TaskReporting = login.FastAbort
	return newPlay(s).c
}

// nop is a NOP-Out without an Initiator Task Tag.
func (c *Conn) nop(l sam.LUN, ttt pdu.TTT, exp uint32) {
	var h pdu.Header
	h.SetOpcode(pdu.OpNOPOut)
	h.SetImmediate()
	h.SetFlags(pdu.FlagFinal)
	h.SetITT(pdu.NoTag)
	h.SetLUN(l)
	p := pdu.AsNOPOut(&h)
	p.SetTTT(ttt)
	p.SetExpStatSN(serial.Stat(exp))
	c.Header(&h, nil)
	c.End(true)
}

// A termination is told once for each unit, and acknowledged by a NOP-Out that names the
// unit, has no tag and comes from beyond the StatSN of the message.
func TestTermination(t *testing.T) {
	conform.Covers(t, "N-6", "R-10.9.3-1", "R-10.9-1")
	c := fast()
	one, two := sam.LUNOf(1), sam.LUNOf(2)
	for _, l := range []sam.LUN{one, two, one} {
		c.Terminate(l)
	}
	for i, l := range []sam.LUN{one, two} {
		var h pdu.Header
		if !c.Terminating() {
			t.Fatal("nothing to tell")
		}
		c.EmitTermination(&h)
		p := pdu.AsAsync(&h)
		p1, p2, p3 := p.Parameters()
		if p.Event() != pdu.EventTermination || p.LUN() != l || p.StatSN() != serial.Stat(100+uint32(i)) || p.ITT() != pdu.NoTag || p1|p2|p3 != 0 {
			t.Errorf("event %d, LUN %x, StatSN %v, %d %d %d", p.Event(), p.LUN(), p.StatSN(), p1, p2, p3)
		}
	}
	if c.Terminating() {
		t.Fatal("told twice")
	}
	for _, k := range []struct {
		what string
		lun  sam.LUN
		ttt  pdu.TTT
		exp  uint32
	}{
		{"the StatSN of the message itself", one, pdu.NoTag, 100},
		{"another unit", sam.LUNOf(3), pdu.NoTag, 102},
		{"the answer to a ping of the target", one, pingTTT, 102},
	} {
		c.nop(k.lun, k.ttt, k.exp)
		if !c.Reserves(one) || !c.Reserves(two) {
			t.Errorf("%s acknowledges", k.what)
		}
	}
	c.nop(one, pdu.NoTag, 102)
	if c.Reserves(one) || !c.Reserves(two) {
		t.Errorf("reserved %v, %v", c.Reserves(one), c.Reserves(two))
	}
	// More tasks of a unit are ended before the first message is acknowledged.
	c.Terminate(two)
	c.nop(two, pdu.NoTag, 102)
	if !c.Reserves(two) || !c.Terminating() {
		t.Error("an earlier message was acknowledged, and a later one is not sent")
	}
	var h pdu.Header
	c.EmitTermination(&h)
	c.nop(two, pdu.NoTag, 103)
	if c.Reserves(two) || len(c.terminations) != 0 {
		t.Error("not acknowledged")
	}
}

// A task that outlives its tag has its place and its Target Transfer Tags to itself; the
// tag is another task's.
func TestOutlive_FreesTheTag(t *testing.T) {
	conform.Covers(t, "N-6")
	c := fast()
	take := func() *Task {
		var h pdu.Header
		h.SetOpcode(pdu.OpSCSICommand)
		h.SetITT(7)
		return c.slab.take(KindSCSI, &h)
	}
	old := take()
	old.Out.Total, old.Phase = 1024, Running
	var r2t pdu.Header
	c.EmitR2T(old, &r2t, 1024)
	old.Phase = Aborting
	c.Outlive(old)
	if _, live := c.Find(7); live {
		t.Fatal("the tag is not free")
	}
	next := take()
	if found, _ := c.Find(7); found != next || next == old {
		t.Fatal("the tag is not the next task's")
	}
	d := pdu.AsDataOut(new(pdu.Header))
	d.SetOpcode(pdu.OpDataOut)
	d.SetFlags(pdu.FlagFinal)
	d.SetITT(7)
	d.SetTTT(pdu.AsR2T(&r2t).TTT())
	d.SetDataBytes(1024)
	// Late data is thrown away without a word.
	if v := c.Header(d.Header, nil); v.Verdict != Skip || v.Task != old || c.Rejecting() {
		t.Errorf("late data: %+v", v)
	}
	c.End(true)
	if old.Out.Owed() {
		t.Error("its burst is still owed")
	}
	c.Release(old)
	if found, _ := c.Find(7); found != next {
		t.Error("the end of the old task took the tag of the new one")
	}
}

// The responses of RFC 7143 §4.2.2.3.4 get a fence, where it was negotiated and a
// session may have several connections.
func TestFence_WhichResponses(t *testing.T) {
	conform.Covers(t, "N-4")
	s := Start{Params: login.DefaultParams(), Limits: Limits{Window: 8, Immediate: 4}, Shared: order.New(serial.Cmd(1), 8, true)}
	for r, want := range map[login.TaskReporting]bool{login.RFC3720: false, login.ResponseFence: true, login.FastAbort: true} {
		s.Params.TaskReporting = r
		if c := NewConn(s); c.Fences() != want {
			t.Errorf("%v: fences %v", r, c.Fences())
		}
	}
	c := NewConn(s)
	naca := []byte{0x28, 0, 0, 0, 0, 0, 0, 0, 1, 4}
	command := func(st sam.Status, key sam.SenseKey, code uint16, cdb []byte) *Task {
		t := &Task{Kind: KindSCSI}
		t.Status, t.Sense = st, sam.NewSense(key, code)
		t.CDBBytes = uint8(copy(t.CDB[:], cdb))
		return t
	}
	function := func(f sam.Function, r pdu.TaskResult) *Task { return &Task{Kind: KindManage, Function: f, Result: r} }
	for what, k := range map[string]struct {
		t    *Task
		want bool
	}{
		"a reset is told":           {command(sam.CheckCondition, sam.UnitAttention, 0x2903, naca[:6]), true},
		"CLEAR TASK SET is told":    {command(sam.CheckCondition, sam.UnitAttention, 0x2f00, naca[:6]), true},
		"another unit attention":    {command(sam.CheckCondition, sam.UnitAttention, 0x2a09, naca[:6]), false},
		"a failure":                 {command(sam.CheckCondition, sam.MediumError, 0x1100, naca[:6]), false},
		"a failure with NACA":       {command(sam.CheckCondition, sam.MediumError, 0x1100, naca), true},
		"ACA ACTIVE":                {command(sam.ACAActive, 0, 0, naca[:6]), true},
		"BUSY":                      {command(sam.Busy, 0, 0, naca), false},
		"GOOD with NACA":            {command(sam.Good, 0, 0, naca), false},
		"LOGICAL UNIT RESET":        {function(sam.LogicalUnitReset, pdu.FunctionComplete), true},
		"TARGET WARM RESET":         {function(sam.TargetWarmReset, pdu.FunctionComplete), true},
		"CLEAR ACA":                 {function(sam.ClearACA, pdu.FunctionComplete), true},
		"ABORT TASK":                {function(sam.AbortTask, pdu.FunctionComplete), false},
		"a function that is absent": {function(sam.ClearTaskSet, pdu.LUNDoesNotExist), false},
		"a ping":                    {&Task{Kind: KindPing}, false},
	} {
		if got := c.NeedsFence(k.t); got != k.want {
			t.Errorf("%s: fence %v", what, got)
		}
	}
	unit, all := Scope{LUN: sam.LUNOf(1)}, function(sam.TargetWarmReset, pdu.FunctionComplete).Scope()
	mine, other := command(sam.Good, 0, 0, naca), command(sam.Good, 0, 0, naca)
	mine.LUN, other.LUN = sam.LUNOf(1), sam.LUNOf(2)
	for f, want := range map[sam.Function]bool{
		sam.AbortTask: true, sam.LogicalUnitReset: true, sam.TargetWarmReset: true, sam.TaskReassign: false, sam.QueryTask: false,
	} {
		x := function(f, pdu.FunctionComplete)
		if x.LUN = sam.LUNOf(1); unit.Holds(x) != want {
			t.Errorf("function %d is held: %v", f, !want)
		}
	}
	if !unit.Holds(mine) || unit.Holds(other) || !all.Holds(mine) || !all.Holds(other) || all.Holds(&Task{Kind: KindPing}) {
		t.Error("the scope of a fence is another one")
	}
}
