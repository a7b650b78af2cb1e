package transport

import (
	"bytes"
	"fmt"
	"testing"

	"lunar/internal/conform"
	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
	"lunar/lun"
	"lunar/scsi/sam"
)

// A target that hears nothing pings with a tag, a LUN of its own and no data; the
// answer is not answered, and consumes nothing.
func TestNOP_PingOfTheTarget(t *testing.T) {
	conform.Covers(t, "R-10.19-2", "R-10.19.1-1", "R-10.19.2-1", "R-10.19.3-1", "R-6.12-1", "R-10.18-1", "R-10.18.2-20", "N-15")
	conform.Trap(t, 26)
	w := newWorld(t, options{})
	// LUN 0 has no unit here.
	w.units = lun.NewMap(sam.Path{}, []lun.Entry{{}, {}, {Unit: w.unit}}, lun.NewAbsent(1))
	c := w.dial()
	c.send(c.loginRequest())
	first := c.one(pdu.OpLoginResp)
	next := pdu.AsLoginResponse(&first.h).StatSN().Next()
	for range 3 {
		w.pass(w.stack.limits.PingNanos + w.stack.limits.AbortNanos)
		a := c.one(pdu.OpNOPIn)
		p := pdu.AsNOPIn(&a.h)
		if p.TTT() == pdu.NoTag || p.ITT() != pdu.NoTag || p.LUN() != sam.LUNOf(2) || len(a.data) != 0 || p.StatSN() != next {
			t.Fatalf("TTT %x, ITT %x, LUN %x, %d bytes, StatSN %v", p.TTT(), p.ITT(), p.LUN(), len(a.data), p.StatSN())
		}
		h := c.request(pdu.OpNOPOut, true)
		h.SetITT(pdu.NoTag)
		h.SetLUN(p.LUN())
		pdu.AsNOPOut(h).SetTTT(p.TTT())
		c.send(h, nil)
		if a := c.answers(); len(a) != 0 {
			t.Fatalf("an answer was answered: %s", names(a))
		}
	}
	// The number shown was not consumed, and a ping of the initiator takes it.
	if a := c.ping(); pdu.AsNOPIn(&a.h).StatSN() != next {
		t.Errorf("StatSN %v, want %v", pdu.AsNOPIn(&a.h).StatSN(), next)
	}
}

// A ping comes back with its tag and data, cut to what the initiator takes, while
// data flows (RFC 3720 §10.18, §10.19).
func TestNOP_PingOfTheInitiator(t *testing.T) {
	conform.Covers(t, "R-10.18.1-1", "R-10.19-1")
	conform.Trap(t, 26)
	for _, most := range []int{512, 8192, 65536} {
		w := newWorld(t, options{slow: true})
		c := w.login(fmt.Sprintf("MaxRecvDataSegmentLength=%d", most))
		data := w.bytesOf(65536)
		c.read10(0, 256)
		itt := c.write10(512, 64, nil, true)
		for _, n := range []int{0, 1, 5, 512, 65536} {
			h := c.request(pdu.OpNOPOut, n%2 == 0)
			pdu.AsNOPOut(h).SetTTT(pdu.NoTag)
			c.send(h, data[:n])
		}
		var sizes []int
		all := c.answers()
		for i := range all {
			if a := &all[i]; a.h.Opcode() == pdu.OpNOPIn {
				sizes = append(sizes, len(a.data))
				if pdu.AsNOPIn(&a.h).TTT() != pdu.NoTag || !bytes.Equal(a.data, data[:len(a.data)]) {
					t.Errorf("TTT %x, %d bytes", pdu.AsNOPIn(&a.h).TTT(), len(a.data))
				}
			} else if a.h.Opcode() == pdu.OpR2T && a.h.ITT() == itt {
				c.answerR2T(a, data, 4096)
			}
		}
		if want := []int{0, min(512, most), min(65536, most), 1, 5}; !sameSizes(sizes, want) {
			t.Errorf("most %d: answers of %v bytes, want %v in any order", most, sizes, want)
		}
		if len(dataIn(all)) != 256*512 {
			t.Errorf("the read brought %d bytes", len(dataIn(all)))
		}
		if a := c.one(pdu.OpSCSIResponse); statusOf(&a) != sam.Good {
			t.Error("the write failed")
		}
	}
}

// sameSizes says whether two lists hold the same numbers.
func sameSizes(a, b []int) bool {
	count := map[int]int{}
	for _, n := range a {
		count[n]++
	}
	for _, n := range b {
		count[n]--
	}
	for _, n := range count {
		if n != 0 {
			return false
		}
	}
	return true
}

// Any number of pings that nobody reads costs a bounded amount, and a neighbour goes
// on.
func TestNOP_AFloodIsBounded(t *testing.T) {
	w := newWorld(t, options{})
	c, other := w.login(), w.login()
	w.ring.SendLimit = func(int) int { return 1 }
	most := 0
	for i := 0; i < 100_000 && !c.peer.Ended(); i++ {
		h := c.request(pdu.OpNOPOut, true)
		pdu.AsNOPOut(h).SetTTT(pdu.NoTag)
		c.peer.Write(c.wire(h, nil))
		if i%64 == 0 {
			w.turn()
			most = max(most, w.stack.conns[0].textBytes)
		}
	}
	for range 2000 {
		w.turn()
	}
	if !c.peer.Ended() {
		t.Error("a flood that reads nothing goes on")
	}
	w.ring.SendLimit = nil
	other.check(0, w.medium[:4096])
	if most > maxTextBytes {
		t.Errorf("%d bytes were kept", most)
	}
}

// When the window moves on and nothing is due that would tell, a NOP-In without
// tags does (RFC 3720 §10.4.11).
func TestNOP_TellsOfTheWindow(t *testing.T) {
	conform.Covers(t, "R-10.4.11-1", "R-10.19.1-1", "R-10.19.2-1", "R-10.4.10-1")
	conform.Trap(t, 7)
	w := newWorld(t, options{slow: true})
	a, b := w.login(), w.login()
	w.queue.held = true
	window := w.stack.limits.Session.Window
	for range window {
		b.read10(0, 8)
	}
	// The window is closed: what comes beyond it is ignored.
	b.read10(0, 8)
	b.cmdSN--
	if got := pdu.AsNOPIn(&b.ping().h); got.MaxCmdSN().Next() != got.ExpCmdSN() {
		t.Fatalf("window %v..%v", got.ExpCmdSN(), got.MaxCmdSN())
	}
	a.manage(sam.LogicalUnitReset, pdu.NoTag, 0)
	w.settle()
	if got := b.drain(); len(got) != 0 {
		t.Fatalf("answers %s while the medium works", names(got))
	}
	w.queue.held = false
	nop := b.one(pdu.OpNOPIn)
	r := pdu.AsNOPIn(&nop.h)
	if r.TTT() != pdu.NoTag || r.ITT() != pdu.NoTag || r.ExpCmdSN() != serial.Cmd(b.cmdSN) || r.MaxCmdSN() != serial.Cmd(b.cmdSN+window-1) {
		t.Errorf("TTT %x, ITT %x, window %v..%v, next CmdSN %d", r.TTT(), r.ITT(), r.ExpCmdSN(), r.MaxCmdSN(), b.cmdSN)
	}
	if got := b.ping(); pdu.AsNOPIn(&got.h).StatSN() != r.StatSN() {
		t.Error("the NOP-In consumed a StatSN")
	}
}
