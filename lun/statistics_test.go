package lun

import (
	"encoding/binary"
	"testing"
)

// LOG SENSE tells of the commands of all reactors, from whichever it is asked.
func TestStatistics_OfAllSides(t *testing.T) {
	w := newWorld(t)
	w.unit.join(away)
	w.open()
	for r := range w.locals {
		w.do(r, command(t, r, 1, "28 00 00 00 00 10 00 00 02"), nil)
	}
	for r := range w.locals {
		c := command(t, r, 2, "4d 00 59 00 00 00 00 00 ff")
		in := w.do(r, c, nil)
		if n := binary.BigEndian.Uint64(in[8:]); n != 2 {
			t.Errorf("asked from %d: %d reads", r, n)
		}
	}
	w.idle()
}
