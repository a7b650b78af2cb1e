package initiator

import (
	"slices"

	"lunar/iscsi/pdu"
	"lunar/scsi/sam"
)

// What is here happens to a single command while its connection is recovered.

// hand makes a command of one lost connection one of another that was lost too.
func (s *Session) hand(t *task, itt pdu.ITT, lost, to *link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.req != nil && t.itt == itt && t.link == lost {
		lost.busy--
		to.busy++
		t.link = to
	}
}

// reassignment is the request that brings a command to l. It is done when none is
// needed: the target never received the command, which is sent once more under its
// number (§6.2.1 [R-6.2.1-3]); the logout dropped what was not acknowledged (§10.14
// [R-10.14-2]).
func (s *Session) reassignment(l, lost *link, t *task) (h *pdu.Header, done bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h = new(pdu.Header)
	ends := t.cancelled || t.doomed != nil || t.attempts >= mostAttempts
	if !ends && l.err == nil && !l.parting && !t.cmdSN.Less(s.exp) {
		lost.busy--
		l.busy++
		l.resend(t)
		return nil, true
	}
	h.SetOpcode(pdu.OpTaskRequest)
	h.SetLUN(t.req.LUN)
	r := pdu.AsTaskRequest(h)
	r.SetReferencedTag(t.itt)
	if ends {
		r.SetFunction(sam.AbortTask)
		r.SetRefCmdSN(t.cmdSN)
		return h, false
	}
	t.attempts++
	t.rewind()
	r.SetFunction(sam.TaskReassign)
	r.SetExpDataSN(t.dataSN)
	return h, false
}

// resend sends a command once more, under its number. mu is held.
func (l *link) resend(t *task) {
	*t = task{itt: t.itt, req: t.req, link: l, sent: true, cmdSN: t.cmdSN, attempts: t.attempts, cancelled: t.cancelled, doomed: t.doomed, lent: t.lent}
	l.s.counters.Retried++
	l.transmit(t)
}

// adopt makes a reassigned command one of this connection's, in the moment in which the
// target says that it is: the next PDU may be of it (§6.2.2 [R-6.2.2-5]). mu is held.
func (l *link) adopt(k *control) {
	t := l.s.find(k.ref)
	if t == nil || t.link != k.from {
		return
	}
	t.link.busy--
	l.busy++
	t.link, t.lent, t.resumed = l, 0, true
	t.burst = 0
	// The R2Ts of the lost connection are void, and so is the word of a function there.
	t.muted, t.unserved = 0, nil
	l.s.counters.Reassigned++
}

// reassigned acts on the answer to a request that reassignment made. It is over when the
// command is on another connection, or has ended.
func (s *Session) reassigned(t *task, itt pdu.ITT, lost *link, result pdu.TaskResult) (over bool, err error) {
	switch result {
	case pdu.FunctionComplete:
		return true, nil
	case pdu.TaskDoesNotExist:
		s.give(t, itt, lost)
		return true, nil
	case pdu.ReassignmentNotSupported, pdu.FunctionNotSupported:
		return false, errNoRecovery
	default: // still allegiant, or no room: a moment later
		return false, nil
	}
}

// give up on a command that the target does not know any more: it is carried out once
// more where Config allows that, else it ends.
func (s *Session) give(t *task, itt pdu.ITT, lost *link) {
	s.mu.Lock()
	if t.req == nil || t.itt != itt || t.link != lost {
		s.mu.Unlock()
		return
	}
	var ended []*Request
	switch p := s.cfg.Reconnect; {
	case t.cancelled || t.doomed != nil:
		ended = append(ended, s.conclude(t, ErrAborted))
	case p != nil && p.Reissue(&t.req.Command) && t.attempts < mostAttempts:
		t.attempts++
		s.requeue(t)
		s.sendWaiting()
	default:
		ended = append(ended, s.conclude(t, lost.lost()))
	}
	s.mu.Unlock()
	s.deliver(ended)
	s.Flush()
}

// endCancelled ends the commands whose callers have gone and whose connections too; the
// target's session is to be replaced. mu is held.
func (s *Session) endCancelled() {
	var ended []*Request
	for i := range s.tasks {
		t := &s.tasks[i]
		if t.req != nil && t.link != nil && t.cancelled && !slices.Contains(s.live(), t.link) {
			ended = append(ended, s.conclude(t, ErrAborted))
		}
	}
	if len(ended) > 0 {
		go s.deliver(ended)
	}
}
