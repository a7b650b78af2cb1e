package simulate

import (
	"slices"

	"lunar/iscsi/pdu"
	"lunar/lun/blk"
	"lunar/scsi/sam"
)

// function is the task management function of a task, 0 for none.
func (t *task) function() sam.Function {
	switch t.op.Kind {
	case AbortTask:
		return sam.AbortTask
	case AbortSet:
		return sam.AbortTaskSet
	case ClearSet:
		return sam.ClearTaskSet
	case ResetUnit:
		return sam.LogicalUnitReset
	case ResetWarm:
		return sam.TargetWarmReset
	case ResetCold:
		return sam.TargetColdReset
	case Reassign:
		return sam.TaskReassign
	default:
		return 0
	}
}

// concerns says whether a function acts on a unit.
func (t *task) concerns(unit int) bool { return t.op.Kind > ResetUnit || t.op.Unit == unit }

// cover finds what a function ends. It is false when there is nothing to abort.
func (t *task) cover(l *link) bool {
	h := t.host
	t.link = l
	if t.op.Kind == AbortTask {
		return t.coverOne()
	}
	for _, u := range h.open {
		if !u.scsi() || !t.concerns(u.op.Unit) {
			continue
		}
		if u.op.Now != 0 && u.link != l {
			// Which of the two comes first is not said.
			u.mayVanish = true
			continue
		}
		t.covered = append(t.covered, u)
	}
	if t.op.Kind == AbortSet {
		return true
	}
	h.clearing++
	for _, o := range h.w.hosts {
		for unit := range o.attention {
			if t.concerns(unit) {
				o.attention[unit] += 2
			}
		}
		for _, u := range o.open {
			u.mayVanish = u.mayVanish || o != h && u.scsi() && t.concerns(u.op.Unit)
		}
	}
	if t.op.Kind == ResetCold {
		h.w.cold = true
		for _, x := range h.w.links {
			x.excuse = "a cold reset"
			x.host.shaken = true
		}
	}
	return true
}

// coverOne chooses the command that ABORT TASK names, which goes over its connection.
func (t *task) coverOne() bool {
	var choices []*task
	for _, u := range t.host.open {
		// The number of an immediate command is another's, which ABORT TASK would give up.
		if u.scsi() && u.op.Now == 0 && u.link.phase == full && !u.parked {
			choices = append(choices, u)
		}
	}
	if len(choices) == 0 {
		return false
	}
	t.ref = choices[t.op.N%len(choices)]
	t.covered = []*task{t.ref}
	t.op.Unit, t.link = t.ref.op.Unit, t.ref.link
	if t.link.functions > 0 {
		return false
	}
	if t.op.N%2 == 0 && !t.ref.damaged {
		// The initiator sends no more of its data.
		t.ref.bursts, t.ref.mute = nil, true
	}
	return true
}

// request writes a Task Management Function Request.
func (t *task) request(h *pdu.Header) {
	h.SetOpcode(pdu.OpTaskRequest)
	p := pdu.AsTaskRequest(h)
	p.SetFunction(t.function())
	if t.function().NeedsLUN() {
		h.SetLUN(sam.LUNOf(uint16(t.op.Unit)))
	}
	p.SetReferencedTag(pdu.NoTag)
	if t.ref != nil {
		p.SetReferencedTag(t.ref.tag)
		p.SetRefCmdSN(t.ref.sn)
	}
}

// managed takes the answer to a function: what it ended is over.
func (t *task) managed(l *link, h *pdu.Header) {
	w, result := t.host.w, pdu.AsTaskResponse(h).Result()
	if t.adopts != nil {
		t.answeredReassign(l, result)
		return
	}
	if t.ref != nil {
		t.abortedOne(l, result)
	} else {
		if result != pdu.FunctionComplete {
			w.fail("function", "%s: result %d", t, result)
		}
		t.checkQuiet()
		// A bound of the target's may have cut the wait for what was numbered before.
		loose := w.clock()-t.sentAt >= abortNanos
		for _, u := range t.covered {
			switch {
			case u.state != open:
			case loose:
				u.mayVanish = true // it may have come behind the answer
			default:
				u.abort(l, t)
			}
		}
	}
	t.close(answered, l, "function complete")
}

func (t *task) abortedOne(l *link, result pdu.TaskResult) {
	switch {
	case result == pdu.FunctionComplete:
		if t.ref.state == open {
			t.ref.abort(l, t)
		}
	case result != pdu.TaskDoesNotExist:
		t.host.w.fail("function", "%s: result %d", t, result)
	case t.ref.state == open && t.ref.damaged:
		// It was refused, and comes again.
	case t.ref.state == open && t.ref.mayVanish:
		t.ref.abort(l, t)
	case t.ref.state == open && t.host.ending(t.ref):
		// Another function has ended it and is answered later.
	case t.ref.state == open:
		t.host.w.fail("function", "%s does not exist, and was not answered", t.ref)
	}
}

// ending says whether a function under way ends a command.
func (h *host) ending(t *task) bool {
	for _, f := range h.open {
		if slices.Contains(f.covered, t) {
			return true
		}
	}
	return false
}

// uncover takes a command out of what functions under way end.
func (h *host) uncover(t *task) {
	for _, f := range h.open {
		f.covered = slices.DeleteFunc(f.covered, func(u *task) bool { return u == t })
	}
}

func (t *task) abort(l *link, by *task) {
	t.over(t.host.w.now())
	t.close(gone, l, "ended by "+by.String())
}

// checkQuiet looks whether a medium still works for commands that a function over many
// tasks of all initiators has ended.
func (t *task) checkQuiet() {
	if t.op.Kind < ClearSet {
		return
	}
	for _, d := range t.host.w.disks {
		if !t.concerns(d.unit) {
			continue
		}
		for _, q := range d.queues {
			for _, f := range q.slots {
				if f.r != nil && f.r.Op == blk.Write && f.moment < t.issued {
					t.host.w.fail("running", "%s is answered while the medium writes block %d", t, f.r.Offset/blockBytes)
				}
			}
		}
	}
}
