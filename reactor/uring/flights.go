package uring

import "lunar/reactor"

// stage is how far an operation that the ring keeps has come.
type stage uint8

const (
	// atKernel: submitted, and its completion decides.
	atKernel stage = iota
	// polling: waiting for data before a buffer is chosen (without a buffer ring).
	polling
	// readable: data has come, a buffer is to be chosen.
	readable
	// starved: waiting for a buffer to be given back.
	starved
)

// flight is an operation that the ring may have to submit more than once:
// accepting, receiving into a chosen buffer, receiving until data is full.
type flight struct {
	token     reactor.Token
	data      uint64 // address of what is to be filled
	length    uint32
	filled    uint32
	fd        int32
	buffer    int32 // chosen by us, or NoBuffer
	code      reactor.Code
	stage     stage
	cancelled bool
	used      bool
}

// flights finds a flight by its token: open addressing with linear probing, no
// more than half full. It holds no pointers and grows only when more operations
// are in flight than ever before.
type flights struct {
	slots []flight
	count int
}

const flightsAtStart = 1024

func newFlights() flights { return flights{slots: make([]flight, flightsAtStart)} }

// home is where the search for token begins. Tokens differ in few low bits, so
// they are spread by a multiplication (Fibonacci hashing).
func (f *flights) home(token reactor.Token) int {
	return int(uint64(token)*0x9E3779B97F4A7C15>>32) & (len(f.slots) - 1)
}

func (f *flights) next(i int) int { return (i + 1) & (len(f.slots) - 1) }

// add makes room for a flight with token and returns it; it is valid until the
// next add or remove.
func (f *flights) add(token reactor.Token) *flight {
	if 2*(f.count+1) > len(f.slots) {
		f.grow()
	}
	i := f.home(token)
	for f.slots[i].used {
		i = f.next(i)
	}
	f.count++
	f.slots[i] = flight{token: token, buffer: reactor.NoBuffer, used: true}
	return &f.slots[i]
}

func (f *flights) grow() {
	old := f.slots
	f.slots, f.count = make([]flight, 2*len(old)), 0
	for i := range old {
		if old[i].used {
			*f.add(old[i].token) = old[i]
		}
	}
}

// find returns the flight of token, nil when there is none; it is valid until
// the next add or remove.
func (f *flights) find(token reactor.Token) *flight {
	for i := f.home(token); f.slots[i].used; i = f.next(i) {
		if f.slots[i].token == token {
			return &f.slots[i]
		}
	}
	return nil
}

// remove forgets the flight of token and closes the gap, so that no search ends
// too early.
func (f *flights) remove(token reactor.Token) {
	gap := f.home(token)
	for ; f.slots[gap].token != token; gap = f.next(gap) {
		if !f.slots[gap].used {
			return
		}
	}
	if !f.slots[gap].used {
		return
	}
	f.count--
	for i := f.next(gap); f.slots[i].used; i = f.next(i) {
		// A flight may move back only as far as its home.
		fromHome := (i - f.home(f.slots[i].token)) & (len(f.slots) - 1)
		if fromHome >= (i-gap)&(len(f.slots)-1) {
			f.slots[gap] = f.slots[i]
			gap = i
		}
	}
	f.slots[gap] = flight{}
}
