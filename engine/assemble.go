package engine

import (
	"errors"
	"fmt"
	"net/netip"

	"lunar/internal/buf"
	"lunar/iscsi/login"
	"lunar/iscsi/transport"
	"lunar/lun"
	"lunar/lun/blk"
	"lunar/reactor"
	"lunar/scsi"
)

// Assembly is the cores of an engine and nothing of a machine: no goroutine, thread,
// socket or system call. Whoever assembled it turns the cores, one after the other in
// whatever order, on rings, media and memory of its own; what happens is then a function
// of these alone.
type Assembly struct{ e *Engine }

// AssemblyConfig describes an assembly: one target, open to everyone in portal group 1.
type AssemblyConfig struct {
	Cores []AssemblyCore
	// Units are the target's, by number.
	Units []AssemblyUnit
	// Target is its name, Offer our side of its negotiations.
	Target string
	Offer  login.Offer
	Limits transport.Limits
	// Clock is the time of all rings, in nanoseconds. Messages is the room of a mailbox, a
	// power of two; Timers the room for timers of a core.
	Clock            func() int64
	Messages, Timers int
}

// AssemblyCore is what a core stands on. The pools are full.
type AssemblyCore struct {
	Ring                      reactor.Ring
	RecvBuffers               []byte
	RecvBytes                 int
	Unasked, Staged, Programs *buf.Pool
	// Before is an assembly that has ended, whose core of the same number leaves this one
	// its memory for sends; or nil.
	Before *Assembly
}

// AssemblyUnit is a logical unit.
type AssemblyUnit struct {
	Backend blk.Backend
	Home    int
	// Queue makes the queue of a core. Operations it submits to the loop have tokens of
	// this kind, index<<16 and a slot of its own.
	Queue func(core int, loop *reactor.Loop, kind reactor.Kind, index uint32) blk.Queue
	// Shared says that every core has a queue, not only the home.
	Shared bool
}

// Assemble makes the cores.
func Assemble(c AssemblyConfig) (*Assembly, error) {
	n := len(c.Cores)
	e := &Engine{door: newDoor(Limits{}), absent: lun.NewAbsent(n), units: map[string]*unit{}, stopping: make(chan struct{})}
	for i, spec := range c.Cores {
		k := newCore(e, i, c.Messages)
		k.unasked, k.staged, k.programs = spec.Unasked, spec.Staged, spec.Programs
		err := k.assemble(reactor.Config{
			Ring: spec.Ring, Poll: reactor.Spin, RecvBytes: spec.RecvBytes, RecvBuffers: spec.RecvBuffers,
			Mailbox: awake{}, Clock: c.Clock, Timers: c.Timers,
		}, c.Limits)
		if err != nil {
			return nil, fmt.Errorf("core %d: %w", i, err)
		}
		if spec.Before != nil {
			k.stack.Inherit(spec.Before.e.cores[i].stack)
		}
		e.cores = append(e.cores, k)
	}
	e.cores[0].directory = newDirectory(maxSessions, n)
	e.offer(&c)
	return &Assembly{e}, nil
}

// awake is a mailbox that keeps a loop from waiting: each of its turns is one look.
type awake struct{}

func (awake) Empty() bool { return false }

// offer gives the cores the units and the catalog.
func (e *Engine) offer(c *AssemblyConfig) {
	// A copy, or the target would keep all of c, and with it every assembly before.
	offer := c.Offer
	t := Target{Name: c.Target, Offer: &offer}
	for i, spec := range c.Units {
		name := fmt.Sprint("unit ", i)
		queue := spec.Queue
		u := &unit{
			medium: medium{Backend: spec.Backend, shared: spec.Shared},
			lun:    lun.NewUnit(spec.Home, scsi.New(scsi.Config{Info: spec.Backend.Info()}), spec.Backend),
		}
		for _, k := range e.cores {
			u.medium.queue = func(loop *reactor.Loop, index uint32) blk.Queue { return queue(k.id, loop, kindDisk, index) }
			k.attach(u)
		}
		e.units[name] = u
		t.LUNs = append(t.LUNs, Mapping{Number: uint16(i), Unit: name})
	}
	cfg := Config{Groups: []Group{{Tag: defaultTag}}, Targets: []Target{t}}
	e.catalog = newCatalog(&cfg, e.units, map[uint16][]string{defaultTag: nil}, e.absent, nil)
	for _, k := range e.cores {
		k.catalog = e.catalog
	}
}

// Turn is one turn of a core. An invariant of ours that breaks is a panic, not
// contained.
func (a *Assembly) Turn(core int) error { return a.e.cores[core].turn() }

// Accept has a connection come in at a core, fd the descriptor of its ring. It is false
// when there is no room; the caller keeps the descriptor.
func (a *Assembly) Accept(core int, fd int32, source netip.Addr, address string) bool {
	k := a.e.cores[core]
	if !k.engine.door.enter(source, k.engine.started) {
		return false
	}
	if !k.stack.Accept(fd, address, source, k.entrance(defaultTag)) {
		k.Through(source)
		return false
	}
	return true
}

// Still says that no message is on its way and no medium works.
func (a *Assembly) Still() bool {
	for _, k := range a.e.cores {
		if !k.mail.Empty() || k.local.Running() > 0 || k.local.Pending() {
			return false
		}
	}
	return true
}

// Live is the number of connections.
func (a *Assembly) Live() (n int) {
	for _, k := range a.e.cores {
		n += k.stack.Live()
	}
	return n
}

// Tasks is how many commands the units hold.
func (a *Assembly) Tasks() (n int) {
	for _, u := range a.e.units {
		for _, k := range a.e.cores {
			n += u.lun.Tasks(k.id)
		}
	}
	return n
}

// Leaks names what is not as it was at the start, once every connection has ended: each
// error is one kind of thing on one core.
func (a *Assembly) Leaks() (err error) {
	leak := func(core int, what string, n int) {
		if n != 0 {
			err = errors.Join(err, fmt.Errorf("core %d: %s: %d left", core, what, n))
		}
	}
	for _, k := range a.e.cores {
		leak(k.id, "connections", k.stack.Live())
		leak(k.id, "bytes of unasked data", k.unasked.Bytes()-k.unasked.Free())
		leak(k.id, "bytes of staged data", k.staged.Bytes()-k.staged.Free())
		leak(k.id, "bytes of programs", k.programs.Bytes()-k.programs.Free())
		leak(k.id, "requests at media", k.local.Running())
		for _, u := range a.e.units {
			leak(k.id, "commands in a task set", u.lun.Tasks(k.id))
		}
	}
	d := a.e.cores[0].directory
	leak(0, "sessions", len(d.sessions))
	leak(0, "connections of the directory", len(d.conns))
	leak(0, "handles", len(d.handles))
	leak(0, "fences", len(d.fences))
	for core, n := range d.load {
		leak(core, "load", n)
	}
	logins, _ := a.e.door.under()
	leak(0, "logins under way", logins)
	return err
}
