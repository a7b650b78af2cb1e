package transport

import (
	"bytes"
	"testing"

	"lunar/internal/buf"
	"lunar/internal/conform"
	"lunar/iscsi/pdu"
	"lunar/lun/blk"
	"lunar/scsi/sam"
)

// An initiator may leave F out of the data that fills its first burst and end it
// with a Data-Out that carries nothing (RFC 3720 §10.7.7).
func TestWrite_EmptyDataOutEndsTheFirstBurst(t *testing.T) {
	conform.Covers(t, "R-10.7.7-1")
	for _, immediate := range []int{0, 2048, 4096} {
		for _, slow := range []bool{false, true} {
			w := newWorld(t, options{slow: slow})
			c := w.login("InitialR2T=No", "FirstBurstLength=4096")
			data := w.bytesOf(8192)
			itt := c.write10(8, 16, data[:immediate], false)
			w.settle()
			sn := uint32(0)
			if immediate < 4096 {
				c.dataOut(itt, pdu.NoTag, 0, uint32(immediate), data[immediate:4096], false)
				sn = 1
			}
			w.settle()
			c.dataOut(itt, pdu.NoTag, sn, 4096, nil, true)
			r2t := c.one(pdu.OpR2T)
			c.answerR2T(&r2t, data, 1024)
			if a := c.one(pdu.OpSCSIResponse); statusOf(&a) != sam.Good {
				t.Fatalf("status %d", statusOf(&a))
			}
			c.check(8, data)
		}
	}
}

// A command whose immediate data arrives broken is refused and gone; its memory
// must not be found by the next task in its place (RFC 3720 §6.7).
func TestWrite_BrokenImmediateData_LeavesNothingBehind(t *testing.T) {
	conform.Covers(t, "R-6.7-1", "R-6.7-5")
	w := newWorld(t, options{})
	c := w.login("DataDigest=CRC32C")
	want := w.bytesOf(1024)
	copy(w.medium, want)
	h := c.request(pdu.OpSCSICommand, false)
	c.cmdSN--
	h.SetFlags(pdu.FlagFinal | pdu.CommandWrite)
	p := pdu.AsSCSICommand(h)
	p.SetEDTL(1024)
	copy(p.CDB()[:], cdb10(0x2a, 8, 2))
	bad := c.wire(h, w.bytesOf(1024))
	bad[60] ^= 1
	c.peer.Write(bad)
	if a := c.one(pdu.OpReject); pdu.AsReject(&a.h).Reason() != pdu.RejectDataDigest {
		t.Fatalf("reason %v", pdu.AsReject(&a.h).Reason())
	}
	for range 40 {
		c.check(0, want)
	}
	for i := range 40 {
		data := w.bytesOf(512)
		c.write10(16+i, 1, data, true)
		if a := c.one(pdu.OpSCSIResponse); statusOf(&a) != sam.Good {
			t.Fatalf("status %d", statusOf(&a))
		}
		c.check(16+i, data)
	}
}

// Data that nobody agreed to fails its command once; the command ends (RFC 3720
// §10.4.7.2).
func TestWrite_UnexpectedDataOut_EndsTheCommand(t *testing.T) {
	conform.Covers(t, "R-12.11-1", "R-10.4.7.2-1")
	w := newWorld(t, options{})
	c := w.login("ImmediateData=No")
	itt := c.write10(0, 4, nil, true)
	c.dataOut(itt, pdu.NoTag, 0, 0, w.bytesOf(512), true)
	a := c.one(pdu.OpSCSIResponse)
	if statusOf(&a) != sam.CheckCondition || len(a.data) < 16 || a.data[2+2] != 0xb || a.data[2+12] != 0x0c || a.data[2+13] != 0x0c {
		t.Fatalf("status %d sense %x", statusOf(&a), a.data)
	}
}

// Reads that fail count no longer as data held for the peer.
func TestRead_Failures_LeaveRoomForOthers(t *testing.T) {
	w := newWorld(t, options{limits: func(l *Limits) { l.ReadBytes = 64 << 10 }})
	c := w.login()
	w.queue.fail = func(*blk.Request) blk.Result { return blk.MediumError }
	for range 20 {
		c.read10(0, 16)
		if a := c.one(pdu.OpSCSIResponse); statusOf(&a) != sam.CheckCondition {
			t.Fatalf("status %d", statusOf(&a))
		}
	}
	w.queue.fail = nil
	for i := range 4 {
		c.read10(i, 64)
	}
	if n := len(dataIn(c.answers())); n != 4*64*512 {
		t.Fatalf("%d bytes came", n)
	}
}

// A program of the device server that found no buffer goes on when anybody gives
// one back.
func TestExecute_WaitsForMemoryOfOthers(t *testing.T) {
	for op, count := range map[byte]int{0x2f: 1, 0x41: 2} { // VERIFY(10), WRITE SAME(10) with its list
		w := newWorld(t, options{slow: true, staged: []buf.Class{{Bytes: blk.MaxRequestBytes, Count: count}}})
		a, b := w.login(), w.login()
		w.queue.held = true
		a.read10(0, 8)
		w.settle()
		if op == 0x41 {
			b.command(cdb10(op, 64, 16), pdu.FlagFinal|pdu.CommandWrite, 512, make([]byte, 512))
		} else {
			b.command(cdb10(op, 64, 16), pdu.FlagFinal, 0, nil)
		}
		w.settle()
		w.queue.held = false
		if n := len(dataIn(a.answers())); n != 8*512 {
			t.Fatalf("opcode %x: %d bytes read", op, n)
		}
		if got := b.one(pdu.OpSCSIResponse); statusOf(&got) != sam.Good {
			t.Errorf("opcode %x: status %d", op, statusOf(&got))
		}
	}
}

// An EDTL that is less than the command takes and ends inside a block: nothing is
// written and the initiator hears of it, for GOOD would say that all of EDTL was
// (trap 1 of the residuals).
func TestWrite_LessThanABlock_IsRefusedWhole(t *testing.T) {
	conform.Covers(t, "R-10.4.5-1", "N-12")
	conform.Trap(t, 1)
	for _, edtl := range []int{1, 200, 511, 513, 1000} {
		w := newWorld(t, options{})
		c := w.login()
		before := bytes.Clone(w.medium[:2048])
		c.command(cdb10(0x2a, 0, 2), pdu.CommandWrite|pdu.FlagFinal, edtl, bytes.Repeat([]byte{'b'}, edtl))
		a := c.one(pdu.OpSCSIResponse)
		p := pdu.AsSCSIResponse(&a.h)
		if p.Status() != sam.CheckCondition || len(a.data) < 16 || a.data[2+12] != 0x0e || a.data[2+13] != 0x03 {
			t.Errorf("EDTL %d: status %v, sense %x", edtl, p.Status(), a.data)
		}
		if a.h.Flags()&pdu.ResidualOverflow == 0 || p.Residual() != uint32(1024-edtl) {
			t.Errorf("EDTL %d: flags %#x, residual %d", edtl, a.h.Flags(), p.Residual())
		}
		if !bytes.Equal(before, w.medium[:2048]) {
			t.Errorf("EDTL %d: the medium changed", edtl)
		}
	}
}

// A connection that has sent many PDUs at once gets its share of each turn, and the
// others are served meanwhile; nothing of it is lost.
func TestReceive_ADeepQueueKeepsNobodyWaiting(t *testing.T) {
	w := newWorld(t, options{})
	deep, other := w.login(), w.login()
	var flood []byte
	for range 4 * turnPDUs {
		h := deep.request(pdu.OpNOPOut, true)
		h.SetITT(pdu.NoTag)
		h.SetFlags(pdu.FlagFinal)
		pdu.AsNOPOut(h).SetTTT(pdu.NoTag)
		flood = append(flood, deep.wire(h, nil)...)
	}
	deep.peer.Write(flood)
	deep.read10(0, 1)
	other.read10(8, 1)
	for turns := 0; ; turns++ {
		if turns == 10 {
			t.Fatal("the other connection waits")
		}
		w.turn()
		if len(deep.drain()) > 0 {
			t.Fatal("the flood was taken before the other connection was served")
		}
		if len(other.drain()) == 1 {
			break
		}
	}
	if a := deep.one(pdu.OpDataIn); len(a.data) != 512 {
		t.Errorf("%d bytes", len(a.data))
	}
}

// The medium fails an earlier piece while the kernel receives straight into the
// memory of a later one: that memory stays until the receive has ended, and the
// answer comes behind the data owed.
func TestWrite_FailsDuringADirectReceive(t *testing.T) {
	conform.Trap(t, 11)
	w := newWorld(t, options{})
	c := w.login("InitialR2T=Yes", "ImmediateData=No", "MaxOutstandingR2T=2", "MaxBurstLength=262144")
	w.queue.fail = func(*blk.Request) blk.Result { return blk.MediumError }
	w.queue.held = true
	data := w.bytesOf(512 << 10)
	itt := c.write10(0, 1024, nil, true)
	r2ts := c.answers()
	if len(r2ts) != 2 {
		t.Fatalf("answers %s", names(r2ts))
	}
	c.answerR2T(&r2ts[0], data, 256<<10)
	r := pdu.AsR2T(&r2ts[1].h)
	wire := c.wire(dataOutHeader(itt, r.TTT(), 0, r.BufferOffset(), true), data[r.BufferOffset():])
	c.peer.Write(wire[:100<<10])
	w.settle()
	conn := w.stack.conns[0]
	if conn.direct == nil || len(w.queue.waiting) != 1 {
		t.Fatalf("direct receive of %d bytes, %d requests", len(conn.direct), len(w.queue.waiting))
	}
	w.queue.held = false
	w.settle()
	if held := w.staged.Bytes() - w.staged.Free(); conn.direct != nil && held < 256<<10 {
		t.Errorf("%d bytes are held while the kernel writes to them", held)
	}
	c.peer.Write(wire[100<<10:])
	a := c.one(pdu.OpSCSIResponse)
	if senseOf(c, &a) != 0x30c00 {
		t.Errorf("sense %05x", senseOf(c, &a))
	}
	if w.staged.Free() != w.staged.Bytes() {
		t.Errorf("%d bytes are kept", w.staged.Bytes()-w.staged.Free())
	}
}
