package lun

import (
	"lunar/scsi"
	"lunar/scsi/sam"
)

// Clock tells the time of day.
type Clock interface {
	// Millis are the milliseconds since 1970 (UTC).
	Millis() int64
}

// TimeBy gives the reactor a clock, before units are attached. Without one it is 1970.
func (l *Local) TimeBy(c Clock) { l.clock = c }

func (l *Local) millis() int64 {
	if l.clock == nil {
		return 0
	}
	return l.clock.Millis()
}

// counting is a medium with a cache before it.
type counting interface{ Counters() (hits, misses uint64) }

// gathering is a walk around the sides of a unit: each adds what it has counted and passes
// it on, the home, which began it, last.
type gathering struct {
	command *sam.Command
	sum     Counts
}

// gather begins a walk for a command.
func (u *Unit) gather(l *Local, c *sam.Command) {
	u.pass(l, &gathering{command: c}, -1)
}

// pass brings a gathering to the next side behind one, or ends it.
func (u *Unit) pass(l *Local, g *gathering, behind int) {
	for r := behind + 1; r < len(u.sides); r++ {
		if r != u.home && u.sides[r] != nil {
			l.post.Post(r, Message{kind: askCount, unit: u, gathering: g})
			return
		}
	}
	if l.reactor != u.home {
		l.post.Post(u.home, Message{kind: askCount, unit: u, gathering: g})
		return
	}
	u.gathered(l, g)
}

// count adds what a side has counted to a gathering.
func (u *Unit) count(l *Local, g *gathering) {
	if l.reactor == u.home {
		u.gathered(l, g)
		return
	}
	g.sum.Add(&u.sides[l.reactor].counts)
	u.pass(l, g, l.reactor)
}

// gathered ends a walk at the home.
func (u *Unit) gathered(l *Local, g *gathering) {
	g.sum.Add(&u.sides[u.home].counts)
	n := &g.sum
	s := scsi.Statistics{
		Millis: l.millis(), Started: u.started,
		Reads: n.Reads, Writes: n.Writes, ReadBytes: n.ReadBytes, WriteBytes: n.WriteBytes,
		ReadErrors: n.Failed[sam.MediumError] - n.WriteErrors, WriteErrors: n.WriteErrors,
		VerifyErrors: n.Failed[sam.Miscompare], OtherErrors: n.Failed[sam.NotReady] + n.Failed[sam.HardwareError],
	}
	if b, ok := u.backend.(counting); ok {
		hits, misses := b.Counters()
		s.CacheHits, s.CacheReads = hits, hits+misses
	}
	u.device.Counted(g.command, s)
	l.tell(g.command.Owner, Event{Kind: Executed, Command: g.command})
}
