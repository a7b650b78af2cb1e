package session

import "lunar/iscsi/serial"

// window is the command window of a session with one connection: which CmdSN may
// come, which came too early, and how far the initiator may go (RFC 3720
// §3.2.2.1). MaxCmdSN is credit: it moves on when a command ends, so there is a
// task slot for every command that may come.
type window struct {
	exp, last serial.CmdSN
	// early holds commands behind a gap, by CmdSN modulo its size, as task index
	// plus one; plugged marks a number that was given up.
	early []uint32
	held  int
}

const plugged = ^uint32(0)

// newWindow opens size numbers from first on.
func newWindow(first serial.CmdSN, size uint32) window {
	n := uint32(1)
	for n < size {
		n *= 2
	}
	return window{exp: first, last: first.Add(size - 1), early: make([]uint32, n)}
}

func (w *window) cell(n serial.CmdSN) *uint32 {
	return &w.early[n.Uint32()&uint32(len(w.early)-1)]
}

// accepts says whether a non-immediate command with this number is new and inside
// the window. Anything else is silently ignored (§3.2.2.1 [R-3.2.2.1-7]).
func (w *window) accepts(n serial.CmdSN) bool {
	return n.In(w.exp, w.last) && (n == w.exp || *w.cell(n) == 0)
}

// next is what may be delivered now: the expected number itself, which offer
// reports by true, or what waited for it, from pop.
func (w *window) offer(n serial.CmdSN, task uint32) (now bool) {
	if n == w.exp {
		w.exp = w.exp.Next()
		return true
	}
	*w.cell(n) = task + 1
	w.held++
	return false
}

// pop returns the next command that waited and is due, in CmdSN order.
func (w *window) pop() (task uint32, ok bool) {
	for w.held > 0 {
		c := w.cell(w.exp)
		v := *c
		if v == 0 {
			return 0, false
		}
		*c = 0
		w.held--
		w.exp = w.exp.Next()
		if v != plugged {
			return v - 1, true
		}
		w.credit()
	}
	return 0, false
}

// plug counts a number as received without a command, for ABORT TASK of one that
// never came (§6.9 [R-6.9-1]). It is false when the number is no gap.
func (w *window) plug(n serial.CmdSN) bool {
	if !w.accepts(n) {
		return false
	}
	if n == w.exp {
		w.exp = w.exp.Next()
		w.credit()
		return true
	}
	*w.cell(n) = plugged
	w.held++
	return true
}

// credit lets the initiator send one more command. MaxCmdSN never moves back.
func (w *window) credit() { w.last = w.last.Next() }
