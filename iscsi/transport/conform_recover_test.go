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
	for _, blocks := range []int{1, 16, 1500} {
		w := newWorld(t, options{})
		copy(w.medium, w.bytesOf(unitBytes))
		p := w.recovering("MaxRecvDataSegmentLength=65536", "MaxBurstLength=262144", "HeaderDigest=CRC32C")
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
}

// A read that is under way: its data comes again, a DataACK frees it, and a new length
// of segments has it cut anew; then the status comes with the tag.
func TestSNACK_OfAReadUnderWay(t *testing.T) {
	conform.Covers(t, "R-10.7.2-1", "R-10.7.4-2", "R-10.16.2-1", "R-10.16.2-2", "R-10.16.3-1", "R-10.16.3-2", "R-10.16.3-3", "R-10.16.5-1", "R-10.16-4", "R-10.17.2-1", "R-10.4.4-1")
	conform.Trap(t, 32)
	w := newWorld(t, options{})
	copy(w.medium, w.bytesOf(unitBytes))
	p := w.recovering("MaxRecvDataSegmentLength=65536", "MaxBurstLength=131072")
	w.queue.held, w.queue.slow = true, true
	itt := p.read10(0, 2048) // four pieces
	w.settle()
	for range 2 {
		i := slices.IndexFunc(w.queue.waiting, func(r *blk.Request) bool { return true })
		for k, r := range w.queue.waiting {
			if r.Offset < w.queue.waiting[i].Offset {
				i = k
			}
		}
		w.local.Complete(uint32(i), 0)
		w.settle()
	}
	first := p.answers()
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
	h := p.request(pdu.OpTextReq, true)
	pdu.AsTextRequest(h).SetTTT(pdu.NoTag)
	p.send(h, []byte("MaxRecvDataSegmentLength=16384\x00"))
	p.one(pdu.OpTextResp)
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
	w.queue.held, w.queue.slow = true, true
	itt := p.read10(0, 1536) // three pieces, of which one is kept
	w.settle()
	for range 2 {
		first := 0
		for k, r := range w.queue.waiting {
			if r.Offset < w.queue.waiting[first].Offset {
				first = k
			}
		}
		w.local.Complete(uint32(first), 0)
		w.settle()
	}
	sent := p.answers()
	p.snack(pdu.SNACKData, itt, noTag, 4, 4)
	p.copies("what is kept", sent[4:])
	p.snack(pdu.SNACKData, itt, noTag, 3, 1)
	w.settle()
	w.queue.held = false
	a := p.answers()
	if len(a) != 2 || a[0].h.Opcode() != pdu.OpReject || pdu.AsReject(&a[0].h).Reason() != pdu.RejectSNACK || senseOf(p.client, &a[1]) != 0xb1113 || a[1].h.ITT() != itt {
		t.Fatalf("%s, sense %05x", names(a), senseOf(p.client, &a[1]))
	}
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

// Damaged write data never reaches the medium, also where it was received straight into
// its place; what was right is not asked for again.
func TestDataOut_DamagedIsAskedForAgain(t *testing.T) {
	conform.Covers(t, "R-6.7-1", "R-6.7-4", "R-10.8-7", "R-6.3-5", "R-6.8-1", "R-10.17.1-2", "R-3.2.4.2-5")
	for _, segment := range []int{8192, 65536} {
		w := newWorld(t, options{})
		p := w.recovering("MaxBurstLength=262144", "InitialR2T=Yes", "ImmediateData=No", "MaxOutstandingR2T=8")
		data := w.bytesOf(512 << 10)
		itt := p.write10(0, len(data)/512, nil, true)
		r := p.one(pdu.OpR2T)
		q := pdu.AsR2T(&r.h)
		for sn, at := uint32(0), 0; at < 262144; sn, at = sn+1, at+segment {
			b := p.wire(dataOutHeader(itt, q.TTT(), sn, uint32(at), at+segment == 262144), data[at:at+segment])
			if sn == 1 {
				b[len(b)-9] ^= 1
			}
			p.peer.Write(b)
			w.settle()
		}
		got := p.answers()
		if len(got) != 2 || pdu.AsReject(&got[0].h).Reason() != pdu.RejectDataDigest || got[1].h.Opcode() != pdu.OpR2T {
			t.Fatalf("%s", names(got))
		}
		again := pdu.AsR2T(&got[1].h)
		if again.R2TSN().Uint32() != 1 || int(again.BufferOffset()) != segment || int(again.DesiredBytes()) != segment || again.TTT() == q.TTT() {
			t.Errorf("R2T %v asks for %d at %d", again.R2TSN(), again.DesiredBytes(), again.BufferOffset())
		}
		if !bytes.Equal(w.medium[:262144], make([]byte, 262144)) {
			t.Error("a piece that is not whole is on the medium")
		}
		// The old burst goes on, with something else; nobody takes it.
		p.dataOut(itt, q.TTT(), 1, uint32(segment), w.bytesOf(segment), true)
		if got := p.answers(); len(got) != 0 {
			t.Errorf("a late duplicate is answered %s", names(got))
		}
		p.answerR2T(&got[1], data, segment)
		r = p.one(pdu.OpR2T)
		if n := pdu.AsR2T(&r.h).R2TSN().Uint32(); n != 2 {
			t.Errorf("R2TSN %d", n)
		}
		p.answerR2T(&r, data, segment)
		if r = p.one(pdu.OpSCSIResponse); statusOf(&r) != sam.Good {
			t.Errorf("sense %05x", senseOf(p.client, &r))
		}
		p.ack()
		p.check(0, data)
	}
}

// A parameter list that comes unasked and damaged is put together all the same.
func TestDataOut_ParameterListIsAskedForAgain(t *testing.T) {
	conform.Covers(t, "R-6.7-4", "R-6.8-1")
	w := newWorld(t, options{})
	p := w.recovering("InitialR2T=No", "FirstBurstLength=512")
	// UNMAP of one descriptor, in three PDUs of which the first is lost.
	list := make([]byte, 24)
	list[1], list[3], list[19] = 22, 16, 8
	for i := range 9 * 512 {
		w.medium[i] = 0xff
	}
	h := p.request(pdu.OpSCSICommand, false)
	h.SetFlags(pdu.CommandWrite | byte(sam.Simple))
	c := pdu.AsSCSICommand(h)
	c.SetEDTL(24)
	copy(c.CDB()[:], []byte{0x42, 0, 0, 0, 0, 0, 0, 0, 24, 0})
	p.send(h, nil)
	p.dataOut(h.ITT(), pdu.NoTag, 1, 8, list[8:16], false)
	w.settle()
	p.dataOut(h.ITT(), pdu.NoTag, 2, 16, list[16:], true)
	r := p.one(pdu.OpR2T)
	if q := pdu.AsR2T(&r.h); q.BufferOffset() != 0 || q.DesiredBytes() != 8 {
		t.Fatalf("R2T for %d at %d", q.DesiredBytes(), q.BufferOffset())
	}
	p.answerR2T(&r, list, 512)
	a := p.one(pdu.OpSCSIResponse)
	if statusOf(&a) != sam.Good || !bytes.Equal(w.medium[:9*512], append(make([]byte, 8*512), bytes.Repeat([]byte{0xff}, 512)...)) {
		t.Errorf("sense %05x, or something else was unmapped", senseOf(p.client, &a))
	}
}

// A burst that goes silent is asked for again by the clock of its connection, and an
// answer that nobody acknowledges is followed by a NOP-In that shows the next StatSN.
func TestClock_AsksForWhatIsLate(t *testing.T) {
	conform.Covers(t, "R-6.1.4.1-1", "R-6.1.4.2-1", "R-10.8-5", "R-10.19.2-1")
	w := newWorld(t, options{})
	p := w.recovering("InitialR2T=Yes", "ImmediateData=No")
	data := w.bytesOf(4096)
	p.write10(0, 8, nil, true)
	r := p.one(pdu.OpR2T)
	second := int64(1e9)
	w.pass(3 * second)
	if got := p.answers(); len(got) != 0 {
		t.Fatalf("after three seconds: %s", names(got))
	}
	w.pass(5 * second)
	got := p.answers()
	if len(got) != 1 || got[0].h.Opcode() != pdu.OpR2T || pdu.AsR2T(&got[0].h).R2TSN().Uint32() != 1 {
		t.Fatalf("after eight seconds: %s", names(got))
	}
	p.answerR2T(&r, w.bytesOf(4096), 4096) // too late
	p.answerR2T(&got[0], data, 4096)
	a := p.one(pdu.OpSCSIResponse)
	if statusOf(&a) != sam.Good || !bytes.Equal(w.medium[:4096], data) {
		t.Errorf("sense %05x", senseOf(p.client, &a))
	}
	w.pass(6 * second)
	nop := p.one(pdu.OpNOPIn)
	if n := pdu.AsNOPIn(&nop.h); n.ITT() != pdu.NoTag || n.TTT() == pdu.NoTag || n.StatSN() != p.numbers.stat {
		t.Errorf("tags %x %x, StatSN %v", uint32(n.ITT()), uint32(n.TTT()), n.StatSN())
	}
	p.snack(pdu.SNACKStatus, pdu.NoTag, noTag, p.exp, 0)
	p.copies("the answer", []answer{a})
	p.ack()
	h := p.request(pdu.OpNOPOut, true)
	h.SetITT(pdu.NoTag)
	p.send(h, nil)
	w.pass(8 * second)
	if got := p.answers(); len(got) != 0 {
		t.Errorf("everything is acknowledged, and %s", names(got))
	}
}

// Who acknowledges nothing gets no more answers than there is room for, is asked for an
// acknowledgement, goes on when it comes, and is dropped when it does not.
func TestKeep_IsBounded(t *testing.T) {
	conform.Covers(t, "R-3.2.2.2-2", "R-3.2.2.2-3", "R-6.1.3-1")
	conform.Trap(t, 27)
	for _, relents := range []bool{true, false} {
		w := newWorld(t, options{})
		p := w.recovering()
		room := w.stack.conns[0].sess.Retained()
		var got []answer
		for range 100 {
			p.command(make([]byte, 6), pdu.FlagFinal, 0, nil)
			got = append(got, p.answers()...)
		}
		nop := &got[len(got)-1]
		if len(got) != room+1 || nop.h.Opcode() != pdu.OpNOPIn || pdu.AsNOPIn(&nop.h).TTT() == pdu.NoTag {
			t.Fatalf("%d answers, room for %d, then %v", len(got), room, nop.h.Opcode())
		}
		// Those that were answered are open to recovery.
		p.snack(pdu.SNACKStatus, pdu.NoTag, noTag, p.exp+uint32(room)-1, 1)
		p.copies("the last", got[room-1:room])
		if relents {
			p.ack()
			h := p.request(pdu.OpNOPOut, true)
			h.SetITT(pdu.NoTag)
			p.send(h, nil)
			if more := p.answers(); len(more) == 0 || more[0].h.Opcode() != pdu.OpSCSIResponse {
				t.Errorf("it acknowledges, and %s", names(more))
			}
			continue
		}
		for range 12 {
			h := p.request(pdu.OpNOPOut, true)
			h.SetITT(pdu.NoTag)
			p.send(h, nil)
			w.pass(2e9)
		}
		if !p.peer.Ended() {
			t.Error("it acknowledges nothing and stays")
		}
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

// With its header wrong, nothing tells where the next PDU starts: the connection closes
// at level 1 too (deviation D-5).
func TestRecovery_HeaderDigestError(t *testing.T) {
	conform.Covers(t, "R-6.7-2")
	w := newWorld(t, options{})
	p := w.recovering("HeaderDigest=CRC32C")
	b := p.wire(p.request(pdu.OpNOPOut, true), nil)
	b[20] ^= 1
	p.peer.Write(b)
	if w.settle(); !p.peer.Ended() || w.ended != 1 {
		t.Error("the connection goes on")
	}
}

// Level 1 is agreed to by whoever asks for it or more, with one R2T outstanding wherever
// that stands; not in discovery.
func TestRecovery_IsNegotiated(t *testing.T) {
	conform.Covers(t, "R-12.19-2", "R-6.1.5-2", "R-12.19-1", "N-10")
	for _, k := range []struct {
		keys       []string
		level, out string
	}{
		{[]string{"ErrorRecoveryLevel=2", "MaxOutstandingR2T=8"}, "2", "1"},
		{[]string{"MaxOutstandingR2T=8", "ErrorRecoveryLevel=1"}, "1", "1"},
		{[]string{"MaxOutstandingR2T=8", "ErrorRecoveryLevel=0"}, "0", "8"},
		{[]string{"MaxOutstandingR2T=8", "ErrorRecoveryLevel=3"}, "Reject", "8"},
		{[]string{"SessionType=Discovery", "ErrorRecoveryLevel=1"}, "0", ""},
	} {
		w := newWorld(t, options{})
		c := w.dial()
		c.send(c.loginRequest(k.keys...))
		a := c.one(pdu.OpLoginResp)
		got := pairs(string(a.data))
		if !slices.Contains(got, "ErrorRecoveryLevel="+k.level) || k.out != "" && !slices.Contains(got, "MaxOutstandingR2T="+k.out) {
			t.Errorf("%v is answered %q", k.keys, got)
		}
		if recovers := w.stack.conns[0].keep != nil; recovers != (k.level == "1" || k.level == "2") {
			t.Errorf("%v: recovers %v", k.keys, recovers)
		}
	}
}
