package lun

import (
	"bytes"
	"testing"

	"lunar/lun/blk"
)

// A program or comparison that found no buffer starts in the turn after somebody
// else gave one back, also when nothing of this package is in flight to end.
func TestLocal_PoolExhaustedByOthers_GoesOnWhenBuffersReturn(t *testing.T) {
	for r := range 2 {
		w := newProgramWorld(t)
		lent := w.lendAll()
		verify := w.start(r, 1, "2f 00 00 00 00 00 00 30 00", nil)
		fill := w.start(r, 2, "41 00 00 00 00 00 00 30 00", bytes.Repeat([]byte{1}, testBlock))
		q := &blk.Request{Op: blk.Read, Length: testBlock, Data: bytes.Repeat([]byte{1}, testBlock), Tag: Owner(r, 3)}
		w.locals[r].Compare(w.unit, q)
		w.settle()
		if len(w.events) != 0 || len(w.disk.served) != 0 {
			t.Fatalf("without a buffer: events %v, served %v", w.events, w.disk.served)
		}
		// A program without buffers is not held up by those that wait for some.
		sync := w.start(r, 4, "35", nil)
		w.want(sync.Owner, Executed)
		for _, b := range lent {
			b.Release()
		}
		w.want(Owner(r, 3), Moved)
		if q.Result != blk.OK {
			t.Errorf("comparison: result %d", q.Result)
		}
		w.want(verify.Owner, Executed)
		w.want(fill.Owner, Executed)
		for _, c := range []uint32{verify.Ticket, fill.Ticket, sync.Ticket} {
			w.unit.finish(w.locals[home], c, outcome{})
		}
		w.idle()
	}
}

// One buffer is enough: programs take turns and all of them end.
func TestLocal_OneBuffer_EveryoneIsServed(t *testing.T) {
	w := newProgramWorld(t)
	lent := w.lendAll()
	lent[0].Release()
	for id := range uint64(20) {
		c := w.start(int(id%2), id, "2f 00 00 00 00 00 00 10 00", nil)
		w.locals[OwnerReactor(c.Owner)].Move(w.unit, &blk.Request{Op: blk.Sync, Tag: Owner(home, 100+id)})
	}
	w.drive()
	for id := range uint64(20) {
		w.want(Owner(int(id%2), id), Executed)
		w.want(Owner(home, 100+id), Moved)
		w.unit.finish(w.locals[home], uint32(id), outcome{})
	}
	for _, b := range lent[1:] {
		b.Release()
	}
	w.idle()
}

// An aborted program that waits for a buffer ends without one.
func TestProgram_Stop_WhileItWaits_EndsAtOnce(t *testing.T) {
	for r := range 2 {
		w := newProgramWorld(t)
		lent := w.lendAll()
		c := w.start(r, 1, "2f 00 00 00 00 00 00 30 00", nil)
		w.locals[r].Stop(w.unit, c)
		w.want(c.Owner, Executed)
		w.locals[r].Finish(w.unit, c)
		for _, b := range lent {
			b.Release()
		}
		w.idle()
		if len(w.disk.served) != 0 {
			t.Errorf("served %v", w.disk.served)
		}
	}
}
