package lun

import (
	"testing"

	"lunar/scsi/sam"
)

// readAt is a READ(10) of a nexus at a place.
func readAt(t reporter, r int, id uint64, n sam.Nexus, place uint32) *sam.Command {
	c := command(t, r, id, "28 00 00 00 00 00 00 00 01")
	c.Nexus, c.Place, c.Numbered = n, place, true
	return c
}

// resume begins what was before anew, for another owner.
func (w *world) resume(before *sam.Command, id uint64) *sam.Command {
	c := readAt(w.t, home, id, before.Nexus, before.Place)
	c.Resumed, c.Replaces = true, AtHome(before.Ticket)
	c.Ended, c.Told, c.Heard = w.locals[home].Part(w.unit, before.Ticket)
	w.begin(home, c)
	w.locals[home].Forget(w.unit, home, before.Ticket)
	return c
}

// ends checks whether a command that goes on is ended by a function, and lets all go.
func (w *world) ends(c *sam.Command, want bool) {
	w.t.Helper()
	if got := c.Action == sam.Complete && c.Status == sam.TaskAborted; got != want {
		w.t.Fatalf("ended %v, want %v", got, want)
	}
	w.locals[home].Finish(w.unit, c)
	w.settle()
	w.take(c.Owner)
}

// A function that waits for commands before it ends a command which left before it came,
// and none that came later, although the nexus is the same and the place a lower one: the
// session of the function has ended (RFC 3720 §5.3.5).
func TestResume_FunctionOfTheSessionBefore(t *testing.T) {
	for _, cdb := range []string{"28 00 00 00 00 00 00 00 01", "00"} {
		for _, later := range []bool{false, true} {
			w := newWorld(t)
			w.open()
			holds := readAt(t, home, 10, 0, 82)
			w.begin(home, holds)
			c := command(t, home, 11, cdb)
			c.Place, c.Numbered = 78, true
			reset := &Management{Function: sam.LogicalUnitReset, Owner: Owner(home, 9), Place: 83}
			if later {
				w.locals[home].Manage(w.unit, reset)
				w.locals[home].Lose(w.unit, 0)
				w.settle()
				w.attention(home, 0x2907)
			}
			w.begin(home, c)
			if !later {
				w.locals[home].Manage(w.unit, reset)
				w.settle()
			}
			w.ends(w.resume(c, 12), !later)
			w.locals[home].Finish(w.unit, holds)
			w.settle()
			clear(w.events)
			w.idle()
		}
	}
}

// A command that goes on elsewhere while a function of another nexus is under way is told so,
// with TAS, and otherwise ends without a word, whether it was at the home or came through the gate.
func TestResume_TAS(t *testing.T) {
	for _, cdb := range []string{"28 00 00 00 00 00 00 00 01", "00"} {
		for _, tas := range []bool{false, true} {
			w := newWorld(t)
			w.open()
			if tas {
				w.tas()
			}
			c := command(t, home, 11, cdb)
			c.Place, c.Numbered = 78, true
			w.begin(home, c)
			w.locals[home].Manage(w.unit, &Management{Function: sam.ClearTaskSet, Nexus: away, Owner: Owner(home, 9), Place: 83})
			w.settle()
			again := w.resume(c, 12)
			if again.Told != tas {
				t.Errorf("%s: told %v, TAS %v", cdb, again.Told, tas)
			}
			w.ends(again, true)
		}
	}
}

// What had ended and is carried out once more is in no task set: a function of another
// nexus, or of a session before, does not end it; one of its own session does, for its
// initiator takes it for ended.
func TestResume_Concluded(t *testing.T) {
	for _, x := range []struct {
		from sam.Nexus
		lost bool
		want bool
	}{{0, false, true}, {0, true, false}, {1, false, false}} {
		w := newWorld(t)
		w.open()
		holds := readAt(t, home, 10, x.from, 82)
		w.begin(home, holds)
		w.locals[home].Manage(w.unit, &Management{Function: sam.ClearTaskSet, Nexus: x.from, Owner: Owner(home, 9), Place: 83})
		if x.lost {
			w.locals[home].Lose(w.unit, x.from)
		}
		w.settle()
		c := readAt(t, home, 12, 0, 78)
		c.Resumed, c.Replaces, c.Heard = true, sam.NoTicket, sam.Concluded
		w.begin(home, c)
		w.ends(c, x.want)
		w.locals[home].Finish(w.unit, holds)
		w.settle()
		clear(w.events)
		w.idle()
	}
}
