package transport

import (
	"bytes"
	"slices"
	"testing"

	"lunar/internal/conform"
	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
	"lunar/scsi/sam"
)

// What is sent again is what was sent, to the last byte, whatever the medium holds by
// now: of the medium and of the device server, with and without status.
func TestSNACK_BringsExactCopies(t *testing.T) {
	conform.Covers(t, "R-10.16-1", "R-10.16-2", "R-10.16-3", "R-10.4.9-1", "R-6.1.3-1", "R-6.7-3", "R-10.7.2-2")
	conform.Trap(t, 32)
	for _, segment := range []string{"65536", "1000"} {
		exactCopies(t, 1, segment)
		exactCopies(t, 16, segment)
		exactCopies(t, 1500, segment)
	}
}

func exactCopies(t *testing.T, blocks int, segment string) {
	t.Helper()
	w := newWorld(t, options{})
	copy(w.medium, w.bytesOf(unitBytes))
	p := w.recovering("MaxRecvDataSegmentLength="+segment, "MaxBurstLength=600000", "HeaderDigest=CRC32C")
	itt := p.read10(5, blocks)
	first := p.answers()
	p.command([]byte{0x12, 0, 0, 0, 255, 0}, pdu.FlagFinal|pdu.CommandRead, 255, nil)
	inquiry := p.answers()
	p.command([]byte{0x28, 0, 0x7f, 0, 0, 0, 0, 0, 1, 0}, pdu.FlagFinal|pdu.CommandRead, 512, nil)
	sense := p.answers()
	clear(w.medium)
	p.snack(pdu.SNACKData, itt, noTag, 0, 0)
	p.copies("Data-In", first)
	p.snack(pdu.SNACKData, itt, noTag, uint32(len(first)-1), 1)
	p.copies("the last", first[len(first)-1:])
	p.snack(pdu.SNACKData, inquiry[0].h.ITT(), noTag, 0, 0)
	p.copies("parameter data", inquiry)
	p.snack(pdu.SNACKStatus, pdu.NoTag, noTag, p.exp, 0)
	p.copies("answers", slices.Concat(first[len(first)-1:], inquiry, sense))
	// A write in between moves the window.
	p.write10(900, 1, make([]byte, 512), true)
	p.one(pdu.OpSCSIResponse)
	p.snack(pdu.SNACKData, itt, noTag, 0, 0)
	again := p.answers()
	if r := (pdu.Response{Header: &again[0].h}); len(again) != len(first) || r.ExpCmdSN() != serial.Cmd(p.cmdSN) {
		t.Errorf("%s, ExpCmdSN %v, want %d", names(again), r.ExpCmdSN(), p.cmdSN)
	}
	p.ack()
	p.snack(pdu.SNACKData, itt, noTag, 0, 0)
	p.rejected("acknowledged data", pdu.RejectProtocolError, 0)
	p.snack(pdu.SNACKStatus, pdu.NoTag, noTag, p.exp-1, 1)
	p.rejected("an acknowledged answer", pdu.RejectProtocolError, 0)
	if w.stack.kept != 0 {
		t.Errorf("%d bytes are kept of what is acknowledged", w.stack.kept)
	}
}

// A read that is under way: its data comes again, a DataACK frees it, and a new length
// of segments has it cut anew; then the status comes with the tag.
func TestSNACK_OfAReadUnderWay(t *testing.T) {
	conform.Covers(t, "R-10.7.2-1", "R-10.7.4-2", "R-10.16.2-1", "R-10.16.2-2", "R-10.16.3-1", "R-10.16.3-2", "R-10.16.3-3", "R-10.16.5-1", "R-10.16-4", "R-10.17.2-1", "R-10.4.4-1")
	conform.Trap(t, 32)
	w := newWorld(t, options{})
	copy(w.medium, w.bytesOf(unitBytes))
	p := w.recovering("MaxRecvDataSegmentLength=65536", "MaxBurstLength=131072")
	itt, first := p.halfRead(4)
	if len(first) != 8 || len(dataIn(first)) != 512<<10 {
		t.Fatalf("%s", names(first))
	}
	asked := pdu.AsDataIn(&first[1].h)
	for i := range first {
		d := pdu.AsDataIn(&first[i].h)
		if a := d.Flags()&pdu.DataAcknowledge != 0; a != (i%2 == 1) || a != (d.TTT() != pdu.NoTag) {
			t.Errorf("Data-In %d: flags %#x, tag %x", i, d.Flags(), uint32(d.TTT()))
		}
	}
	p.snack(pdu.SNACKData, itt, noTag, 0, 0)
	p.copies("what was sent so far", first)
	p.snack(pdu.SNACKData, itt, noTag, 6, 3)
	p.rejected("what was not sent yet", pdu.RejectProtocolError, 8)
	kept := w.stack.kept
	p.snack(pdu.SNACKDataACK, pdu.NoTag, uint32(asked.TTT()), 4, 0)
	if got := p.answers(); len(got) > 0 || w.stack.kept != kept-256<<10 {
		t.Errorf("a DataACK is answered %s, %d bytes are kept of %d", names(got), w.stack.kept, kept)
	}
	p.snack(pdu.SNACKData, itt, noTag, 3, 1)
	p.rejected("acknowledged data", pdu.RejectProtocolError, 8)
	// The initiator takes less from now on.
	p.declare("16384")
	p.snack(pdu.SNACKRData, itt, 0x77, 0, 0)
	again := p.answers()
	if len(again) != 16 {
		t.Fatalf("%s", names(again))
	}
	w.queue.held = false
	all := append(again, p.answers()...)
	at := 256 << 10
	for i := range all[:len(all)-1] {
		d := pdu.AsDataIn(&all[i].h)
		if d.Opcode() != pdu.OpDataIn || d.DataSN().Uint32() != uint32(4+i) || int(d.BufferOffset()) != at || len(all[i].data) > 16384 || d.Flags()&pdu.DataStatus != 0 {
			t.Fatalf("PDU %d: %v, DataSN %v, offset %d, %d bytes, flags %#x", i, d.Opcode(), d.DataSN(), d.BufferOffset(), len(all[i].data), d.Flags())
		}
		at += len(all[i].data)
	}
	last := pdu.AsSCSIResponse(&all[len(all)-1].h)
	if last.Opcode() != pdu.OpSCSIResponse || last.SNACKTag() != 0x77 || last.Status() != sam.Good || last.ExpDataSN().Uint32() != uint32(4+len(all)-1) {
		t.Errorf("%v, tag %x, status %v, ExpDataSN %v behind %d", last.Opcode(), last.SNACKTag(), last.Status(), last.ExpDataSN(), len(all)-1)
	}
	if got := dataIn(all); !bytes.Equal(got, w.medium[256<<10:1<<20]) {
		t.Error("what comes again is something else")
	}
	// The data is asked for as a whole once more, then acknowledged with the status.
	p.snack(pdu.SNACKRData, itt, 0x78, 0, 0)
	all = p.answers()
	r := pdu.AsSCSIResponse(&all[len(all)-1].h)
	if !bytes.Equal(dataIn(all), w.medium[256<<10:1<<20]) || r.SNACKTag() != 0x78 || r.StatSN() != last.StatSN() {
		t.Errorf("%d bytes, tag %x, StatSN %v, want %v", len(dataIn(all)), r.SNACKTag(), r.StatSN(), last.StatSN())
	}
}

// Data that is not there any more: Reject 03, and a command without a status ends with
// 0B/1113, behind which its data is not asked for any more.
func TestSNACK_ThatCannotBeServed(t *testing.T) {
	conform.Covers(t, "R-6.7-3", "R-10.17.1-1", "R-10.4.7.2-1")
	w := newWorld(t, options{limits: func(l *Limits) { l.KeepBytes = 300 << 10 }})
	p := w.recovering("MaxRecvDataSegmentLength=65536", "MaxBurstLength=262144")
	itt, sent := p.halfRead(3) // of which one piece is kept
	p.snack(pdu.SNACKData, itt, noTag, 4, 4)
	p.copies("what is kept", sent[4:])
	p.snack(pdu.SNACKData, itt, noTag, 3, 1)
	p.spoiled(itt)
	itt, _ = p.halfRead(3)
	p.snack(pdu.SNACKRData, itt, 3, 0, 0)
	p.spoiled(itt)
	// Another that has its status: the Reject is all.
	w.queue.slow = false
	itt = p.read10(0, 1536)
	p.answers()
	p.snack(pdu.SNACKData, itt, noTag, 0, 1)
	p.rejected("data of a command that is over", pdu.RejectSNACK, 0)
	itt = p.read10(0, 1536)
	p.answers()
	p.snack(pdu.SNACKRData, itt, 5, 0, 0)
	p.rejected("all of it", pdu.RejectSNACK, 0)
}

// Messages that nobody asked for are recovered like answers.
func TestSNACK_OfAsyncAndReject(t *testing.T) {
	conform.Covers(t, "N-14", "R-10.16-2")
	w := newWorld(t, options{})
	p := w.recovering()
	p.send(p.request(0x1c, true), nil)
	all := []answer{p.one(pdu.OpReject)}
	w.stack.Drain()
	all = append(all, p.one(pdu.OpAsync))
	p.snack(pdu.SNACKStatus, pdu.NoTag, noTag, 0, 0)
	p.copies("Reject and Async Message", all)
}

// Data that is needed by others while it goes out anew: the command fails, in time.
func TestSNACK_LosesItsDataOnTheWay(t *testing.T) {
	conform.Covers(t, "R-6.7-3")
	w := newWorld(t, options{})
	p := w.recovering("MaxRecvDataSegmentLength=1000", "MaxBurstLength=2000000")
	itt, _ := p.halfRead(3)
	p.snack(pdu.SNACKRData, itt, 3, 0, 0)
	for before := len(p.peer.Read()); len(p.peer.Read()) == before; {
		w.turn()
	}
	for w.stack.conns[0].yield() {
	}
	w.settle()
	w.queue.held = false
	all := p.answers()
	last := &all[len(all)-1]
	if senseOf(p.client, last) != 0xb1113 || last.h.ITT() != itt || pdu.AsSCSIResponse(&last.h).SNACKTag() != 3 || len(all) < 2 {
		t.Errorf("%d PDUs, then sense %05x", len(all)-1, senseOf(p.client, last))
	}
}

// A new length of data segments counts from the next Data-In on. What was cut before is
// brought by R-Data alone.
func TestSNACK_AcrossANewSegmentLength(t *testing.T) {
	conform.Covers(t, "R-10.16.3-1", "R-6.7-3", "R-10.16-3", "R-10.7.1-1")
	w := newWorld(t, options{})
	p := w.recovering("MaxRecvDataSegmentLength=65536", "MaxBurstLength=524288")
	itt, _ := p.halfRead(4)
	p.declare("32768")
	p.snack(pdu.SNACKData, itt, noTag, 7, 1)
	p.spoiled(itt)
	itt, before := p.halfRead(4)
	p.declare("16384")
	w.finishFirst(1)
	after := p.answers()
	if len(before) != 16 || len(after) != 16 || len(after[0].data) != 16384 {
		t.Fatalf("%s, then %s", names(before), names(after))
	}
	p.snack(pdu.SNACKData, itt, noTag, 16, 0)
	p.copies("what was cut since", after)
	p.snack(pdu.SNACKData, itt, noTag, 21, 3)
	p.copies("some of it", after[5:8])
	p.snack(pdu.SNACKData, itt, noTag, 15, 2)
	p.spoiled(itt)
}

// Data that is only in part laid out is found where it lies, and what an aborted read
// kept is given back.
func TestSNACK_InTheMiddleOfAPiece(t *testing.T) {
	conform.Covers(t, "R-10.16-3", "R-6.1.3-1")
	w := newWorld(t, options{})
	// A piece is 263 PDUs, a send 256: most sends end inside a piece.
	p := w.recovering("MaxRecvDataSegmentLength=1000", "MaxBurstLength=2000000")
	itt := p.read10(0, 2048)
	for before := len(p.peer.Read()); len(p.peer.Read()) == before; {
		w.turn()
	}
	p.snack(pdu.SNACKData, itt, noTag, 300, 2)
	all := p.answers()
	count := map[uint32]int{}
	for i := range all {
		if all[i].h.Opcode() != pdu.OpDataIn {
			t.Fatalf("%v", all[i].h.Opcode())
		}
		count[pdu.AsDataIn(&all[i].h).DataSN().Uint32()]++
	}
	if len(all) != 4*263+2 || count[300] != 2 || count[301] != 2 {
		t.Errorf("%d Data-In, %d and %d times 300 and 301", len(all), count[300], count[301])
	}
	p.ack()
	itt, _ = p.halfRead(4)
	p.manage(sam.AbortTask, itt, p.cmdSN-1)
	w.settle()
	w.queue.held = false
	p.one(pdu.OpTaskResponse)
	if w.stack.kept != 0 {
		t.Errorf("%d bytes are kept of an aborted read", w.stack.kept)
	}
	p.snack(pdu.SNACKData, itt, noTag, 0, 0)
	p.rejected("data of an aborted read", pdu.RejectProtocolError, 0)
}
