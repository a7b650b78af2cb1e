package lun

import (
	"testing"

	"lunar/scsi/sam"
)

// COPY OPERATION ABORT ends when nothing of the copy is under way any more, and the copy with
// it; it ends one copy of its nexus and no other.
func TestCopy_OperationAbort(t *testing.T) {
	for r := range 2 {
		w := newCopyWorld(t, Entry{})
		w.disk.hold = true
		c := w.start(r, 9, part{1, 1, 0, 8192, 8000})
		other := w.start(r, 8, part{1, 1, 0, 8192, 300})
		w.settle()
		var aborts []*sam.Command
		for id := range uint64(2) {
			a := command(t, r, 20+id, "83 1c 00 00 00 09")
			w.begin(r, a)
			if w.execute(r, a, nil) {
				t.Fatalf("it has ended with %d requests in flight, %+v", w.flying(), a.Sense)
			}
			w.settle()
			aborts = append(aborts, a)
		}
		for w.flying() > 0 {
			if len(w.events[c.Owner]) == 0 && len(w.events[aborts[0].Owner]) > 0 {
				t.Fatal("it has ended before the copy")
			}
			w.answerOne()
		}
		for _, a := range aborts {
			w.want(a.Owner, Executed)
			w.locals[r].Finish(w.unit, a)
			if a.Status != sam.Good {
				t.Errorf("%v %+v", a.Status, a.Sense)
			}
		}
		w.want(other.Owner, Executed)
		w.locals[r].Finish(w.unit, other)
		w.settle()
		w.end(r, c)
		if c.Sense.Key != sam.CopyAborted || c.Sense.Code != 0x2f02 || other.Status != sam.Good {
			t.Errorf("%v %+v, %v", c.Status, c.Sense, other.Status)
		}
	}
}

// A function over the task set of its unit ends a copy as it ends every command: it is
// terminated, and did not fail.
func TestCopy_AbortTaskSet(t *testing.T) {
	for r := range 2 {
		for _, p := range []part{{1, 1, 0, 8192, 8000}, {1, 2, 0, 100, 8000}, {2, 1, 0, 100, 8000}} {
			w := newCopyWorld(t, Entry{})
			w.disk.hold, w.farDisk.hold = true, true
			c := w.start(r, 9, p)
			w.settle()
			w.manage(r, 30, sam.AbortTaskSet)
			w.want(c.Owner, Abort)
			w.locals[r].Stop(w.unit, c)
			w.answerAll()
			w.want(c.Owner, Executed)
			if len(w.events) != 0 {
				t.Fatalf("concluded before the copy: %v", w.events)
			}
			w.locals[r].Finish(w.unit, c)
			w.want(Owner(r, 30), Managed)
			in := w.do(r, command(t, r, 10, "84 05 00 00 00 09 00 00 00 00 00 00 00 20"), nil)
			if c.Status != sam.TaskAborted || in[5] != 0x60 || in[12] != byte(sam.TaskAborted) {
				t.Errorf("%+v: %v %+v, status of the copy %x", p, c.Status, c.Sense, in)
			}
			w.idle()
		}
	}
}
