package transport

import (
	"fmt"
	"testing"

	"lunar/internal/conform"
	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
	"lunar/scsi/sam"
)

// An immediate function over many tasks passes commands that wait, waits for the
// ones numbered before it, ends them all, and nothing of them is said behind its
// response; another session hears of what it lost.
func TestManage_OrderOfFunctionsOverManyTasks(t *testing.T) {
	for f, k := range map[sam.Function]struct {
		mine, other uint16
		lost        bool
	}{
		sam.AbortTaskSet:     {0, 0, false},
		sam.ClearTaskSet:     {0, 0x2f00, true},
		sam.LogicalUnitReset: {0x2903, 0x2903, true},
		sam.TargetWarmReset:  {0x2902, 0x2902, true},
	} {
		t.Run(fmt.Sprintf("function %d", f), func(t *testing.T) {
			conform.Covers(t, "R-10.5.1-2", "R-10.5.1-3", "R-10.5.1-4", "R-10.5.1-10", "R-3.2.2.1-12", "N-4", "N-5")
			conform.Trap(t, 15)
			w := newWorld(t, options{slow: true})
			c, other := w.login(), w.login()
			w.queue.held = true
			theirs := other.read10(0, 8)
			c.read10(8, 8) // runs
			missing := c.gap()
			c.read10(16, 8) // waits for the gap
			tmf := c.manage(f, pdu.NoTag, 0)
			if a := append(c.answers(), other.drain()...); len(a) != 0 {
				t.Fatalf("answers %s before the gap is closed", names(a))
			}
			late := c.cmdSN
			c.cmdSN = missing
			c.read10(24, 8) // the one that was missing: numbered before the function
			c.cmdSN = late
			behind := c.read10(32, 8) // numbered behind it: not its business
			if a := append(c.answers(), other.drain()...); len(a) != 0 {
				t.Fatalf("answers %s while the medium works", names(a))
			}
			w.queue.held = false
			c.afterFunction(tmf, behind, k.mine)
			if got := dataIn(other.drain()); (len(got) == 0) != k.lost {
				t.Errorf("the other session read %d bytes of %x", len(got), theirs)
			}
			if got := other.attention(); got != k.other {
				t.Errorf("the other session is told %04x, want %04x", got, k.other)
			}
		})
	}
}

// afterFunction checks what comes when the medium goes on: the response of the
// function, the data of the command behind it, and nothing else.
func (c *client) afterFunction(tmf, behind pdu.ITT, attention uint16) {
	c.w.Helper()
	a := c.answers()
	if len(a) != 2 || a[0].h.ITT() != tmf && a[1].h.ITT() != tmf {
		c.w.Fatalf("answers %s", names(a))
	}
	for i := range a {
		switch a[i].h.ITT() {
		case tmf:
			if r := pdu.AsTaskResponse(&a[i].h).Result(); r != pdu.FunctionComplete {
				c.w.Errorf("result %d", r)
			}
		case behind:
			if a[i].h.Opcode() != pdu.OpDataIn || len(a[i].data) != 8*512 {
				c.w.Errorf("the command behind: %v with %d bytes", a[i].h.Opcode(), len(a[i].data))
			}
		default:
			c.w.Errorf("an answer to %x", a[i].h.ITT())
		}
	}
	// The unit attention of the function stands behind its response.
	if got := c.attention(); got != attention {
		c.w.Errorf("told %04x, want %04x", got, attention)
	}
}

// The initiator of the aborted writes goes on sending, or stops for good as
// open-iscsi does: the function answers in time, and late data is thrown away.
func TestManage_WritesThatOweData(t *testing.T) {
	conform.Covers(t, "R-10.5.1-5", "R-10.5.1-4")
	conform.Trap(t, 41)
	conform.Trap(t, 42)
	for _, f := range []sam.Function{sam.AbortTask, sam.AbortTaskSet, sam.ClearTaskSet, sam.LogicalUnitReset} {
		for _, silent := range []bool{false, true} {
			w := newWorld(t, options{})
			c := w.login("InitialR2T=Yes", "ImmediateData=No")
			data := w.bytesOf(16384)
			itt := c.write10(0, 32, nil, true)
			r2t := c.one(pdu.OpR2T)
			c.manage(f, itt, c.cmdSN-1)
			if a := c.answers(); len(a) != 0 {
				t.Fatalf("function %d: answers %s while data is owed", f, names(a))
			}
			if silent {
				w.pass(2 * w.stack.limits.AbortNanos)
				c.one(pdu.OpTaskResponse)
			}
			c.answerR2T(&r2t, data, 4096)
			if silent {
				if a := c.answers(); len(a) != 0 {
					t.Fatalf("function %d: late data is answered: %s", f, names(a))
				}
			} else {
				c.one(pdu.OpTaskResponse)
			}
			c.attention()
			c.check(0, make([]byte, 16384))
		}
	}
}

// An initiator that stops in the middle of a PDU holds nobody up either; the rest of
// the PDU, when it comes, is nobody's, and the connection goes on behind it.
func TestManage_SilentInAPDU(t *testing.T) {
	conform.Trap(t, 41)
	for _, keys := range [][]string{{"InitialR2T=Yes"}, {"InitialR2T=Yes", "DataDigest=CRC32C"}, {"InitialR2T=No"}} {
		w := newWorld(t, options{})
		c, other := w.login(append(keys, "ImmediateData=No", "FirstBurstLength=16384")...), w.login()
		data := w.bytesOf(16384)
		unasked := keys[0] == "InitialR2T=No"
		itt := c.write10(0, 32, nil, !unasked)
		ttt := pdu.TTT(pdu.NoTag)
		if !unasked {
			r2t := c.one(pdu.OpR2T)
			ttt = pdu.AsR2T(&r2t.h).TTT()
		}
		wire := c.wire(dataOutHeader(itt, ttt, 0, 0, true), data)
		c.peer.Write(wire[:1000])
		w.settle()
		other.manage(sam.LogicalUnitReset, pdu.NoTag, 0)
		if a := other.answers(); len(a) != 0 {
			t.Fatalf("answers %s while data is owed", names(a))
		}
		w.pass(2 * w.stack.limits.AbortNanos)
		other.one(pdu.OpTaskResponse)
		c.answers() // at most word of the window
		c.peer.Write(wire[1000:])
		if a := c.answers(); len(a) != 0 {
			t.Fatalf("late data is answered: %s", names(a))
		}
		if got := c.attention(); got != 0x2903 {
			t.Errorf("attention %04x", got)
		}
		c.check(0, make([]byte, 16384))
	}
}

// TARGET COLD RESET answers, then every connection of every initiator ends.
func TestManage_ColdReset(t *testing.T) {
	conform.Covers(t, "R-10.5.1-12", "R-F.2-1")
	w := newWorld(t, options{slow: true})
	a, b := w.login(), w.login()
	w.queue.held = true
	b.read10(0, 8)
	w.settle()
	a.manage(sam.TargetColdReset, pdu.NoTag, 0)
	if got := a.answers(); len(got) != 0 || a.peer.Ended() {
		t.Fatalf("answers %s while the medium works", names(got))
	}
	w.queue.held = false
	if r := a.one(pdu.OpTaskResponse); pdu.AsTaskResponse(&r.h).Result() != pdu.FunctionComplete {
		t.Error("result", pdu.AsTaskResponse(&r.h).Result())
	}
	got := b.drain() // at most word of the window
	if len(got) > 1 || len(got) == 1 && got[0].h.Opcode() != pdu.OpNOPIn || !a.peer.Ended() || !b.peer.Ended() || w.ended != 2 {
		t.Errorf("answers %s, ended %v %v", names(got), a.peer.Ended(), b.peer.Ended())
	}
	if got := w.again().attention(); got != 0x2900 { // as after a power on
		t.Errorf("attention %04x", got)
	}
}

// A reset ends commands whatever their number is; ABORT TASK takes RefCmdSN only
// when it does not find the task.
func TestManage_RefCmdSN(t *testing.T) {
	conform.Covers(t, "R-10.5.5-1", "R-6.9-2", "R-10.6.1-2", "N-28")
	conform.Trap(t, 14)
	w := newWorld(t, options{slow: true})
	c := w.login()
	w.queue.held = true
	itt := c.read10(0, 8)
	w.settle()
	c.manage(sam.AbortTask, itt, 4711) // a wrong number, but the task is here
	w.queue.held = false
	if a := c.one(pdu.OpTaskResponse); pdu.AsTaskResponse(&a.h).Result() != pdu.FunctionComplete {
		t.Errorf("result %d", pdu.AsTaskResponse(&a.h).Result())
	}
	for _, ref := range []uint32{c.cmdSN - 1, c.cmdSN + 200, c.cmdSN} {
		h := c.request(pdu.OpTaskRequest, true)
		p := pdu.AsTaskRequest(h)
		p.SetFunction(sam.AbortTask)
		p.SetReferencedTag(0x4711)
		p.SetRefCmdSN(serial.Cmd(ref))
		c.send(h, nil)
		a := c.one(pdu.OpTaskResponse)
		if r := pdu.AsTaskResponse(&a.h); r.Result() != pdu.TaskDoesNotExist || r.ExpCmdSN() != serial.Cmd(c.cmdSN) {
			t.Errorf("RefCmdSN %d: result %d, ExpCmdSN %v", ref, r.Result(), r.ExpCmdSN())
		}
	}
	h := c.request(pdu.OpTaskRequest, true)
	pdu.AsTaskRequest(h).SetFunction(sam.LogicalUnitReset)
	h.SetLUN(sam.LUNOf(9))
	c.send(h, nil)
	if a := c.one(pdu.OpTaskResponse); pdu.AsTaskResponse(&a.h).Result() != pdu.LUNDoesNotExist {
		t.Error("result", pdu.AsTaskResponse(&a.h).Result())
	}
}
