package lun

import (
	"slices"

	"lunar/scsi"
	"lunar/scsi/sam"
)

// background is what a unit does to its whole medium (SANITIZE, FORMAT UNIT). It goes on
// whatever becomes of the command that began it, and meanwhile the device server refuses
// what it cannot serve.
type background struct {
	program *program
	// command stands for it at the device server.
	command sam.Command
	// waiter is the command that ends with it, nil when nobody waits.
	waiter *sam.Command
}

// detach begins what plan says in the background. It is true when c does not wait for its
// end; other commands go on either way, c is not alone any more.
func (u *Unit) detach(l *Local, c *sam.Command, plan scsi.Program) bool {
	b := u.work(l, plan)
	if u.alone && u.lone == c.Ticket {
		u.alone, u.indivisible = false, false
	}
	immediate := scsi.Immediate(c)
	if !immediate {
		// It counts again when it ends, so that nothing waits for quiet until then.
		b.waiter = c
		u.begun--
	}
	u.advance(l)
	return immediate
}

// work begins a background operation.
func (u *Unit) work(l *Local, plan scsi.Program) *background {
	b := &background{}
	b.program = &program{unit: u, command: &b.command, plan: plan}
	u.background = b
	u.mirrorAll()
	l.working = append(l.working, u)
	return b
}

// Work starts the next step of every background operation that has none under way. It is
// called once a turn: a medium that answers at once would leave no time for anything else.
func (l *Local) Work() {
	for _, u := range slices.Clone(l.working) {
		p := u.background.program
		if !p.idles() {
			continue
		}
		l.run(p)
		if p.over() {
			p.conclude(l)
		}
	}
}

// Idles says whether a background operation waits for the next Work.
func (l *Local) Idles() bool {
	return slices.ContainsFunc(l.working, func(u *Unit) bool { return u.background.program.idles() })
}

// idles says that a program has nothing under way, and may have.
func (p *program) idles() bool { return p.running == 0 && !p.waiting && !p.ended }

// Resume goes on with what a unit did in the background when the target was last stopped.
// It is called at the unit's home before its first command.
func (l *Local) Resume(u *Unit) {
	if plan := u.device.Interrupted(); plan.Kind != 0 {
		u.work(l, plan)
	}
}

// Rest stops what units do in the background: the target stops, and they go on at its next
// start. Copies without a command do not.
func (l *Local) Rest() {
	for _, k := range l.copies {
		if k != nil && k.detached {
			k.stop()
		}
	}
	for _, u := range l.working {
		u.background.program.stopped = true
	}
}

// worked takes the end of the steps of a background operation.
func (u *Unit) worked(l *Local, b *background) {
	if b.program.stopped {
		b.command.End(sam.TaskAborted)
		u.rested(l, b)
		return
	}
	if u.device.Concluded(&b.command, !b.program.failed).Kind == scsi.Keep {
		u.keep(&b.command)
		return
	}
	u.rested(l, b)
}

// rested ends a background operation, and with it the command that waits for it.
func (u *Unit) rested(l *Local, b *background) {
	u.background = nil
	l.working = slices.DeleteFunc(l.working, func(o *Unit) bool { return o == u })
	u.mirrorAll()
	u.release(l, b, b.command.Status, b.command.Sense)
	u.advance(l)
}

// release has the command that waits for a background operation end.
func (u *Unit) release(l *Local, b *background, status sam.Status, sense sam.Sense) {
	c := b.waiter
	if c == nil {
		return
	}
	b.waiter = nil
	u.begun++
	c.Status, c.Sense = status, sense
	l.tell(c.Owner, Event{Kind: Executed, Command: c})
}

// stop keeps the program of a command from starting further steps. What goes on in the
// background goes on, without it.
func (u *Unit) stop(l *Local, ticket uint32) {
	if b := u.background; b != nil && b.waiter != nil && b.waiter.Ticket == ticket {
		u.release(l, b, sam.TaskAborted, sam.Sense{})
		return
	}
	u.sides[u.home].tasks.stop(ticket)
}
