package cache

import (
	"fmt"

	"lunar/internal/queue"

	"github.com/dgraph-io/ristretto/v2"
)

// none is the block of a page that holds nothing.
const none = -1

// entry says what a page holds: a block, and its generation when it was read.
type entry struct {
	block int64
	stamp uint64
}

// pages are the memory of a cache and what is in it.
type pages struct {
	memory  []byte
	entries []entry
	free    []uint32
	// index says which page a block may be in, and decides who stays. Its values
	// are page numbers plus one: zero is what it reports when it has no value.
	index *ristretto.Cache[uint64, uint32]
	// released brings back the pages it gave up. It has room for every page there
	// is, so that the goroutine that hands one back never waits or loses it.
	released *queue.MPSC[uint32]
	gens     generations
}

const (
	// countersPerPage is how many blocks have their frequency remembered for each
	// that has a place; ten is what ristretto advises.
	countersPerPage = 10
	// lookupsAtOnce is how many look-ups are counted together, off the way of a
	// read.
	lookupsAtOnce = 64
	// spareShare is the part of the pages that is on its way in or out while the
	// others are all taken: the decision about a page comes after it was filled.
	spareShare = 16
	maxSpare   = 2048
	// never is a time between visits, in seconds, to entries that expire: none do.
	never = 1 << 30
)

func newPages(memory []byte, blocks int64) (*pages, error) {
	n := len(memory) / PageBytes
	p := &pages{
		memory: memory, entries: make([]entry, n), free: make([]uint32, n),
		released: queue.New[uint32](int(powerOfTwo(int64(n)))),
		gens:     newGenerations(int64(n), blocks),
	}
	for i := range p.free {
		p.entries[i].block = none
		p.free[i] = uint32(n - 1 - i)
	}
	released := p.released
	index, err := ristretto.NewCache(&ristretto.Config[uint64, uint32]{
		NumCounters: int64(n) * countersPerPage,
		MaxCost:     int64(n - min(max(n/spareShare, 1), maxSpare)),
		BufferItems: lookupsAtOnce,
		KeyToHash:   func(block uint64) (uint64, uint64) { return mix(block), 0 },
		// Evicted, refused or replaced: in each case it is told here, once.
		OnExit: func(page uint32) {
			if page != 0 {
				released.Push(page - 1)
			}
		},
		IgnoreInternalCost:     true,
		TtlTickerDurationInSec: never,
	})
	if err != nil {
		return nil, fmt.Errorf("index of %d pages: %w", n, err)
	}
	p.index = index
	return p, nil
}

// mix spreads block numbers over all bits, each to its own (the finish of
// SplitMix64): the frequency sketch takes its rows from different parts of a word.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// page is the memory of page n.
func (p *pages) page(n uint32) []byte {
	return p.memory[int(n)*PageBytes : (int(n)+1)*PageBytes]
}

// find returns the page that holds block as the medium has it now. What the index
// says may be old: the page's own word counts.
func (p *pages) find(block int64) (n uint32, ok bool) {
	v, ok := p.index.Get(uint64(block))
	if !ok || v == 0 {
		return 0, false
	}
	word, settled := p.gens.of(block)
	return v - 1, settled && p.entries[v-1] == entry{block, word}
}

// store offers a block whose data was read in its present generation. Without a
// free page, which is when the index is behind, the offer is dropped.
func (p *pages) store(block int64, data []byte) {
	n, ok := p.take()
	if !ok {
		return
	}
	word, _ := p.gens.of(block)
	copy(p.page(n), data)
	p.entries[n] = entry{block, word}
	if !p.index.Set(uint64(block), n+1, 1) {
		p.give(n)
	}
}

// take returns a free page, after bringing in what the index gave up.
func (p *pages) take() (n uint32, ok bool) {
	for {
		n, ok := p.released.Pop()
		if !ok {
			break
		}
		p.give(n)
	}
	if len(p.free) == 0 {
		return 0, false
	}
	n = p.free[len(p.free)-1]
	p.free = p.free[:len(p.free)-1]
	return n, true
}

func (p *pages) give(n uint32) {
	p.entries[n].block = none
	p.free = append(p.free, n)
}

// close ends the index and its goroutines.
func (p *pages) close() { p.index.Close() }
