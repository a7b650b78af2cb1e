package order

import (
	"lunar/internal/invariant"
	"lunar/iscsi/serial"
)

// Sequencer is the command order of a session with several connections.
//
// Each number of the window has a slot, a word that says for which number it stands
// and how far that has come. Offering is one compare-and-swap from "empty, for this
// number", so that a failed one is the test for duplicates and for numbers outside
// the window. Draining is done by one core at a time: who raises work from zero
// drains until it can set it back. Where there is one core only, each of these steps is
// a plain write (words.go).
type Sequencer struct {
	slots []slot
	mask  uint32
	size  uint32
	// spread is how far apart, as a power of two of slots, those of two numbers are.
	spread uint8
	sole   sole
	_      [cacheLine]byte

	// exp is ExpCmdSN; the drainer writes it. last is MaxCmdSN, told one that was sent
	// on any connection (Tell).
	exp, last, told number
	_               [cacheLine]byte

	// work counts the knocks since the drainer came.
	work count
	// handed counts commands that were given to other cores and have not started
	// there.
	handed count
	// lone is the drainer's: of what was handed over is one that others do not pass.
	lone bool
}

// slot is one number of the window. Where several cores write, a cache line holds one.
type slot struct {
	// word is the number and its state.
	word  word
	owner uint64
}

const (
	cacheLine = 64
	// lineSlots is the spread that makes a slot the only one of its line.
	lineSlots = 2
)

// States of a slot.
const (
	empty   = iota // its number has not come
	claimed        // somebody is writing the slot
	full           // its command waits to be delivered
	alone          // likewise, and nothing passes it either way
	given          // its number was given up; nothing is delivered for it
)

const stateBits = 3

func wordOf(n serial.CmdSN, state uint64) uint64 { return uint64(n.Uint32())<<stateBits | state }

// New returns the order of a session whose first command has this number and of
// which size commands may be under way. With oneCore all its connections, for all its
// life, are on the same core, which alone uses it.
func New(first serial.CmdSN, size uint32, oneCore bool) *Sequencer {
	n := uint32(1)
	for n < size {
		n *= 2
	}
	s := &Sequencer{mask: n - 1, size: size, sole: sole(oneCore)}
	if !oneCore {
		s.spread = lineSlots
	}
	s.slots = make([]slot, n<<s.spread)
	for i := range n {
		sn := first.Add(i)
		s.slot(sn).word.store(wordOf(sn, empty), s.sole)
	}
	last := first.Add(size - 1).Uint32()
	s.exp.store(first.Uint32(), s.sole)
	s.last.store(last, s.sole)
	s.told.store(last, s.sole)
	return s
}

func (s *Sequencer) slot(n serial.CmdSN) *slot { return &s.slots[n.Uint32()&s.mask<<s.spread] }

// Size is how many commands may be under way.
func (s *Sequencer) Size() uint32 { return s.size }

// Expected is ExpCmdSN.
func (s *Sequencer) Expected() serial.CmdSN { return serial.Cmd(s.exp.load()) }

// Last is MaxCmdSN. Whoever shows both asks for Expected first: MaxCmdSN, read later,
// then never lies more than one before it (RFC 3720 §3.2.2.1 [R-3.2.2.1-6]).
func (s *Sequencer) Last() serial.CmdSN { return serial.Cmd(s.last.load()) }

// Accepts says whether a command with this number is new and inside the window;
// anything else is silently ignored (RFC 3720 §3.2.2.1 [R-3.2.2.1-7]). Another
// connection may bring the number before this one offers it.
func (s *Sequencer) Accepts(n serial.CmdSN) bool {
	return n.In(s.Expected(), s.Last()) && s.slot(n).word.load() == wordOf(n, empty)
}

// Offer puts a command in its place. One that is alone is delivered when all before
// it have started, and those behind it when it has. It is false when the number has
// come before or is outside the window. A Knock behind it, or behind several, has it
// delivered.
func (s *Sequencer) Offer(n serial.CmdSN, owner uint64, passes bool) bool {
	state := uint64(full)
	if !passes {
		state = alone
	}
	return s.fill(n, owner, state)
}

// OneCore says that one core alone uses the order: nothing is handed over, so of what is
// offered need not be said whether it passes others.
func (s *Sequencer) OneCore() bool { return bool(s.sole) }

// Next takes the number that is due next past its place, as if it had been offered and
// taken: where there is one core, and that does not drain just now, which is how nearly
// every command comes there. When it is false the command is offered; when it is true and
// Due is as well, a Knock has delivered what waited for it.
func (s *Sequencer) Next(n serial.CmdSN) bool {
	if !s.sole || s.work.v > 0 || n.Uint32() != s.exp.v || n.Uint32() == s.last.v+1 {
		return false
	}
	x := s.slot(n)
	if x.word.v != wordOf(n, empty) {
		return false
	}
	x.word.v = wordOf(n.Add(s.mask+1), empty)
	s.exp.v++
	return true
}

// Due says that the next number has come, or was given up.
func (s *Sequencer) Due() bool {
	n := s.Expected()
	w := s.slot(n).word.load()
	return w == wordOf(n, full) || w == wordOf(n, alone) || w == wordOf(n, given)
}

// GiveUp counts a number as received without a command (RFC 3720 §6.9 [R-6.9-1]). It
// is false when the number has come or is outside the window. A Knock follows.
func (s *Sequencer) GiveUp(n serial.CmdSN) bool { return s.fill(n, 0, given) }

func (s *Sequencer) fill(n serial.CmdSN, owner uint64, state uint64) bool {
	x := s.slot(n)
	if !n.In(s.Expected(), s.Last()) || !x.word.swap(wordOf(n, empty), wordOf(n, claimed), s.sole) {
		return false
	}
	x.owner = owner
	x.word.store(wordOf(n, state), s.sole)
	return true
}

// Withdraw takes back a command that was offered: its number is given up, or with
// again may come once more (RFC 3720 §10.14.5 [R-10.14-5]). It is false when the
// command is about to be delivered, or was. A Knock follows.
func (s *Sequencer) Withdraw(n serial.CmdSN, again bool) bool {
	x := s.slot(n)
	for _, state := range []uint64{full, alone} {
		if x.word.swap(wordOf(n, state), wordOf(n, claimed), s.sole) {
			state = given
			if again {
				state = empty
			}
			x.word.store(wordOf(n, state), s.sole)
			return true
		}
	}
	return false
}

// Credit lets the initiator send one more command: one has ended. MaxCmdSN never
// moves back.
func (s *Sequencer) Credit() { s.last.increase(s.sole) }

// Knock asks for what is due. When it is not zero the caller drains: it calls Take
// until that is false, then Leave, and again while that is not zero.
func (s *Sequencer) Knock() (round int32) {
	if n := s.work.add(1, s.sole); n == 1 {
		return n
	}
	return 0
}

// Leave ends a round of draining. It is not zero when somebody knocked meanwhile:
// then there is another round.
func (s *Sequencer) Leave(round int32) (next int32) {
	if s.work.reset(round, s.sole) {
		return 0
	}
	return s.work.load()
}

// Take returns the owner of the next command that is due. The caller has it start, or
// hands it over to another core by Hand.
func (s *Sequencer) Take() (owner uint64, ok bool) {
	for {
		n := s.Expected()
		x := s.slot(n)
		w := x.word.load()
		state := w & (1<<stateBits - 1)
		switch {
		case w != wordOf(n, state) || state == empty || state == claimed:
			return 0, false
		case (s.lone || state == alone) && s.handed.load() > 0:
			return 0, false
		}
		// Withdraw may have come first.
		if !x.word.swap(w, wordOf(n, claimed), s.sole) {
			continue
		}
		s.lone = state == alone
		owner = x.owner
		x.word.store(wordOf(n.Add(s.mask+1), empty), s.sole)
		s.exp.store(n.Next().Uint32(), s.sole)
		if state != given {
			return owner, true
		}
		s.Credit()
	}
}

// Hand notes that a command was given to another core, Started that it has started
// there, or ended before. When it is not zero the caller drains, see Knock.
func (s *Sequencer) Hand() { s.handed.add(1, s.sole) }

// Started ends what Hand began.
func (s *Sequencer) Started() (round int32) {
	n := s.handed.add(-1, s.sole)
	invariant.Check(n >= 0, "order: more commands started than were handed over")
	if n > 0 {
		return 0
	}
	return s.Knock()
}

// Handed says whether commands are on their way to other cores, or about to be: who
// drains has moved ExpCmdSN past what it has not handed over yet. Whoever asks for
// Expected as well does so first.
func (s *Sequencer) Handed() bool { return s.handed.load() > 0 || s.work.load() > 0 }

// Tell notes the window that goes out. Of those that go out while commands are under
// way nothing needs to be noted: their answers tell once more.
func (s *Sequencer) Tell(exp, last serial.CmdSN) {
	if s.idle(exp, last) && s.told.load() != last.Uint32() {
		s.told.store(last.Uint32(), s.sole)
	}
}

// Untold says that the newest MaxCmdSN has not gone out on any connection and no command
// is under way whose answer would tell it (RFC 3720 §10.4.11 [R-10.4.11-1]).
func (s *Sequencer) Untold() bool {
	exp, last := s.Expected(), s.Last()
	return last.Uint32() != s.told.load() && s.idle(exp, last)
}

// idle says of a window that no command is under way: all of it is open. The former end
// may have been asked for earlier than the latter.
func (s *Sequencer) idle(exp, last serial.CmdSN) bool { return last.Sub(exp)+1 >= int32(s.size) }
