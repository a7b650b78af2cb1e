package transport

import (
	"bytes"
	"testing"

	"lunar/internal/buf"
	"lunar/internal/conform"
	"lunar/iscsi/pdu"
	"lunar/lun/blk"
)

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

// What all connections keep together has a bound too; each gives up some.
func TestKeep_IsShared(t *testing.T) {
	w := newWorld(t, options{staged: []buf.Class{{Bytes: blk.MaxRequestBytes, Count: 16}}})
	var all []*patient
	for range 3 {
		p := w.recovering("MaxBurstLength=262144", "MaxRecvDataSegmentLength=262144")
		for i := range 6 {
			p.read10(512*i, 512)
			p.one(pdu.OpDataIn)
		}
		all = append(all, p)
	}
	if w.stack.kept != 4*blk.MaxRequestBytes {
		t.Errorf("%d bytes are kept, want a quarter of %d", w.stack.kept, w.staged.Bytes())
	}
	last := all[2]
	itt := last.read10(0, 512)
	sent := last.answers()
	last.snack(pdu.SNACKData, itt, noTag, 0, 0)
	last.copies("what was sent last", sent)
}

// The response to a logout is the last answer, so there is always room for it.
func TestKeep_LeavesRoomForALogout(t *testing.T) {
	conform.Covers(t, "R-10.14-3")
	w := newWorld(t, options{})
	p := w.recovering()
	p.read10(0, 16)
	p.one(pdu.OpDataIn)
	for range 80 {
		p.command(make([]byte, 6), pdu.FlagFinal, 0, nil)
		p.answers()
	}
	if !w.stack.conns[0].sess.Full() {
		t.Fatal("there is room")
	}
	p.logout()
	got := p.answers()
	if len(got) != 1 || got[0].h.Opcode() != pdu.OpLogoutResp || !p.peer.Ended() {
		t.Errorf("%s, ended %v", names(got), p.peer.Ended())
	}
	if w.stack.kept != 0 {
		t.Errorf("%d bytes are kept of a session that is over", w.stack.kept)
	}
}

// A place for connections is used again, with and without recovery: what is kept belongs
// to one session.
func TestKeep_IsUsedAgain(t *testing.T) {
	conform.Covers(t, "R-6.1.3-1", "R-6.1.5-3")
	w := newWorld(t, options{})
	copy(w.medium, w.bytesOf(unitBytes))
	for i := range 4 {
		p := w.recovering()
		itt := p.read10(8*i, 8)
		sent := p.answers()
		p.snack(pdu.SNACKData, itt+1, noTag, 0, 0)
		p.rejected("another task", pdu.RejectProtocolError, 0)
		p.snack(pdu.SNACKData, itt, noTag, 0, 0)
		p.copies("what this session sent", sent)
		p.peer.Reset()
		w.settle()
		if w.stack.kept != 0 || w.stack.Live() != 0 {
			t.Fatalf("%d bytes are kept, %d connections left", w.stack.kept, w.stack.Live())
		}
		if i%2 == 1 {
			c := w.login()
			c.check(0, w.medium[:512])
			if w.stack.conns[0].keep != nil {
				t.Error("level 0 keeps something")
			}
			c.peer.Close()
			w.settle()
		}
	}
}
