package lun

import (
	"lunar/lun/blk"
	"lunar/scsi"
	"lunar/scsi/sam"
)

// Unit is one logical unit. Its device server belongs to its home reactor, each of
// its sides to the reactor of that number.
type Unit struct {
	home    int
	info    blk.Info
	device  *scsi.Device
	backend blk.Backend
	gate    Gate
	// started is when the home got the unit, in milliseconds since 1970.
	started int64
	// sides are by reactor, nil where the unit has none.
	sides []*side

	// The rest is the home's. begun counts the commands it has begun and not finished;
	// waiting are those that may not begin yet, in order; alone says that a command
	// runs which nothing else runs beside, and lone is its ticket.
	begun   int
	waiting []*sam.Command
	// mailed counts the commands that the home has sent itself and that have not arrived.
	mailed int
	// functions are those that have not ended on every side, managed the number of the
	// last.
	functions []*Management
	managed   uint64
	alone     bool
	// indivisible says of what runs alone that it is two steps with nothing between.
	indivisible bool
	lone        uint32
	aca         allegiance
	// keeper makes the state of the device server durable, which the command in keeping
	// asked for; seizing are commands that wait to be alone without quiet.
	keeper  Keeper
	keeping *sam.Command
	seizing []*sam.Command
	// background is what goes on without a command, nil when nothing does.
	background *background
	// guarded says that writes come home because ROD tokens of the unit live (token.go).
	guarded bool
	// protector is the medium where it keeps protection information, else nil.
	protector protector
	// mapped is how third-party copies name the unit; it does not change.
	mapped sam.Mapped
	// resize is what the medium is to be said of once nothing runs.
	resize *blk.Info
}

// side is a unit on one reactor: the commands that run there, and the medium as
// far as it is reached from there.
type side struct {
	tasks taskSet
	// queue is nil on the side of a home whose unit has no medium.
	queue blk.Queue
	// batch are the requests of this turn, crossing to the queue once.
	batch []*blk.Request
	// counts are of the commands that ended here.
	counts Counts
}

// NewUnit binds a device server and a medium to a home reactor. Its queues are
// attached before the first command (Local.Attach). A unit without a backend
// serves only what needs no medium.
func NewUnit(home int, device *scsi.Device, backend blk.Backend) *Unit {
	u := &Unit{home: home, device: device, backend: backend, mapped: device.Mapped()}
	if backend != nil {
		u.info = backend.Info()
	}
	u.protector, _ = backend.(protector)
	u.protect()
	u.join(home)
	return u
}

// join gives the unit a side on a reactor.
func (u *Unit) join(reactor int) *side {
	for len(u.sides) <= reactor {
		u.sides = append(u.sides, nil)
	}
	if u.sides[reactor] == nil {
		u.sides[reactor] = &side{}
		u.gate.join(reactor)
	}
	return u.sides[reactor]
}

// side is the unit's side on a reactor that reaches the medium, or nil.
func (u *Unit) side(reactor int) *side {
	if reactor >= len(u.sides) || u.sides[reactor] == nil || u.sides[reactor].queue == nil {
		return nil
	}
	return u.sides[reactor]
}

// Home is the reactor that owns the unit.
func (u *Unit) Home() int { return u.home }

// Info is what the medium says of itself. While a command runs it does not change.
func (u *Unit) Info() blk.Info { return u.info }

// Tasks is how many commands its side on a reactor holds, for that reactor to ask.
func (u *Unit) Tasks(reactor int) int {
	if reactor >= len(u.sides) || u.sides[reactor] == nil {
		return 0
	}
	return u.sides[reactor].tasks.count
}

// Backend is the medium, nil for a unit without one.
func (u *Unit) Backend() blk.Backend { return u.backend }

// program is one command that runs steps on the medium whose data, if any, is
// not the initiator's: SYNCHRONIZE CACHE, UNMAP, WRITE SAME, VERIFY, GET LBA
// STATUS.
type program struct {
	unit    *Unit
	command *sam.Command
	plan    scsi.Program
	// next is a step that found no buffer or no slot, and waits.
	next    scsi.Step
	waiting bool
	ended   bool
	failed  bool
	stopped bool
	running int
}

// maxSteps bounds the steps of one program in flight.
const maxSteps = 4

// execute runs a command whose data is complete. It is true when the command is
// done already.
func (u *Unit) execute(l *Local, c *sam.Command) bool {
	if seizes(c) && !u.seize(c) {
		return false
	}
	if scsi.ClassOf(c) == scsi.MediumHold && u.begun > 1 {
		// What goes on over another connection waits for nobody (resume), and may write.
		c.Defer()
		return true
	}
	return u.carryOut(l, c, u.device.Execute(c))
}

// carryOut does what the device server wants done for c. It is true when that is nothing.
func (u *Unit) carryOut(l *Local, c *sam.Command, plan scsi.Program) bool {
	u.guard(l)
	switch class := scsi.ClassOf(c); {
	case plan.Kind == scsi.Keep:
		u.keep(c)
		return false
	case plan.Kind == scsi.Preempt:
		u.preempt(l, c)
		return false
	case plan.Kind == scsi.Count:
		u.gather(l, c)
		return false
	case plan.Kind == scsi.Copy:
		return u.copy(l, c, plan)
	case plan.Kind == scsi.AbortCopy:
		return u.abortCopy(l, c, &plan)
	case plan.Detached():
		return u.detach(l, c, plan)
	case class == scsi.UnitChange || class == scsi.UnitSeizure:
		u.mirrorAll()
	}
	if plan.Kind == 0 {
		return true
	}
	p := &program{unit: u, command: c, plan: plan}
	u.sides[u.home].tasks.entries[c.Ticket].program = p
	l.run(p)
	return p.over() && p.conclude(l)
}

// most is how many steps may be in flight.
func (p *program) most() int {
	if p.plan.InOrder() {
		return 1
	}
	return maxSteps
}

// conclude ends a program whose last step is done. It is true when its command is executed.
func (p *program) conclude(l *Local) bool {
	b := p.unit.background
	switch {
	case b != nil && b.program == p:
		p.unit.worked(l, b)
		return false
	case !p.plan.Keeps:
	case (p.failed || p.stopped) && !p.plan.Surely:
		p.unit.device.Abandon()
	default:
		p.unit.keep(p.command)
		return false
	}
	return true
}

func (p *program) over() bool { return p.running == 0 && p.ended && !p.waiting }

// take is the next step to start, if any.
func (p *program) take() (scsi.Step, bool) {
	if p.waiting && !p.stopped {
		p.waiting = false
		return p.next, true
	}
	p.waiting = false
	if p.ended || p.stopped {
		p.ended = true
		return scsi.Step{}, false
	}
	s, ok := p.unit.device.Next(p.command, &p.plan)
	p.ended = !ok
	return s, ok
}

// fail ends a program: steps in flight are awaited, no new one starts.
func (p *program) fail() {
	p.failed, p.ended, p.waiting = true, true, false
}
