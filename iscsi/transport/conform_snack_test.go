package transport

import (
	"bytes"
	"slices"
	"testing"

	"lunar/internal/buf"
	"lunar/internal/conform"
	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
	"lunar/lun/blk"
	"lunar/scsi/sam"
)

// recovering is a patient that loses nothing by itself; tests lose and damage.
func (w *world) recovering(keys ...string) *patient {
	w.Helper()
	return newPatient(w, 0, 0, keys...)
}

// ack acknowledges everything that came.
func (p *patient) ack() { p.exp = p.numbers.stat.Uint32() }

// finishFirst has a held medium finish so many requests, those of the lowest offsets.
func (w *world) finishFirst(n int) {
	for range n {
		first := 0
		for k, r := range w.queue.waiting {
			if r.Offset < w.queue.waiting[first].Offset {
				first = k
			}
		}
		w.local.Complete(uint32(first), 0)
		w.settle()
	}
}

// halfRead starts a read of so many pieces of 256 KiB, of which two have gone out.
func (p *patient) halfRead(pieces int) (itt pdu.ITT, sent []answer) {
	p.w.queue.held, p.w.queue.slow = true, true
	itt = p.read10(0, 512*pieces)
	p.w.settle()
	p.w.finishFirst(2)
	return itt, p.answers()
}

// declare says how long data segments may be from now on.
func (p *patient) declare(length string) {
	p.w.Helper()
	h := p.request(pdu.OpTextReq, true)
	pdu.AsTextRequest(h).SetTTT(pdu.NoTag)
	p.send(h, []byte("MaxRecvDataSegmentLength="+length+"\x00"))
	p.one(pdu.OpTextResp)
}

// spoiled complains unless a SNACK was refused and its command, without a status,
// failed.
func (p *patient) spoiled(itt pdu.ITT) {
	p.w.Helper()
	p.w.settle()
	p.w.queue.held = false
	a := p.answers()
	if len(a) != 2 {
		p.w.Fatalf("%s", names(a))
	}
	slices.SortFunc(a, func(x, y answer) int { return int(y.h.Opcode()) - int(x.h.Opcode()) })
	if pdu.AsReject(&a[0].h).Reason() != pdu.RejectSNACK || senseOf(p.client, &a[1]) != 0xb1113 || a[1].h.ITT() != itt {
		p.w.Fatalf("%s, sense %05x", names(a), senseOf(p.client, &a[1]))
	}
}

// sameButWindow says whether b is a copy of a, but for ExpCmdSN and MaxCmdSN.
func sameButWindow(a, b *answer) bool {
	x, y := a.h, b.h
	clear(x[28:36])
	clear(y[28:36])
	return x == y && bytes.Equal(a.data, b.data)
}

// copies complains unless the answers are copies of those.
func (p *patient) copies(what string, want []answer) {
	p.w.Helper()
	got := p.answers()
	if len(got) != len(want) {
		p.w.Fatalf("%s: %s, want %s", what, names(got), names(want))
	}
	for i := range got {
		if !sameButWindow(&got[i], &want[i]) {
			p.w.Errorf("%s: PDU %d\n%x\nis no copy of\n%x", what, i, got[i].h, want[i].h)
		}
	}
}

func (p *patient) rejected(what string, want pdu.RejectReason, next uint32) {
	p.w.Helper()
	a := p.one(pdu.OpReject)
	r := pdu.AsReject(&a.h)
	if r.Reason() != want || r.DataSN() != serial.Data(next) {
		p.w.Errorf("%s: reason %v, DataSN %v, want %v, %d", what, r.Reason(), r.DataSN(), want, next)
	}
}

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

// A session that recovers keeps no memory from others that need it, nor more than its
// share.
func TestKeep_YieldsToOthers(t *testing.T) {
	w := newWorld(t, options{staged: []buf.Class{{Bytes: blk.MaxRequestBytes, Count: 8}}})
	p := w.recovering("MaxBurstLength=262144", "MaxRecvDataSegmentLength=262144")
	copy(w.medium, w.bytesOf(unitBytes))
	for i := range 6 {
		p.read10(512*i, 512)
		p.one(pdu.OpDataIn)
	}
	if w.stack.kept != 2*blk.MaxRequestBytes {
		t.Errorf("%d bytes are kept, want a quarter of %d", w.stack.kept, w.staged.Bytes())
	}
	// Somebody takes all the rest; reads go on with what was kept.
	var taken []*buf.Buf
	for b := w.staged.Get(1); b != nil; b = w.staged.Get(1) {
		taken = append(taken, b)
	}
	other := w.recovering("MaxBurstLength=262144")
	itt := other.read10(0, 512)
	if got := other.answers(); !bytes.Equal(dataIn(got), w.medium[:256<<10]) || got[0].h.ITT() != itt {
		t.Errorf("%s", names(got))
	}
	for _, b := range taken {
		b.Release()
	}
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
