package lun

import (
	"lunar/lun/blk"
	"lunar/scsi"
	"lunar/scsi/sam"
)

// Unit is one logical unit at its home reactor.
type Unit struct {
	home    int
	info    blk.Info
	device  *scsi.Device
	backend blk.Backend
	queue   blk.Queue
	tasks   taskSet
	// batch are the requests of this turn, crossing to the queue once.
	batch []*blk.Request
}

// NewUnit binds a device server and a medium to a home reactor. Its queue is
// attached there before the first command (Local.Attach). A unit without a
// backend serves only what needs no medium.
func NewUnit(home int, device *scsi.Device, backend blk.Backend) *Unit {
	u := &Unit{home: home, device: device, backend: backend}
	if backend != nil {
		u.info = backend.Info()
	}
	return u
}

// Home is the reactor that owns the unit.
func (u *Unit) Home() int { return u.home }

// Info is what the medium says of itself; it does not change.
func (u *Unit) Info() blk.Info { return u.info }

// Tasks is how many commands its task set holds.
func (u *Unit) Tasks() int { return u.tasks.count }

// Backend is the medium, nil for a unit without one.
func (u *Unit) Backend() blk.Backend { return u.backend }

func (u *Unit) begin(c *sam.Command) {
	u.tasks.add(c)
	u.device.Begin(c)
}

func (u *Unit) finish(l *Local, ticket uint32) {
	u.tasks.remove(ticket)
	if len(u.tasks.managing) > 0 {
		u.concludeManagement(l)
	}
}

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
	plan := u.device.Execute(c)
	if plan.Kind == 0 {
		return true
	}
	p := &program{unit: u, command: c, plan: plan}
	u.tasks.entries[c.Ticket].program = p
	l.run(p)
	return p.over()
}

// most is how many steps may be in flight.
func (p *program) most() int {
	if p.plan.InOrder() {
		return 1
	}
	return maxSteps
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
