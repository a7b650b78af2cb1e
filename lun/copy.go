package lun

import (
	"lunar/lun/blk"
	"lunar/scsi"
	"lunar/scsi/sam"
)

// What is here carries out third-party copies (SPC-4 §5.17). A copy is an initiator of its
// own to the units it reads and writes: for each piece a READ(16) and a WRITE(16), in the name
// of the nexus that asked, so that reservations, write protection, ranges and the gate hold
// for it without a word here (adr/0024). It runs at the home of the unit that got the command.

const (
	// maxCopyPieces is how many pieces of one copy are under way, maxLocalPieces of all
	// copies of a reactor.
	maxCopyPieces  = 4
	maxLocalPieces = 16

	// ownCopy marks the owner of a command and the tag of a request that are a copy's; owners
	// leave that bit 0. Below it stand the slot of the copy, the piece and its turn.
	ownCopy        = 1 << (ownerShift - 2)
	copySlotShift  = 34
	copyPieceShift = 32
)

// copying is a third-party copy under way.
type copying struct {
	local *Local
	slot  int
	// unit is whose device server makes the copy, for command.
	unit    *Unit
	command *sam.Command
	plan    scsi.Program
	// segment is copied from source to destination; taken says how much of it pieces have
	// taken. Where the two overlap, inOrder, one piece follows the other, backwards if so
	// nothing is written that is to be read yet.
	segment             scsi.Segment
	source, destination Entry
	taken               int64
	inOrder, backwards  bool
	// shared is what pieces are shared in multiples of, 0 when they are moved.
	shared int64
	// gap is the first part that a piece did not write, and wrote says that some did; told is
	// how much the device server knows of.
	gap, told int64
	wrote     bool

	pieces  [maxCopyPieces]piece
	running int
	// waiting: for memory, or behind others that do.
	waiting                bool
	ended, failed, stopped bool
	// claiming: the maker of its token has not answered yet. detached: it goes on without the
	// command that began it, for which command stands.
	claiming, detached bool
	// clearing are the COPY OPERATION ABORTs that have stopped it and end with it.
	clearing []*sam.Command
}

// copy begins a third-party copy. It is true when it has ended already.
func (u *Unit) copy(l *Local, c *sam.Command, plan scsi.Program) bool {
	k := &copying{local: l, unit: u, command: c, plan: plan}
	if n := len(l.freeCopies); n > 0 {
		k.slot, l.freeCopies = l.freeCopies[n-1], l.freeCopies[:n-1]
	} else {
		k.slot = len(l.copies)
		l.copies = append(l.copies, nil)
	}
	l.copies[k.slot] = k
	u.sides[u.home].tasks.entries[c.Ticket].copying = k
	return !k.claim() && k.start()
}

// conclude ends a copy that has nothing under way. It is false while it has.
func (k *copying) conclude() bool {
	if k.running > 0 || k.waiting || k.claiming || !k.ended && !k.failed && !k.stopped {
		return false
	}
	switch {
	case k.failed || !k.stopped:
	case k.clearing != nil:
		k.unit.device.ClearCopy(k.command)
	default:
		k.command.End(sam.TaskAborted)
	}
	residual := int64(-1)
	if k.wrote {
		residual = (k.segment.Bytes - k.written()) / int64(k.destination.Unit.mapped.BlockBytes)
	}
	k.releaseToken()
	k.unit.device.EndCopy(k.command, &k.plan, residual)
	if !k.detached {
		k.unit.sides[k.unit.home].tasks.entries[k.command.Ticket].copying = nil
	}
	k.local.copies[k.slot] = nil
	k.local.freeCopies = append(k.local.freeCopies, k.slot)
	for _, c := range k.clearing {
		k.local.tell(c.Owner, Event{Kind: Executed, Command: c})
	}
	return true
}

// goOn runs a copy on and tells when it has ended.
func (k *copying) goOn() {
	if !k.waiting {
		k.run()
	}
	if k.conclude() && !k.detached {
		k.local.tell(k.command.Owner, Event{Kind: Executed, Command: k.command})
	}
}

// run starts pieces until enough are under way.
func (k *copying) run() {
	for !k.ended && !k.failed && !k.stopped {
		if k.taken == k.segment.Bytes {
			// What a segment reads the one before may have written.
			if k.running > 0 {
				return
			}
			k.nextSegment()
			continue
		}
		if k.running == maxCopyPieces || k.inOrder && k.running > 0 {
			return
		}
		if k.local.waitingCopies != nil || !k.startPiece() {
			k.waiting = true
			k.local.waitingCopies = append(k.local.waitingCopies, k)
			return
		}
	}
}

// nextSegment takes the next segment, or ends the copy.
func (k *copying) nextSegment() {
	k.wrote = false
	s, ok := k.unit.device.NextSegment(k.command, &k.plan)
	if !ok {
		k.ended = true
		return
	}
	m := k.command.Path.Map.(*Map)
	k.segment, k.source, k.destination, k.taken = s, m.place(s.Source), m.place(s.Destination), 0
	k.inOrder, k.backwards = k.overlap()
	k.gap, k.told = s.Bytes, 0
	k.shared = k.granule()
}

// written is how much of the segment is written with nothing missing before it.
func (k *copying) written() int64 {
	n := min(k.gap, k.taken)
	for i := range k.pieces {
		if p := &k.pieces[i]; p.buf != nil {
			n = min(n, p.at)
		}
	}
	if k.backwards && (n < k.segment.Bytes || k.running > 0) {
		return 0
	}
	return n
}

// overlap says whether a segment reads what it writes, and whether it is then to be copied
// from its end.
func (k *copying) overlap() (overlap, backwards bool) {
	if k.source.Unit != k.destination.Unit || k.segment.Zero {
		return false, false
	}
	blocks := uint64(k.segment.Bytes) / uint64(k.source.Unit.mapped.BlockBytes)
	from, to := k.segment.SourceLBA, k.segment.DestinationLBA
	return max(from, to)-min(from, to) < blocks, to > from
}

// startPiece takes the next part of the segment. It is false when there is no memory for it
// now, or when too many pieces of other copies are under way.
func (k *copying) startPiece() bool {
	if k.local.pieces == maxLocalPieces {
		return false
	}
	n := min(k.segment.Bytes-k.taken, blk.MaxRequestBytes)
	b := k.local.pool.Get(int(n))
	if b == nil {
		return false
	}
	i := 0
	for k.pieces[i].buf != nil {
		i++
	}
	p := &k.pieces[i]
	*p = piece{buf: b, at: k.taken, bytes: n, turn: p.turn}
	if k.backwards {
		p.at = k.segment.Bytes - k.taken - n
	}
	k.taken += n
	k.running++
	k.local.pieces++
	p.shares = k.shareable(p)
	if k.segment.Zero {
		clear(b.Bytes()[:n])
	}
	k.begin(i, k.segment.Zero)
	return true
}

// abortCopy stops the copy that plan is for; c ends when nothing of it is under way any more.
// It is true when there is no such copy, which then has just ended.
func (u *Unit) abortCopy(l *Local, c *sam.Command, plan *scsi.Program) bool {
	for _, k := range l.copies {
		if k != nil && k.unit == u && plan.Aborts(&k.plan) {
			k.clearing = append(k.clearing, c)
			k.stop()
			return false
		}
	}
	return true
}

// stop keeps a copy from starting further pieces; its command is ended by its owner.
func (k *copying) stop() {
	k.stopped = true
	k.withdraw()
}

// withdraw has no piece wait at its unit any more.
func (k *copying) withdraw() {
	for i := range k.pieces {
		if p := &k.pieces[i]; p.asking {
			k.local.Withdraw(p.unit, p.command.Owner)
		}
	}
}

// retryCopies starts what waited for memory or behind others, the first who came first.
func (l *Local) retryCopies() {
	waiting := l.waitingCopies
	l.waitingCopies = nil
	for _, k := range waiting {
		k.waiting = false
		k.goOn()
	}
}

// copiesWith says whether a copy of this reactor is a unit's, or has a piece under way from or
// to it.
func (l *Local) copiesWith(u *Unit) bool {
	for _, k := range l.copies {
		if k != nil && (k.unit == u || k.running > 0 && (k.source.Unit == u || k.destination.Unit == u)) {
			return true
		}
	}
	return false
}
