package simulate

// model is what a medium may hold, by what its initiators did and heard: for each block
// the writes there were, each with the moments between which it takes effect. A read may
// return what some order of these effects allows (linearizability of each block).
type model struct{ blocks [unitBlocks][]*effect }

// effect is one write of one block.
type effect struct {
	// id is the number in the block; 0 is zeros.
	id uint32
	t  *task
	// start is when it was sent: no effect before. last is when it can take effect no
	// more; by is when it has, for certain.
	start, last, by int
}

// never is later than every moment of a run.
const never = 1 << 60

func newModel() (m model) {
	for i := range m.blocks {
		m.blocks[i] = []*effect{{}}
	}
	return m
}

// begin notes a write of blocks.
func (m *model) begin(t *task, id uint32, lba, blocks, at int) {
	for i := lba; i < lba+blocks; i++ {
		e := &effect{id: id, t: t, start: at, last: never, by: never}
		m.blocks[i] = append(m.blocks[i], e)
		t.effects = append(t.effects, e)
	}
}

// done notes that a write has taken effect, over that it will not any more, if it has
// not.
func (t *task) done(at int) {
	for _, e := range t.effects {
		e.by, e.last = min(e.by, at), min(e.last, at)
	}
}

func (t *task) over(at int) {
	for _, e := range t.effects {
		e.last = min(e.last, at)
	}
}

// undone notes that a write never began.
func (t *task) undone() {
	for _, e := range t.effects {
		if e.by == never {
			e.last = -1
		}
	}
}

// read judges a block that was read between two moments. Before says which effects
// certainly came earlier, besides those whose end was heard.
func (m *model) read(lba int, id uint32, from, to int, before func(*effect) bool) bool {
	latest := -1
	for _, e := range m.blocks[lba] {
		if e.by <= from || e.by < never && before(e) {
			latest = max(latest, e.start)
		}
	}
	var found *effect
	candidates := 0
	for _, e := range m.blocks[lba] {
		if e.id == id && e.start <= to && e.last > latest || e.id == id && e.start == latest {
			found = e
			candidates++
		}
	}
	if candidates == 1 && (found.t == nil || !found.t.reassigned) {
		// It was seen, so it has taken effect; one that was reassigned may do so once more.
		found.by, found.last = min(found.by, to), min(found.last, to)
	}
	return candidates > 0
}

// certain is the number that a block holds for certain between two moments.
func (m *model) certain(lba, from, to int) (id uint32, ok bool) {
	latest := &effect{start: -2}
	for _, e := range m.blocks[lba] {
		if e.by <= from && e.start > latest.start {
			latest = e
		}
	}
	for _, e := range m.blocks[lba] {
		if e != latest && e.start <= to && e.last > latest.start {
			return 0, false
		}
	}
	return latest.id, latest.start > -2
}
