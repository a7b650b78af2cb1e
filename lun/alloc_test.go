package lun

import (
	"testing"

	"lunar/lun/blk"
)

// A READ whose unit is at home allocates nothing from Begin to Finish.
func TestLocal_Read_AllocatesNothing(t *testing.T) {
	w := newWorld(t)
	l := w.locals[home]
	c := command(t, home, 1, "28 00 00 00 00 10 00 00 08")
	data := make([]byte, 8*testBlock)
	q := &blk.Request{}
	moved := 0
	read := func() {
		l.Begin(w.unit, c)
		*q = blk.Request{Op: blk.Read, Offset: c.Extent.Offset, Length: c.Extent.Bytes, Data: data, Tag: c.Owner}
		l.Move(w.unit, q)
		l.Flush()
		for _, e := range l.Events() {
			if e.Kind == Moved && e.Request == q && q.Result == blk.OK {
				moved++
			}
		}
		l.Finish(w.unit, c)
	}
	read()
	const rounds = 500
	if n := testing.AllocsPerRun(rounds, read); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if moved != rounds+2 {
		t.Errorf("%d of %d reads ended", moved, rounds+2)
	}
	w.idle()
}
