package ram

import (
	"math/bits"
	"sync/atomic"
)

// pages knows which pages of a medium are allocated: one bit each, set by a
// change and cleared when the page is given back. A page is allocated as a
// whole, so that a block shares the state of its neighbours in the page. Queues on
// several reactors change it at once.
type pages []uint64

func newPages(n int) pages { return make(pages, (pagesOf(int64(n))+63)/64) }

// pagesOf is the number of pages that hold n bytes.
func pagesOf(n int64) int64 { return (n + pageBytes - 1) / pageBytes }

// allocate marks every page that holds one of the bytes from..to.
func (p pages) allocate(from, to int64) {
	for i := from / pageBytes; i < pagesOf(to); i++ {
		// Mostly it is set already, and a look is cheaper than a locked write.
		if bit := uint64(1) << (i % 64); atomic.LoadUint64(&p[i/64])&bit == 0 {
			atomic.OrUint64(&p[i/64], bit)
		}
	}
}

// free marks the whole pages from..to as given back.
func (p pages) free(from, to int64) {
	for i := from / pageBytes; i < to/pageBytes; i++ {
		atomic.AndUint64(&p[i/64], ^(uint64(1) << (i % 64)))
	}
}

// allocated is how many pages are not free.
func (p pages) allocated() (n int64) {
	for i := range p {
		n += int64(bits.OnesCount64(atomic.LoadUint64(&p[i])))
	}
	return n
}

// run returns how many bytes from from, at most up to to, are in pages of one
// state, and whether these are free.
func (p pages) run(from, to int64) (n int64, hole bool) {
	if from == to {
		return 0, false
	}
	i, end := from/pageBytes, pagesOf(to)
	// A flipped word has a one for every page that is in the other state.
	flip := uint64(0)
	if hole = p.word(i/64)>>(i%64)&1 == 0; !hole {
		flip = ^flip
	}
	// Word by word, so that a look at a large medium stays short.
	for word := (p.word(i/64) ^ flip) >> (i % 64) << (i % 64); ; word = p.word(i/64) ^ flip {
		if word != 0 {
			i = i&^63 + int64(bits.TrailingZeros64(word))
			break
		}
		if i = i&^63 + 64; i >= end {
			break
		}
	}
	return min(i*pageBytes, to) - from, hole
}

func (p pages) word(i int64) uint64 { return atomic.LoadUint64(&p[i]) }
