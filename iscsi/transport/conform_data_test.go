package transport

import (
	"encoding/binary"
	"slices"
	"testing"

	"lunar/internal/conform"
	"lunar/iscsi/pdu"
	"lunar/lun"
	"lunar/lun/blk"
	"lunar/scsi/sam"
)

// senseOf is the key and code of a CHECK CONDITION, 0 of anything else. It checks
// SenseLength.
func senseOf(c *client, a *answer) uint32 {
	c.w.Helper()
	if statusOf(a) != sam.CheckCondition {
		return 0
	}
	if len(a.data) < 2+18 || int(binary.BigEndian.Uint16(a.data)) != len(a.data)-2 {
		c.w.Fatalf("SenseLength of %x", a.data)
	}
	return uint32(a.data[2+2]&0xf)<<16 | uint32(binary.BigEndian.Uint16(a.data[2+12:]))
}

// The medium fails the first piece of a write while an R2T is open: the status
// waits for the last Data-Out that was asked for, and nothing is asked for any more.
func TestWrite_MediumErrorWithR2TsOpen(t *testing.T) {
	for _, good := range []int64{0, 262144} {
		failWithR2TsOpen(t, good)
	}
}

// failWithR2TsOpen has the medium fail behind so many good bytes.
func failWithR2TsOpen(t *testing.T, good int64) {
	t.Helper()
	conform.Covers(t, "R-10.4.2-1", "R-10.4.7-1", "R-3.5.1.2-1", "R-9.2-1", "R-10.4.8-1", "R-10.4.3-1")
	conform.Trap(t, 11)
	w := newWorld(t, options{})
	c := w.login("InitialR2T=Yes", "MaxOutstandingR2T=2", "MaxBurstLength=262144", "ImmediateData=No")
	w.queue.fail = func(r *blk.Request) blk.Result {
		if r.Offset >= good {
			return blk.MediumError
		}
		return blk.OK
	}
	data := w.bytesOf(1 << 20)
	c.write10(0, len(data)/512, nil, true)
	r2ts := c.answers()
	if len(r2ts) != 2 || r2ts[1].h.Opcode() != pdu.OpR2T {
		t.Fatalf("answers %s", names(r2ts))
	}
	var a answer
	for open := r2ts; len(open) > 0; open = open[1:] {
		c.answerR2T(&open[0], data, 65536)
		for _, x := range c.answers() {
			switch {
			case x.h.Opcode() == pdu.OpR2T:
				open = append(open, x)
			case len(open) > 1 || a.data != nil:
				t.Fatalf("%v while the answers to %d R2Ts are owed", x.h.Opcode(), len(open)-1)
			default:
				a = x
			}
		}
	}
	if a.h.Opcode() != pdu.OpSCSIResponse {
		t.Fatal("no answer")
	}
	p := pdu.AsSCSIResponse(&a.h)
	if senseOf(c, &a) != 0x30c00 || p.ServiceResponse() != pdu.CompletedAtTarget || p.ExpDataSN().Uint32() != 0 {
		t.Errorf("sense %05x, response %d, ExpDataSN %v", senseOf(c, &a), p.ServiceResponse(), p.ExpDataSN())
	}
	if p.Flags()&pdu.ResidualUnderflow == 0 || int64(p.Residual()) != 1<<20-good {
		t.Errorf("flags %#x, residual %d", p.Flags(), p.Residual())
	}
	w.queue.fail = nil
	c.check(int(good/512), make([]byte, 4096))
}

// A read that fails behind data already sent: no status on the data, a SCSI
// Response with sense, the data counted in ExpDataSN and in the residual.
func TestRead_MediumErrorBehindData(t *testing.T) {
	conform.Covers(t, "R-10.4.8-1", "R-10.4.5-1", "R-10.7.3-2", "R-10.4.7-1", "R-3.2.4.2-1")
	conform.Trap(t, 2)
	w := newWorld(t, options{})
	c := w.login("MaxRecvDataSegmentLength=65536", "MaxBurstLength=262144")
	w.queue.fail = func(r *blk.Request) blk.Result {
		if r.Offset >= 262144 {
			return blk.MediumError
		}
		return blk.OK
	}
	w.queue.held = true
	itt := c.read10(0, 1024) // 512 KiB, of which the second half fails
	w.settle()
	// The first half is out before the second one ends.
	first := slices.IndexFunc(w.queue.waiting, func(r *blk.Request) bool { return r.Offset == 0 })
	w.local.Complete(uint32(first), 0)
	all := c.answers()
	w.queue.held = false
	all = append(all, c.answers()...)
	last := &all[len(all)-1]
	sent := uint32(len(dataIn(all)))
	if sent == 0 || sent > 262144 {
		t.Fatalf("%d bytes came before the failure", sent)
	}
	for i := range all[:len(all)-1] {
		d := pdu.AsDataIn(&all[i].h)
		if d.Opcode() != pdu.OpDataIn || d.Flags()&pdu.DataStatus != 0 || d.DataSN().Uint32() != uint32(i) {
			t.Fatalf("PDU %d: %v, flags %#x, DataSN %v", i, d.Opcode(), d.Flags(), d.DataSN())
		}
	}
	p := pdu.AsSCSIResponse(&last.h)
	if last.h.Opcode() != pdu.OpSCSIResponse || last.h.ITT() != itt || senseOf(c, last) != 0x31100 {
		t.Fatalf("answers %s, sense %05x", names(all), senseOf(c, last))
	}
	if p.ExpDataSN().Uint32() != uint32(len(all)-1) {
		t.Errorf("ExpDataSN %v behind %d Data-In", p.ExpDataSN(), len(all)-1)
	}
	if p.Flags()&pdu.ResidualUnderflow == 0 || p.Residual() != 524288-sent {
		t.Errorf("flags %#x, residual %d behind %d bytes", p.Flags(), p.Residual(), sent)
	}
}

// Whatever way a unit is addressed it is the same unit; a LUN without one answers
// the three commands that it must; data with another LUN is refused.
func TestLUN_Formats(t *testing.T) {
	conform.Covers(t, "R-10.2.1.7-1", "R-10.7.4-1", "R-3.2.4.3-1", "R-10.7.4-3")
	conform.Trap(t, 36)
	w := newWorld(t, options{})
	w.units = lun.NewMap(sam.Path{}, []lun.Entry{{}, {Unit: w.unit}}, lun.NewAbsent(1))
	c := w.dial()
	c.send(c.loginRequest("InitialR2T=Yes", "ImmediateData=No"))
	c.one(pdu.OpLoginResp)
	to := func(l sam.LUN, cdb []byte, flags byte, edtl int) *answer {
		t.Helper()
		h := c.request(pdu.OpSCSICommand, false)
		h.SetFlags(pdu.FlagFinal | flags | byte(sam.Simple))
		h.SetLUN(l)
		pdu.AsSCSICommand(h).SetEDTL(uint32(edtl))
		copy(pdu.AsSCSICommand(h).CDB()[:], cdb)
		c.send(h, nil)
		a := c.answers()
		if len(a) != 1 || a[0].h.ITT() != h.ITT() {
			t.Fatalf("LUN %x: answers %s", uint64(l), names(a))
		}
		return &a[0]
	}
	const peripheral, flat, bus = sam.LUN(1 << 48), sam.LUN(0x4001 << 48), sam.LUN(0x0101 << 48)
	to(peripheral, make([]byte, 6), 0, 0) // the attention of a new nexus
	for _, l := range []sam.LUN{peripheral, flat} {
		if a := to(l, make([]byte, 6), 0, 0); statusOf(a) != sam.Good {
			t.Errorf("LUN %x: sense %05x", uint64(l), senseOf(c, a))
		}
		a := to(l, cdb10(0x2a, 0, 1), pdu.CommandWrite, 512)
		r := pdu.AsR2T(&a.h)
		if a.h.Opcode() != pdu.OpR2T || r.LUN() != l || r.TTT() == pdu.NoTag {
			t.Fatalf("LUN %x: %v with LUN %x", uint64(l), a.h.Opcode(), uint64(r.LUN()))
		}
		for _, wrong := range []sam.LUN{bus, 0, l + 1} {
			h := dataOutHeader(a.h.ITT(), r.TTT(), 0, 0, true)
			h.SetLUN(wrong)
			c.send(h, make([]byte, 512))
			if x := c.one(pdu.OpReject); pdu.AsReject(&x.h).Reason() != pdu.RejectInvalidField {
				t.Errorf("LUN %x: reason %v", uint64(wrong), pdu.AsReject(&x.h).Reason())
			}
		}
		h := dataOutHeader(a.h.ITT(), r.TTT(), 0, 0, true)
		h.SetLUN(l)
		c.send(h, make([]byte, 512))
		if x := c.one(pdu.OpSCSIResponse); statusOf(&x) != sam.Good {
			t.Errorf("LUN %x: sense %05x", uint64(l), senseOf(c, &x))
		}
	}
	for _, l := range []sam.LUN{0, bus, 2 << 48, peripheral | 1<<32, 0x8001 << 48, 0xc101 << 48} {
		if a := to(l, make([]byte, 6), 0, 0); senseOf(c, a) != 0x52500 {
			t.Errorf("LUN %x: sense %05x", uint64(l), senseOf(c, a))
		}
		a := to(l, []byte{0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0}, pdu.CommandRead, 64) // REPORT LUNS
		if a.h.Opcode() != pdu.OpDataIn || len(a.data) != 16 || binary.BigEndian.Uint32(a.data) != 8 {
			t.Errorf("LUN %x: REPORT LUNS answers %v, %x", uint64(l), a.h.Opcode(), a.data)
		}
		if a := to(l, []byte{0x12, 0, 0, 0, 36, 0}, pdu.CommandRead, 36); len(a.data) != 36 || a.data[0] != 0x7f {
			t.Errorf("LUN %x: INQUIRY answers %x", uint64(l), a.data)
		}
	}
}
