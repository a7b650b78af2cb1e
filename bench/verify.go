package bench

// ledger knows what every unit of a job should hold. No two operations in progress
// touch the same unit, so each read has exactly one right answer.
type ledger struct {
	seed        uint64
	generations []uint32
	busy        []bool
	// found is the first mismatches; bad counts all.
	found []Mismatch
	bad   uint64
	// checked counts blocks that were compared.
	checked uint64
}

// maxMismatches is how many mismatches are kept to be shown.
const maxMismatches = 16

func newLedger(seed uint64, units int64) *ledger {
	return &ledger{seed: seed, generations: make([]uint32, units), busy: make([]bool, units)}
}

// claim marks the slot's unit as in use and writes what a write is to carry.
func (l *ledger) claim(sl *slot) {
	l.busy[sl.unit] = true
	if sl.write {
		l.generations[sl.unit]++
		l.each(sl, func(s stamp, block []byte) { s.fill(block) })
	}
}

// each calls do for every logical block of the slot's buffer.
func (l *ledger) each(sl *slot, do func(stamp, []byte)) {
	j := sl.j
	perUnit := j.unitBytes / j.blockBytes
	lba := uint64((j.first + sl.unit) * int64(perUnit))
	for i := range perUnit {
		s := stamp{seed: l.seed, lba: lba + uint64(i), generation: l.generations[sl.unit]}
		do(s, sl.buf[i*j.blockBytes:(i+1)*j.blockBytes])
	}
}

// done judges what a read returned and frees the unit.
func (l *ledger) done(sl *slot) {
	l.busy[sl.unit] = false
	if sl.write {
		return
	}
	l.each(sl, func(s stamp, block []byte) {
		l.checked++
		at := s.differs(block)
		if at < 0 {
			return
		}
		l.bad++
		if len(l.found) < maxMismatches {
			l.found = append(l.found, s.mismatch(block, at))
		}
	})
	clear(sl.buf) // so that a read that places nothing is seen
}

// sweep picks every unit once, in order.
func (j *job) sweep(write bool) func(*slot) bool {
	next := int64(0)
	return func(sl *slot) bool {
		if next == j.units {
			return false
		}
		sl.unit, sl.write = next, write
		next++
		j.ledger.claim(sl)
		return true
	}
}

// pickFree chooses by the mix among the units that nobody uses. There are more
// units than slots, so the walk ends.
func (j *job) pickFree(sl *slot) bool {
	j.pickMix(sl)
	for j.ledger.busy[sl.unit] {
		if sl.unit++; sl.unit == j.units {
			sl.unit = 0
		}
	}
	j.ledger.claim(sl)
	return true
}
