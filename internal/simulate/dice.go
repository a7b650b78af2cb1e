package simulate

// dice is all the chance of a run: SplitMix64, so that a seed means the same with every
// version of Go.
type dice struct{ state uint64 }

func (d *dice) roll() uint64 {
	d.state += 0x9e3779b97f4a7c15
	return mix(d.state)
}

// mix spreads the bits of x.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// below is a number from 0 to n-1.
func (d *dice) below(n int) int { return int(d.roll() % uint64(n)) }

// between is a number from lo to hi, both included.
func (d *dice) between(lo, hi int) int { return lo + d.below(hi-lo+1) }

// oneIn is true once in n times.
func (d *dice) oneIn(n int) bool { return d.below(n) == 0 }

// of is one of the choices.
func (d *dice) of(choices ...int) int { return choices[d.below(len(choices))] }

// size is a size from 1 to most: often tiny, sometimes all.
func (d *dice) size(most int) int {
	switch d.below(4) {
	case 0:
		return 1 + d.below(min(most, 8))
	case 1:
		return most
	}
	return 1 + d.below(most)
}
