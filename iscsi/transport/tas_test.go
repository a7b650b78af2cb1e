package transport

import (
	"testing"

	"lunar/iscsi/pdu"
	"lunar/scsi/sam"
)

// tas has MODE SELECT set TAS; the others hear of that.
func (c *client) tas(others ...*client) {
	c.w.Helper()
	list := []byte{0, 0, 0, 0, 0x0a, 10, 0, 0x10, 0, 0x40, 0, 0, 0xff, 0xff, 0, 0}
	c.command([]byte{0x15, 0x10, 0, 0, byte(len(list)), 0}, pdu.FlagFinal|pdu.CommandWrite, len(list), list)
	if a := c.one(pdu.OpSCSIResponse); statusOf(&a) != sam.Good {
		c.w.Fatalf("MODE SELECT: %x", a.data)
	}
	for _, o := range others {
		if got := o.attention(); got != 0x2a01 {
			c.w.Fatalf("told %04x", got)
		}
	}
}

// aborted takes the one answer, the status TASK ABORTED of a command.
func (c *client) aborted(itt pdu.ITT) {
	c.w.Helper()
	a := substance(c.answers())
	if len(a) != 1 || a[0].h.ITT() != itt || a[0].h.Opcode() != pdu.OpSCSIResponse || statusOf(&a[0]) != sam.TaskAborted {
		c.w.Fatalf("answers %s", names(a))
	}
	if len(a[0].data) != 0 {
		c.w.Errorf("sense %x", a[0].data)
	}
}

// With TAS a command that somebody else ends has a status, when nothing touches the medium
// for it any more and its data has come; its own initiator hears nothing of those it ends
// itself. Only the reset leaves a unit attention.
func TestTAS_OfAnotherNexus(t *testing.T) {
	for f, attention := range map[sam.Function]uint16{sam.ClearTaskSet: 0, sam.LogicalUnitReset: 0x2903} {
		w := newWorld(t, options{slow: true})
		third, issuer := w.login("InitialR2T=Yes", "ImmediateData=No"), w.login()
		issuer.tas(third)
		w.queue.held = true
		read := third.read10(0, 8)
		issuer.read10(8, 8)
		w.settle()
		issuer.manage(f, pdu.NoTag, 0)
		if a := append(issuer.answers(), third.drain()...); len(a) != 0 {
			t.Fatalf("function %d: answers %s while the medium works", f, names(a))
		}
		w.queue.held = false
		issuer.one(pdu.OpTaskResponse)
		third.aborted(read)
		if got := third.attention(); got != attention {
			t.Errorf("function %d: told %04x", f, got)
		}
		third.check(0, make([]byte, 512))
		if w.staged.Free() != w.staged.Bytes() || w.unit.Tasks(0) != 0 {
			t.Errorf("function %d: %d bytes, %d tasks are left", f, w.staged.Bytes()-w.staged.Free(), w.unit.Tasks(0))
		}
	}
}

// What its own initiator ends too has no status.
func TestTAS_EndedByBoth(t *testing.T) {
	w := newWorld(t, options{slow: true})
	third, issuer := w.login(), w.login()
	issuer.tas(third)
	w.queue.held = true
	read := third.read10(0, 8)
	w.settle()
	issuer.manage(sam.ClearTaskSet, pdu.NoTag, 0)
	w.settle()
	third.manage(sam.AbortTask, read, third.cmdSN-1)
	w.queue.held = false
	issuer.one(pdu.OpTaskResponse)
	third.one(pdu.OpTaskResponse)
}

// Who owes data gets the status behind it; who does not send it in time hears of the end by a
// unit attention, and of late data nothing.
func TestTAS_OwedData(t *testing.T) {
	for _, silent := range []bool{false, true} {
		w := newWorld(t, options{})
		third := w.login("InitialR2T=Yes", "ImmediateData=No")
		issuer := w.login()
		issuer.tas(third)
		write := third.write10(100, 32, nil, true)
		r2t := third.one(pdu.OpR2T)
		issuer.manage(sam.ClearTaskSet, pdu.NoTag, 0)
		if a := append(issuer.answers(), third.drain()...); len(a) != 0 {
			t.Fatalf("answers %s while data is owed", names(a))
		}
		if silent {
			w.pass(2 * w.stack.limits.AbortNanos)
			issuer.one(pdu.OpTaskResponse)
			third.late(write, pdu.AsR2T(&r2t.h).TTT())
			if got := third.attention(); got != 0x2f00 {
				t.Errorf("told %04x", got)
			}
			continue
		}
		third.dataOut(write, pdu.AsR2T(&r2t.h).TTT(), 0, 0, ones(16384), true)
		third.aborted(write)
		issuer.one(pdu.OpTaskResponse)
		third.check(100, make([]byte, 512))
	}
}

// With FastAbort nobody waits for owed data: the initiator hears of it as FastAbort has it. Of
// other commands it hears by their status.
func TestTAS_FastAbort(t *testing.T) {
	w := newWorld(t, options{slow: true})
	issuer := w.login(fastAbort)
	issuer.tas()
	third, write, ttt := w.owing(fastAbort)
	w.queue.held = true
	read := third.read10(0, 8)
	w.settle()
	issuer.manage(sam.ClearTaskSet, pdu.NoTag, 0)
	w.queue.held = false
	issuer.one(pdu.OpTaskResponse)
	var told, status bool
	for _, a := range substance(third.answers()) {
		switch {
		case a.h.Opcode() == pdu.OpAsync && pdu.AsAsync(&a.h).Event() == pdu.EventTermination:
			told = true
			third.acknowledge(pdu.AsAsync(&a.h))
		case a.h.ITT() == read && statusOf(&a) == sam.TaskAborted:
			status = true
		default:
			t.Errorf("%v", a.h.Opcode())
		}
	}
	if !told || !status {
		t.Errorf("told %v, status %v", told, status)
	}
	third.late(write, ttt)
	if got := third.attention(); got != 0x2f00 {
		t.Errorf("told %04x", got)
	}
}

// A nexus that leaves, or whose connection fails, gets no status.
func TestTAS_Leaving(t *testing.T) {
	w := newWorld(t, options{slow: true})
	third, issuer := w.login(), w.login()
	issuer.tas(third)
	w.queue.held = true
	third.read10(0, 8)
	w.settle()
	issuer.manage(sam.ClearTaskSet, pdu.NoTag, 0)
	third.peer.Close()
	w.settle()
	w.queue.held = false
	issuer.one(pdu.OpTaskResponse)
	if w.settle(); w.staged.Free() != w.staged.Bytes() || w.unit.Tasks(0) != 0 {
		t.Errorf("%d bytes, %d tasks are left", w.staged.Bytes()-w.staged.Free(), w.unit.Tasks(0))
	}
}
