package transport

import (
	"testing"

	"lunar/internal/conform"
	"lunar/iscsi/pdu"
	"lunar/scsi/sam"
)

// A reset from elsewhere ends a write while the kernel receives straight into its
// memory: the memory stays until that has ended, and nothing of it is written.
func TestAbort_DuringADirectReceive(t *testing.T) {
	conform.Trap(t, 41)
	for _, end := range []string{"goes on", "silent", "close", "reset"} {
		w := newWorld(t, options{})
		a, b := w.login("DataDigest=CRC32C"), w.login()
		data := w.bytesOf(256 << 10)
		itt := a.write10(0, 512, nil, true)
		r2t := a.one(pdu.OpR2T)
		wire := a.wire(dataOutHeader(itt, pdu.AsR2T(&r2t.h).TTT(), 0, 0, true), data)
		a.peer.Write(wire[:40<<10])
		w.settle()
		if c := w.stack.conns[0]; c.direct == nil {
			t.Fatal("no direct receive is under way")
		}
		b.manage(sam.LogicalUnitReset, pdu.NoTag, 0)
		if got := b.answers(); len(got) != 0 {
			t.Fatalf("%s: the reset does not wait for the data owed: %s", end, names(got))
		}
		switch end {
		case "goes on":
			a.peer.Write(wire[40<<10:])
		case "silent":
			// The kernel has the memory, whatever the bound says.
			w.pass(3 * w.stack.limits.AbortNanos)
			if got := b.drain(); len(got) != 0 {
				t.Fatalf("answered while memory is written to: %s", names(got))
			}
			a.peer.Write(wire[40<<10:])
		case "close":
			a.peer.Close()
		case "reset":
			a.peer.Reset()
		}
		b.one(pdu.OpTaskResponse)
		if string(w.medium[:len(data)]) != string(make([]byte, len(data))) {
			t.Errorf("%s: an aborted write reached the medium", end)
		}
		if w.staged.Free() != w.staged.Bytes() {
			t.Errorf("%s: %d bytes are missing", end, w.staged.Bytes()-w.staged.Free())
		}
	}
}

// A function answers only when the medium has ended every request it covers.
func TestAbort_DuringADiskRequest(t *testing.T) {
	conform.Covers(t, "R-10.5.1-4")
	w := newWorld(t, options{slow: true})
	a, b := w.login(), w.login()
	w.queue.held = true
	itt := a.write10(0, 8, w.bytesOf(4096), true)
	a.read10(64, 8)
	w.settle()
	a.manage(sam.AbortTask, itt, a.cmdSN-2)
	b.manage(sam.ClearTaskSet, pdu.NoTag, 0)
	if got := append(a.answers(), b.drain()...); len(got) != 0 {
		t.Fatalf("answered while the medium works: %s", names(got))
	}
	w.queue.held = false
	a.one(pdu.OpTaskResponse)
	if got := b.drain(); len(got) != 1 || got[0].h.Opcode() != pdu.OpTaskResponse {
		t.Fatalf("answers %s", names(got))
	}
	// SAM-5 §7.4: the owner of what was cleared hears of it.
	a.command(make([]byte, 6), pdu.FlagFinal, 0, nil)
	got := a.one(pdu.OpSCSIResponse)
	if statusOf(&got) != sam.CheckCondition || got.data[2+12] != 0x2f {
		t.Errorf("status %d sense %x", statusOf(&got), got.data)
	}
}
