package initiator

import (
	"context"
	"fmt"
	"time"

	"lunar/iscsi/pdu"
	"lunar/scsi/sam"
)

// abortWait is how long a cancelled command waits for its ABORT TASK before the
// session is given up, because its buffers cannot be before.
const abortWait = 5 * time.Second

// TaskManagement runs a task management function (RFC 3720 §10.5) and returns the
// target's answer. Commands that a completed function ended return ErrAborted. ref
// is the tag of the task that AbortTask names, pdu.NoTag for the others; the function
// goes over the connection of that task. One whose connection is lost is a *LostError:
// it may have been carried out or not.
func (s *Session) TaskManagement(ctx context.Context, f sam.Function, lun sam.LUN, ref pdu.ITT) (pdu.TaskResult, error) {
	var h pdu.Header
	r := pdu.AsTaskRequest(&h)
	h.SetOpcode(pdu.OpTaskRequest)
	l, err := s.route(ctx, ref)
	if err != nil {
		return 0, err
	}
	r.SetFunction(f)
	if f.NeedsLUN() {
		h.SetLUN(lun)
	}
	r.SetReferencedTag(ref)
	s.mu.Lock()
	if t := s.find(ref); t != nil {
		r.SetRefCmdSN(t.cmdSN) // RFC 3720 §10.5.5
	}
	s.mu.Unlock()
	c := control{opcode: pdu.OpTaskResponse, function: f, lun: lun, ref: ref}
	if c.spreads() {
		defer s.hush()()
	}
	p, err := s.exchangeOn(ctx, l, &h, nil, c)
	if err != nil {
		return 0, err
	}
	return pdu.AsTaskResponse(&p.Header).Result(), nil
}

// spreads says whether a function may end commands of all connections.
func (k *control) spreads() bool {
	switch k.function {
	case sam.AbortTaskSet, sam.ClearTaskSet, sam.LogicalUnitReset, sam.TargetWarmReset, sam.TargetColdReset:
		return true
	case sam.AbortTask, sam.ClearACA, sam.TaskReassign:
	case sam.QueryTask, sam.QueryTaskSet, sam.NexusReset, sam.QueryAsynchronousEvent:
	}
	return false
}

// hush has new commands wait until the function it returns is called. On one connection
// nothing sent later comes earlier; on several, a reset may end commands that were
// numbered behind it and came first (RFC 7143 §11.5.1 [N-28]), and nobody would know.
func (s *Session) hush() (goOn func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.live()) < 2 {
		return func() {}
	}
	s.quiet++
	return func() {
		s.mu.Lock()
		s.quiet--
		s.sendWaiting()
		s.mu.Unlock()
		s.Flush()
	}
}

// taskResponse ends the tasks that a function has ended at the target: no answer to
// them comes any more (RFC 3720 §10.6).
func (l *link) taskResponse(p pdu.TaskResponse) error {
	if p.Result() != pdu.FunctionComplete {
		l.unmute(p.ITT())
	}
	k := l.s.findControl(p.ITT())
	if k != nil && k.itt == p.ITT() && k.answer != nil {
		result := p.Result()
		gone := k.function == sam.AbortTask && result == pdu.TaskDoesNotExist
		if k.function == sam.TaskReassign && result == pdu.FunctionComplete {
			l.adopt(k)
		} else if result == pdu.FunctionComplete || gone {
			l.endCovered(k)
		}
	}
	return l.answered(p.Response)
}

func (l *link) endCovered(k *control) {
	for i := range l.s.tasks {
		t := &l.s.tasks[i]
		if t.req != nil && t.sent && k.covers(t) {
			l.endFrom(t, ErrAborted)
		}
	}
}

// covers says whether a completed function ended t: what it names and what was sent
// before it (RFC 3720 §10.5.1, §10.6.2).
func (k *control) covers(t *task) bool {
	switch k.function {
	case sam.AbortTask:
		return t.itt == k.ref
	case sam.AbortTaskSet, sam.ClearTaskSet, sam.LogicalUnitReset:
		return t.req.LUN == k.lun && t.cmdSN.Less(k.cmdSN)
	case sam.TargetWarmReset, sam.TargetColdReset:
		return t.cmdSN.Less(k.cmdSN)
	case sam.ClearACA:
		// SAM-5 §7.4: for a command with the attribute ACA it is ABORT TASK.
		return t.req.Attribute == sam.ACA && t.req.LUN == k.lun && t.cmdSN.Less(k.cmdSN)
	case sam.TaskReassign:
	case sam.QueryTask, sam.QueryTaskSet, sam.NexusReset, sam.QueryAsynchronousEvent:
	}
	return false
}

// abort ends a request whose caller has lost interest and says so only when it has
// ended. Its slot is not reused meanwhile, for the caller still waits for it. One whose
// connection is lost ends where that is repaired.
func (s *Session) abort(w started) {
	for {
		s.mu.Lock()
		t := w.t
		if t.itt != w.tag || t.req == nil || s.err != nil {
			s.mu.Unlock()
			return
		}
		t.cancelled = true
		if s.reconnecting && t.link != nil {
			s.endCancelled()
			s.mu.Unlock()
			return
		}
		l, changed, lun := t.link, s.changed, t.req.LUN
		s.mu.Unlock()
		if l == nil || l.failing() {
			select {
			case <-changed:
			case <-s.dead:
			case <-time.After(abortWait):
			}
			if l == nil && s.withdraw(w) {
				return
			}
			continue
		}
		s.abortOn(l, lun, w)
		return
	}
}

// failing says whether the connection ends.
func (l *link) failing() bool {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	return l.err != nil
}

// abortOn runs ABORT TASK on the connection of a task. What answers that in no time is
// not worth keeping.
func (s *Session) abortOn(l *link, lun sam.LUN, w started) {
	ctx, cancel := context.WithTimeout(context.Background(), abortWait)
	defer cancel()
	result, err := s.TaskManagement(ctx, sam.AbortTask, lun, w.tag)
	if err == nil && result != pdu.FunctionComplete && result != pdu.TaskDoesNotExist {
		err = fmt.Errorf("ABORT TASK: response %d", result)
	}
	if isLost(err) {
		s.abort(w)
	} else if err != nil {
		l.fail(err)
	}
}

// Task is the tag of a request in progress, for TaskManagement; false when it has
// ended.
func (s *Session) Task(r *Request) (pdu.ITT, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.tasks {
		if s.tasks[i].req == r {
			return s.tasks[i].itt, true
		}
	}
	return pdu.NoTag, false
}
