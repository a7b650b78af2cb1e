package cache

// generations tell whether a block may have changed: one word for each slot of a
// table, which blocks share when the medium has more of them. What shares a word
// is invalidated together, which costs a hit and is never wrong.
//
// A word counts changes in its upper part and the changes under way in its lower
// one. Both steps of a change make the word larger, so that a sum of words is the
// same only when each of them is.
type generations struct {
	slots []uint64
	mask  int64
	// wide belongs to every block: it counts the changes of ranges so long that
	// going through their slots would hold up the reactor.
	wide uint64
}

const (
	underwayBits = 24
	underwayMask = 1<<underwayBits - 1
	begun        = 1<<underwayBits + 1
	ended        = 1<<underwayBits - 1

	// slotsPerPage keeps the invalidations by a block that only shares the slot
	// rare: one change in eight meets a cached block.
	slotsPerPage = 8
	// wideBlocks is the longest range whose slots are gone through, in tens of
	// microseconds.
	wideBlocks = 1 << 16
)

// newGenerations makes a table for a cache of so many pages before a medium of
// so many blocks.
func newGenerations(pages, blocks int64) generations {
	n := powerOfTwo(min(pages*slotsPerPage, blocks))
	return generations{slots: make([]uint64, n), mask: n - 1}
}

// powerOfTwo is the smallest one that is at least n.
func powerOfTwo(n int64) int64 {
	p := int64(1)
	for p < n {
		p <<= 1
	}
	return p
}

// begin is called before a change of the blocks from..to is submitted.
func (g *generations) begin(from, to int64) { g.add(from, to, begun) }

// end is called when it ended, however it did: a failed write may have changed
// some of its range.
func (g *generations) end(from, to int64) { g.add(from, to, ended) }

func (g *generations) add(from, to int64, step uint64) {
	if to-from > wideBlocks {
		g.wide += step
		return
	}
	for b := from; b < to; b++ {
		g.slots[b&g.mask] += step
	}
}

// of is the generation of a block, and whether nothing changes it now.
func (g *generations) of(block int64) (word uint64, settled bool) {
	word = g.slots[block&g.mask]
	return g.wide + word, (g.wide|word)&underwayMask == 0
}

// sum stands for the generations of the blocks from..to; settled says that
// nothing changes any of them now.
func (g *generations) sum(from, to int64) (sum uint64, settled bool) {
	settled = true
	for b := from; b < to; b++ {
		word, still := g.of(b)
		sum += word
		settled = settled && still
	}
	return sum, settled
}
