package simulate

// maxTries bounds how many runs shrinking a plan takes.
const maxTries = 600

// Shrink drops operations of a plan that fails, and faults, as long as the same check
// still fails, and returns what is left. It takes at most a few hundred runs.
func Shrink(p Plan, check string, m *Memory) Plan {
	tries := 0
	fails := func(q *Plan) bool {
		if tries++; tries > maxTries {
			return false
		}
		r := Run(q, m, false)
		return r.Failure != nil && r.Failure.Check == check
	}
	// Large pieces first, then smaller ones.
	for size := max(len(p.Ops)/2, 1); ; size /= 2 {
		for at := 0; at < len(p.Ops); {
			q := p
			q.Ops = append(append([]Op(nil), p.Ops[:at]...), p.Ops[min(at+size, len(p.Ops)):]...)
			if fails(&q) {
				p = q
				continue
			}
			at += size
		}
		if size == 1 {
			break
		}
	}
	simpler(&p, fails)
	return p
}

// simpler takes away what the failure does not need: faults, digests, and what makes an
// operation special.
func simpler(p *Plan, fails func(*Plan) bool) {
	try := func(value *int, to int) {
		if before := *value; before != to {
			if *value = to; !fails(p) {
				*value = before
			}
		}
	}
	s := &p.Settings
	for _, fault := range []*int{&s.Chunks, &s.Short, &s.Stall, &s.Slow, &s.Torn, &s.Scarce, &s.Lossy, &s.Keep, &s.Level, &s.Retain, &s.HeaderDigest, &s.DataDigest} {
		try(fault, 0)
	}
	for i := range p.Ops {
		o := &p.Ops[i]
		for _, word := range []*int{&o.Fault, &o.Now, &o.FUA, &o.Ordered, &o.N} {
			try(word, 0)
		}
	}
}
