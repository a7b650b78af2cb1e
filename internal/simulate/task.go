package simulate

import (
	"fmt"

	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
)

// task is one request of an initiator, and what may still be said about it.
type task struct {
	op    *Op
	host  *host
	epoch int
	link  *link
	tag   pdu.ITT
	sn    serial.CmdSN
	// id is the number in the blocks of a command that changes the medium, 0 for others;
	// base are those that COMPARE AND WRITE expects.
	id     uint32
	base   []uint32
	issued int
	state  state
	how    string
	// ended is when it was concluded; by says which link told it.
	ended   int
	endedBy *link

	out []byte
	in  []byte
	// expect is how many bytes of data-in the command returns, edtl what the initiator
	// says it expects.
	expect, edtl int
	asked        int // bytes asked for and unasked
	// cuts are the Data-In of the target and requests its R2Ts, both as they were sent,
	// in by their number; sequence is how many bytes of the one under way were sent.
	cuts     []cut
	requests []request
	sequence int
	bursts   []burst
	// intact are the bytes of out that went out whole, at a recovery level; requested is
	// when data may have been asked for last, recoveries how often again; hurt says that some of it
	// was damaged. Dropped says that its request was lost.
	intact        []bool
	requested     int64
	recoveries    int
	hurt, dropped bool
	// plugged says that its number was brought by another request, plugs of that one that
	// it does so.
	plugged, plugs bool
	// acked is the number of the first Data-In that is not acknowledged; owes that the
	// one with the number owesTo asks for an acknowledgement.
	acked   int
	owes    bool
	owesTo  int
	owesTag pdu.TTT
	// tag3 is the SNACK Tag of the last R-Data, 0 before one; resent says that the
	// transfer has not begun anew yet; anything that any of it may come again.
	tag3             uint32
	resent, anything bool
	// tags are all SNACK Tags there were.
	tags []uint32
	// unavailable says that its data is not to be had any more, asksNoR2T that it leaves
	// a lost R2T to the target.
	unavailable, asksNoR2T bool
	// flipped says that data of it was damaged on the way and not sent again, damaged that
	// this happened at some time; mayVanish that no answer need
	// come; loose that a bound of time may have cut what its function promises.
	flipped, damaged, mayVanish, loose bool
	// mute says that its initiator sends no more data of it.
	mute bool
	// waits counts the seconds for which everything stood still and it was open.
	waits     int
	written   []bool
	submitted bool
	effects   []*effect
	// parked says that its connection is lost and it waits to be reassigned, home which
	// one that was; moving that a reassignment is under way, told how much Data-In that
	// acknowledges; fresh that nothing came since it was reassigned, which it was if
	// reassigned says so; before are the blocks it had written then.
	parked, moving, fresh, reassigned bool
	home                              *link
	told                              int
	before                            []bool
	// adopts is the command that a reassignment is about.
	adopts *task
	// covered are the tasks that a function ends, ref the only one of ABORT TASK.
	covered []*task
	ref     *task
	// closes is the connection that a logout closes, for recovery if it removes it.
	closes  *link
	removes bool
	text    []byte
	recv    int // what a text offers
	sentAt  int64
}

type state int

const (
	open state = iota
	answered
	// gone: it ended without an answer.
	gone
)

func (t *task) concluded() bool { return t.state != open && !t.loose }

// String names a task by its operation and tag.
func (t *task) String() string {
	return fmt.Sprintf("%s %d/%x (sn=%d unit=%d lba=%d blocks=%d ordered=%d)", kindNames[t.op.Kind], t.host.n, t.tag, t.sn.Uint32(), t.op.Unit, t.op.LBA, t.op.Blocks, t.op.Ordered)
}

// scsi says whether it is a command of a unit.
func (t *task) scsi() bool { return t.op.Kind <= Unmap }

// excludes says whether two commands must not run beside each other: of one session
// and unit, both in its order, one of them ORDERED (SAM-5 §8.5.3).
func (t *task) excludes(u *task) bool {
	return t != u && t.host == u.host && t.epoch == u.epoch && t.op.Unit == u.op.Unit && t.op.Now == 0 && u.op.Now == 0 &&
		(t.op.Ordered != 0 || u.op.Ordered != 0)
}

// reaches judges a block of it that the medium takes, in place of what was there.
func (t *task) reaches(d *disk, lba int, before uint32) {
	w, i := d.w, lba-t.op.LBA
	switch {
	case d.unit != t.op.Unit || i < 0 || i >= t.op.Blocks:
		w.fail("misplaced", "%s writes block %d of unit %d", t, lba, d.unit)
		return
	case t.written[i]:
		w.fail("twice", "%s writes block %d again", t, lba)
	case t.concluded():
		w.fail("late write", "%s changes block %d though it is over: %s", t, lba, t.how)
	case t.op.Kind == Compare && before != t.base[i]:
		w.fail("divided", "%s compared block %d with %d and replaces %d", t, lba, t.base[i], before)
	}
	t.written[i] = true
}

// clearSteps is for how many steps a function whose session has ended may still be on its
// way to the units.
const clearSteps = 1000

// close ends a task; how says by what.
func (t *task) close(s state, l *link, how string) {
	t.state, t.how, t.ended, t.endedBy = s, how, t.host.w.now(), l
	t.bursts = nil
	t.host.w.closed++
	t.host.forget(t)
	if s == gone && (t.parked || t.reassigned) {
		t.host.abandoned++
		t.host.abandonedAt = t.host.w.clock()
	}
	for _, u := range t.covered {
		// Without its answer nobody knows whether the function ended them.
		u.mayVanish = u.mayVanish || s == gone && u.state == open
	}
	switch {
	case t.op.Kind == Text:
		t.link.texting = false
	case s == gone && t.op.Kind == LogoutSession:
		t.host.over = t.host.loggingOut(t)
		if t.host.w.calm {
			t.host.ops = append(t.host.ops, t.op) // once more
		}
	case s == gone && t.closes != nil && t.closes != t.link:
		t.closes.sweeping = false
	case t.op.Kind >= ClearSet && t.op.Kind <= ResetCold:
		t.host.clearing--
		if s == gone {
			t.host.clears = t.host.w.step + clearSteps
		}
	}
	if s == answered {
		t.host.answered++
	}
}
