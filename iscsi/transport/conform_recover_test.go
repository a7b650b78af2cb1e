package transport

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"lunar/internal/conform"
	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
	"lunar/scsi/sam"

	"pgregory.net/rapid"
)

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

// A first burst whose start is lost has its place all the same.
func TestDataOut_StartIsAskedForAgain(t *testing.T) {
	conform.Covers(t, "R-6.8-1", "R-E.2.3-1", "R-10.8-7")
	w := newWorld(t, options{})
	p := w.recovering("InitialR2T=No", "FirstBurstLength=8192")
	data := w.bytesOf(16384)
	itt := p.write10(4, 32, nil, false)
	w.settle()
	p.dataOut(itt, pdu.NoTag, 1, 4096, data[4096:8192], true)
	r := p.one(pdu.OpR2T)
	if q := pdu.AsR2T(&r.h); q.BufferOffset() != 0 || q.DesiredBytes() != 4096 {
		t.Fatalf("R2T for %d at %d", q.DesiredBytes(), q.BufferOffset())
	}
	p.answerR2T(&r, data, 2048)
	r = p.one(pdu.OpR2T)
	p.answerR2T(&r, data, 8192)
	if a := p.one(pdu.OpSCSIResponse); statusOf(&a) != sam.Good {
		t.Errorf("sense %05x", senseOf(p.client, &a))
	}
	p.check(4, data)
}

// A PDU that comes slowly is no silence.
func TestDataOut_SlowIsNotLate(t *testing.T) {
	conform.Covers(t, "R-6.1.4.1-1")
	w := newWorld(t, options{})
	p := w.recovering("InitialR2T=Yes", "ImmediateData=No")
	data := w.bytesOf(4096)
	itt := p.write10(0, 8, nil, true)
	r := p.one(pdu.OpR2T)
	ttt := pdu.AsR2T(&r.h).TTT()
	b := p.wire(dataOutHeader(itt, ttt, 0, 0, false), data[:2048])
	p.peer.Write(b[:2000])
	w.settle()
	w.pass(12e9)
	p.peer.Write(b[2000:])
	if got := p.answers(); len(got) != 0 {
		t.Errorf("%s while data comes", names(got))
	}
	p.dataOut(itt, ttt, 1, 2048, data[2048:], true)
	if a := p.one(pdu.OpSCSIResponse); statusOf(&a) != sam.Good {
		t.Errorf("sense %05x", senseOf(p.client, &a))
	}
	p.check(0, data)
}

// An initiator that sends the data of another command first is given more time, but not
// for ever.
func TestDataOut_BusyIsNoSilence(t *testing.T) {
	conform.Covers(t, "R-6.1.4.1-1")
	w := newWorld(t, options{})
	p := w.recovering("InitialR2T=Yes", "ImmediateData=No")
	p.write10(0, 8, nil, true)
	p.one(pdu.OpR2T)
	other := p.write10(64, 128, nil, true)
	r := p.one(pdu.OpR2T)
	for i := range uint32(14) {
		p.dataOut(other, pdu.AsR2T(&r.h).TTT(), i, i*512, make([]byte, 512), false)
		w.settle()
		w.pass(2e9)
		got := p.answers()
		if asked := len(got) > 0; asked != (i == 11) {
			t.Fatalf("after %d seconds: %s", 2*i+2, names(got))
		}
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
	// Its turn comes when its data has: the command before it is late.
	p.cmdSN++
	pdu.Request{Header: h}.SetCmdSN(serial.Cmd(p.cmdSN - 1))
	p.send(h, nil)
	p.dataOut(h.ITT(), pdu.NoTag, 1, 8, list[8:16], false)
	w.settle()
	p.dataOut(h.ITT(), pdu.NoTag, 2, 16, list[16:], true)
	w.settle()
	p.cmdSN -= 2
	p.command(make([]byte, 6), pdu.FlagFinal, 0, nil)
	p.cmdSN++
	got := p.answers()
	if len(got) != 2 || got[1].h.Opcode() != pdu.OpR2T {
		t.Fatalf("%s", names(got))
	}
	r := got[1]
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
	conform.Covers(t, "R-12.19-2", "R-6.1.5-2", "R-12.19-1", "N-10", "R-9.6.1-1", "R-6.2.2-7")
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

// Whatever is lost of what the target sends, and damaged or lost of the data it is sent:
// every command ends once, with GOOD, and with the right data on both sides.
func TestRecovery_LosesNothing(t *testing.T) {
	conform.Covers(t, "R-10.16-1", "R-10.16-2", "R-10.16-3", "R-10.4.9-1", "R-6.7-4", "R-6.8-1", "R-6.1.3-1", "R-10.8-7", "R-6.1.4.1-1")
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64Range(0, 1<<20).Draw(rt, "seed")
		lose := rapid.SampledFrom([]int{0, 3, 15, 30}).Draw(rt, "lose")
		damage := rapid.SampledFrom([]int{0, 3, 20}).Draw(rt, "damage")
		n := rapid.IntRange(1, 8).Draw(rt, "commands")
		w := newWorld(t, options{seed: seed, slow: rapid.Bool().Draw(rt, "slow"), cut: rapid.Bool().Draw(rt, "cut")})
		copy(w.medium, w.bytesOf(unitBytes))
		p := newPatient(w, lose, damage, fmt.Sprintf("MaxBurstLength=%d", []int{8192, 65536, 262144}[w.rand.IntN(3)]),
			fmt.Sprintf("MaxRecvDataSegmentLength=%d", []int{1000, 8192, 65536}[w.rand.IntN(3)]), "FirstBurstLength=8192", "InitialR2T=No")
		for i := range n {
			blocks := 1 + w.rand.IntN([]int{4, 64, 400}[w.rand.IntN(3)])
			p.start(w.rand.IntN(2) == 0, i*600, blocks)
			if w.rand.IntN(2) == 0 {
				p.hear()
			}
		}
		p.finish()
		for itt, e := range p.errands {
			if !e.gone && !bytes.Equal(w.medium[e.lba*512:][:len(e.data)], e.data) {
				rt.Fatalf("task %x: the data differs (write %v)", itt, e.write)
			}
		}
		w.checkEnd()
	})
}
