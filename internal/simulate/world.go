package simulate

import (
	"fmt"
	"net/netip"
	"runtime/debug"

	"lunar/engine"
	"lunar/iscsi/login"
	"lunar/iscsi/session"
	"lunar/iscsi/transport"
	"lunar/lun/blk"
	"lunar/reactor"
	"lunar/reactor/fake"
)

// targetName is the target of every run.
const targetName = "iqn.2026-11.lunar:simulated"

// Limits of time of a run, in nanoseconds of its clock: those of the product.
const (
	loginNanos = 10e9
	pingNanos  = 15e9
	abortNanos = 2e9
)

// world is one run.
type world struct {
	plan  *Plan
	dice  dice
	asm   *engine.Assembly
	rings []*fake.Ring
	// recv is how many receive buffers each ring has.
	recv  []int
	disks []*disk
	hosts []*host
	links []*link // all there ever were
	// ids are the commands that change a medium, by the number in their blocks.
	ids   []*task
	trace *trace
	// stalled are steps until which a core does not turn.
	stalled []int
	// step counts what the dice decided, moment whatever happened: the time of the
	// judges.
	step, moment int
	// calm says that the faults have stopped.
	calm bool
	// closed counts the tasks that ended.
	closed int
	// verifying has the first host read everything.
	verifying bool
	// moved says that something happened in this round; jumped is how far time did.
	moved  bool
	jumped int64
	// cold says that a cold reset was asked for: the target may close every connection.
	cold    bool
	digest  uint64
	failure *Failure
}

// Failure is what a judge objected to.
type Failure struct {
	// Check is the kind of the objection, the same for the same fault; Reason says it
	// all.
	Check, Reason string
	// Step is when.
	Step int
}

// Error is the reason with its step.
func (f *Failure) Error() string { return fmt.Sprintf("step %d: %s: %s", f.Step, f.Check, f.Reason) }

// Result is how a run ended.
type Result struct {
	Failure *Failure
	// Steps and Digest are the same whenever the same plan is run.
	Steps  int
	Digest uint64
	// Commands were answered, Sessions begun.
	Commands, Sessions int
	// Conversation is what was said, when it was asked for.
	Conversation []string
}

// Run plays a plan. With talk the result has the conversation.
func Run(p *Plan, m *Memory, talk bool) (r Result) {
	w := &world{plan: p, dice: dice{mix(p.Seed)}}
	if talk {
		w.trace = &trace{}
	}
	defer func() {
		if x := recover(); x != nil {
			w.fail("panic", "%v\n%s", x, debug.Stack())
		}
		r.Failure, r.Steps, r.Digest = w.failure, w.step, w.digest
		for _, h := range w.hosts {
			r.Commands, r.Sessions = r.Commands+h.answered, r.Sessions+h.epoch
		}
		if w.trace != nil {
			r.Conversation = w.trace.lines
		}
		if w.failure != nil {
			// What failed may have kept some of it.
			*m = Memory{}
		}
	}()
	if m.media == nil {
		fresh, err := NewMemory()
		if err != nil {
			w.fail("memory", "%v", err)
			return r
		}
		*m = *fresh
	}
	if err := w.build(m); err != nil {
		w.fail("build", "%v", err)
		return r
	}
	w.play()
	return r
}

// fail notes the first objection; the run ends after this step.
func (w *world) fail(check, format string, args ...any) {
	if w.failure == nil {
		w.failure = &Failure{check, fmt.Sprintf(format, args...), w.step}
		w.say("-- %s: %s", check, w.failure.Reason)
	}
}

// now is the next moment of the judges.
func (w *world) now() int {
	w.moment++
	return w.moment
}

// clock is the time of the machine in nanoseconds.
func (w *world) clock() int64 { return w.rings[0].Clock()() }

func (w *world) build(m *Memory) error {
	s := &w.plan.Settings
	cores := m.of(s)
	offer := login.DefaultOffer()
	offer.MaxConnections, offer.MaxRecvDataSegmentLength, offer.FirstBurstLength = 4, uint32(s.TargetRecv), 8192
	offer.DefaultTime2Wait, offer.DefaultTime2Retain = 0, uint32(s.Retain)
	keep := s.Keep
	if keep == 0 {
		keep = 4 << 20
	}
	c := engine.AssemblyConfig{
		Target: targetName, Offer: offer, Messages: s.Messages, Timers: 4096,
		Limits: transport.Limits{
			Connections: 64, Session: session.Limits{Window: uint32(s.Window), Immediate: 4},
			LoginNanos: loginNanos, PingNanos: pingNanos, AbortNanos: abortNanos, SharesLeft: 1, ReadBytes: s.ReadBytes, KeepBytes: keep,
		},
	}
	for i := range cores {
		w.addRing(&cores[i])
		c.Cores = append(c.Cores, engine.AssemblyCore{
			Ring: w.rings[i], RecvBuffers: cores[i].recv, RecvBytes: cores[i].recvBytes,
			Unasked: cores[i].unasked, Staged: cores[i].staged, Programs: cores[i].programs, Before: m.inherit(&cores[i]),
		})
	}
	c.Clock = w.rings[0].Clock()
	for i := range s.Units {
		d := newDisk(w, i, m.media[i])
		w.disks = append(w.disks, d)
		c.Units = append(c.Units, engine.AssemblyUnit{
			Backend: d, Home: i % s.Cores, Shared: true,
			Queue: func(_ int, loop *reactor.Loop, kind reactor.Kind, index uint32) blk.Queue {
				return newQueue(d, loop, kind, index)
			},
		})
	}
	for n := range s.Hosts {
		w.hosts = append(w.hosts, newHost(w, n))
	}
	var err error
	if w.asm, err = engine.Assemble(c); err == nil {
		m.leave(cores, w.asm)
	}
	return err
}

func (w *world) addRing(c *coreMemory) {
	var r *fake.Ring
	if len(w.rings) == 0 {
		r = fake.NewWithBuffers(c.recv, c.recvBytes)
	} else {
		r = w.rings[0].Beside(c.recv, c.recvBytes)
	}
	if w.plan.Settings.Chunks != 0 {
		r.Chunk = w.piece
	}
	if w.plan.Settings.Short != 0 {
		r.SendLimit = w.piece
	}
	r.Delay = w.delay
	w.rings, w.stalled, w.recv = append(w.rings, r), append(w.stalled, 0), append(w.recv, c.recvCount)
}

// piece is how many of so many bytes go through at once.
func (w *world) piece(most int) int {
	if w.calm {
		return most
	}
	return w.dice.size(most)
}

// delay is how long a request takes on a slow medium, in nanoseconds: a few turns, now
// and then so long that time has to jump.
func (w *world) delay(reactor.Op) int64 {
	switch {
	case w.calm:
		return 1000
	case w.dice.oneIn(40):
		return 3e8
	}
	return int64(w.dice.below(30_000))
}

// source is where all initiators come from.
var source = netip.MustParseAddr("192.0.2.77")

// dial opens a connection at some core.
func (w *world) dial(l *link) bool {
	core := w.dice.below(len(w.rings))
	fd, peer := w.rings[core].Connect()
	if !w.asm.Accept(core, fd, source, "192.0.2.1:3260") {
		w.fail("accept", "no room for a connection")
		return false
	}
	l.peer, l.heard = peer, w.clock()
	w.links = append(w.links, l)
	return true
}
