package reactor

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestTimers_MatchASortedList plays random arming and expiring against a list
// that is sorted after every change.
func TestTimers_MatchASortedList(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		heap := newTimers(64)
		var list []int64
		armed := map[Token]int64{}
		now := int64(0)
		for step := range 500 {
			if r.IntN(3) > 0 {
				at := now + r.Int64N(50) - 5
				added := heap.add(Token(step), at)
				if added != (len(list) < 64) {
					t.Fatalf("seed %d: added %v with %d armed", seed, added, len(list))
				}
				if added {
					armed[Token(step)] = at
					list = append(list, at)
					slices.Sort(list)
				}
			} else {
				now += r.Int64N(20)
			}
			list = expireAll(t, &heap, list, armed, now)
		}
	}
}

// expireAll takes what is due from both and compares.
func expireAll(t *testing.T, heap *timers, list []int64, armed map[Token]int64, now int64) []int64 {
	t.Helper()
	for len(list) > 0 && list[0] <= now {
		token, due := heap.expire(now)
		at, known := armed[token]
		if !due || !known || at != list[0] {
			t.Fatalf("at %d: expired %v (%d, known %v), want one of %d", now, due, at, known, list[0])
		}
		delete(armed, token)
		list = list[1:]
	}
	if token, due := heap.expire(now); due {
		t.Fatalf("at %d: %d expired early", now, token)
	}
	if at, ok := heap.next(); ok != (len(list) > 0) || ok && at != list[0] {
		t.Fatalf("next is %d, %v; want %v", at, ok, list)
	}
	return list
}
