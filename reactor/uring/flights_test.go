package uring

import (
	"math/rand/v2"
	"testing"

	"lunar/reactor"
)

// TestFlights_MatchAMap plays random additions and removals against a map, in a
// table small enough that searches collide and wrap, and that grows.
func TestFlights_MatchAMap(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 2))
		table := flights{slots: make([]flight, 16)}
		want := map[reactor.Token]int32{}
		for step := range int32(2000) {
			token := reactor.NewToken(1, r.Uint32N(4), r.Uint32N(16))
			if _, there := want[token]; there {
				table.remove(token)
				delete(want, token)
			} else if len(want) < 20 {
				table.add(token).fd = step
				want[token] = step
			} else {
				table.remove(token)
			}
			if table.count != len(want) {
				t.Fatalf("seed %d: %d flights, want %d", seed, table.count, len(want))
			}
			for token, fd := range want {
				if f := table.find(token); f == nil || f.fd != fd {
					t.Fatalf("seed %d step %d: %#x is %+v, want %d", seed, step, uint64(token), f, fd)
				}
			}
		}
	}
}
