package lun

import (
	"sync/atomic"

	"lunar/scsi/sam"
)

// Gate lets reads and writes that need nothing of the device server run on the
// reactor of their connection, and keeps them out while the home of the unit must
// be alone.
//
// Two parties look at two words each, and each writes its own before it reads the
// other's: a reactor says that it is inside, then looks whether the gate is closed;
// the home closes the gate, then looks who is inside. Go's atomics have one order
// that all cores agree on, so either the reactor sees the closed gate and turns
// back, or the home sees the reactor and waits for its knock.
//
// A reactor counts those inside in a word of its own and tells others only whether
// there are any, so that in a busy stretch a command costs two loads.
type Gate struct {
	closed atomic.Bool
	// coming counts commands on their way to the home that will close the gate there:
	// nothing that was delivered behind them passes before.
	coming atomic.Int32
	sides  []*gateSide
	// plain[n] says that a read or write of nexus n meets nothing in the device
	// server: no unit attention, no stopped unit. The home writes it.
	plain atomic.Pointer[[]atomic.Bool]
	// retired says that no map will lead to the unit any more. Whoever changes maps writes
	// it.
	retired atomic.Bool
}

// gateSide is one reactor at the gate.
type gateSide struct {
	busy   atomic.Bool
	inside int
	_      [cacheLine]byte
}

// cacheLine keeps what two cores write apart.
const cacheLine = 64

// join gives a reactor its place at the gate. It is called for one reactor after
// the other, before the first command.
func (g *Gate) join(reactor int) {
	for len(g.sides) <= reactor {
		g.sides = append(g.sides, nil)
	}
	g.sides[reactor] = &gateSide{}
}

// admits says whether reads and writes of n may try to enter.
func (g *Gate) admits(n sam.Nexus) bool {
	plain := g.plain.Load()
	return plain != nil && int(n) < len(*plain) && (*plain)[n].Load()
}

// enter counts a command on a reactor, and is true when it may run there. Either
// way leave takes it off the count.
func (g *Gate) enter(reactor int) bool {
	s := g.sides[reactor]
	if s.inside++; s.inside == 1 {
		s.busy.Store(true)
	}
	return !g.closed.Load() && g.coming.Load() == 0
}

// announce says that a command is on its way to the home which must be alone there, or
// behind which others wait; arrived ends that, when the home has closed the gate for it
// or knows better.
func (g *Gate) announce() { g.coming.Add(1) }

func (g *Gate) arrived() { g.coming.Add(-1) }

// announced says whether such a command is on its way.
func (g *Gate) announced() bool { return g.coming.Load() > 0 }

// leave ends what enter counted. It is true when nothing is inside on the reactor
// any more and the gate is closed: then the home, which may wait, is to be told.
func (g *Gate) leave(reactor int) (knock bool) {
	s := g.sides[reactor]
	if s.inside--; s.inside > 0 {
		return false
	}
	s.busy.Store(false)
	return g.closed.Load()
}

// close keeps new commands out. Home only, like all below.
func (g *Gate) close() { g.closed.Store(true) }

func (g *Gate) open() {
	if g.closed.Load() {
		g.closed.Store(false)
	}
}

// empty says that nothing is inside. With the gate closed it stays so.
func (g *Gate) empty() bool {
	for _, s := range g.sides {
		if s != nil && s.busy.Load() {
			return false
		}
	}
	return true
}

// allow says whether reads and writes of n may pass.
func (g *Gate) allow(n sam.Nexus, may bool) {
	plain := g.plain.Load()
	if plain == nil || int(n) >= len(*plain) {
		plain = g.grow(int(n) + 1)
	}
	if p := &(*plain)[n]; p.Load() != may {
		p.Store(may)
	}
}

// grow makes room for n nexuses. Who still reads the old words sees what was true
// a moment ago, as somebody who came a moment earlier would have.
func (g *Gate) grow(n int) *[]atomic.Bool {
	next := make([]atomic.Bool, max(16, 2*n))
	if old := g.plain.Load(); old != nil {
		for i := range *old {
			next[i].Store((*old)[i].Load())
		}
	}
	g.plain.Store(&next)
	return &next
}
