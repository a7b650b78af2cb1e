package initiator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lunar/iscsi/pdu"
)

// What is here is recovery level 2 (RFC 3720 §6.1.4.3, §6.2.2): a lost connection is
// logged out on another one, or logged in again when it was the last; its commands go
// on elsewhere, and another connection takes its place.

// Bounds of a recovery.
const (
	// recoverSlack is what recovery may take beyond Time2Wait and Time2Retain.
	recoverSlack = 5 * time.Second
	// mostReassigns bounds how often the same command is asked for on one occasion, and
	// reassignPause is the time between.
	mostReassigns = 20
	reassignPause = 20 * time.Millisecond
	// mostAttempts bounds how often one command may be recovered in all.
	mostAttempts = 100
)

// errNoRecovery says that only session recovery is left.
var errNoRecovery = errors.New("connection cannot be recovered")

// recoverLink brings the commands of a lost connection to others.
func (s *Session) recoverLink(lost *link) error {
	s.mu.Lock()
	cause, level := lost.err, s.params.ErrorRecoveryLevel
	wait := s.time2Wait()
	s.told = nil
	retain := time.Duration(s.params.DefaultTime2Retain) * time.Second
	s.repairs++
	tired := s.repairs > mostRepairs
	s.mu.Unlock()
	if level < maxLevel || tired {
		return cause
	}
	// §6.4 [R-6.4-1], [R-6.4-2]: not before Time2Wait, and not after Time2Retain.
	if !s.pause(wait - time.Since(lost.lostAt)) {
		return cause
	}
	ctx, cancel := context.WithTimeoutCause(s.ctx, retain+recoverSlack, cause)
	defer cancel()
	if err := s.takeOver(ctx, lost); err != nil {
		return fmt.Errorf("%w (its commands: %w)", cause, err)
	}
	s.mu.Lock()
	s.counters.Recovered++
	s.mu.Unlock()
	if err := s.fill(ctx); err != nil && s.cfg.Event != nil && s.Err() == nil {
		s.cfg.Event(err) // fewer connections than wanted serve too
	}
	return nil
}

// takeOver has the target suspend the commands of a lost connection, and takes each of
// them over.
func (s *Session) takeOver(ctx context.Context, lost *link) error {
	if err := s.removeForRecovery(ctx, lost); err != nil {
		return err
	}
	for {
		t, itt := s.orphanOf(lost)
		if t == nil {
			return nil
		}
		if err := s.reassign(ctx, lost, t, itt); err != nil {
			return err
		}
	}
}

// removeForRecovery logs a lost connection out on another one (§10.14, reason 2), or
// takes its place when there is none, which does the same (§5.3.4).
func (s *Session) removeForRecovery(ctx context.Context, lost *link) error {
	for {
		l := s.other()
		if l == nil {
			return s.reinstate(ctx, lost)
		}
		if l.cid == lost.cid {
			return nil // it has taken that place already, for one lost before
		}
		var h pdu.Header
		h.SetOpcode(pdu.OpLogoutReq)
		r := pdu.AsLogoutRequest(&h)
		r.SetReason(pdu.RemoveForRecovery)
		r.SetCID(lost.cid)
		p, err := s.exchangeOn(ctx, l, &h, nil, control{opcode: pdu.OpLogoutResp})
		if isLost(err) {
			continue
		}
		if err != nil {
			return err
		}
		a := pdu.AsLogoutResponse(&p.Header)
		wait, _ := a.Times()
		switch a.Result() {
		case pdu.LogoutDone:
			// §10.15.3 [R-10.15.3-1]: no reassignment before.
			s.pause(time.Duration(wait) * time.Second)
			return ctx.Err()
		case pdu.LogoutCIDNotFound:
			return nil // what is left of its commands is none at the target
		case pdu.LogoutCleanupFailed:
			if !s.pause(max(time.Duration(wait)*time.Second, reassignPause)) || ctx.Err() != nil {
				return errNoRecovery
			}
		default:
			return errNoRecovery
		}
	}
}

// other is a connection to recover another one on.
func (s *Session) other() *link {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.choose(); l != nil {
		return l
	}
	for _, l := range s.live() {
		if l.err == nil && !l.parting {
			return l
		}
	}
	return nil
}

// reinstate logs in again under the CID of the last connection that was lost. A target
// that has not seen yet that the others are gone too has no room for one whose place it
// has cleared already; it will.
func (s *Session) reinstate(ctx context.Context, lost *link) error {
	delay := reassignPause
	for {
		s.mu.Lock()
		j := s.joining(lost.cid)
		j.statSN = lost.nextStatSN
		s.mu.Unlock()
		err := s.join(ctx, lost.cid, j)
		var refused *LoginError
		if err == nil || errors.As(err, &refused) && refused.Status != pdu.LoginTooManyConnections {
			return err
		}
		if ctx.Err() != nil || !s.pause(delay) {
			return err
		}
		delay *= 2
	}
}

// orphanOf is the next command of a lost connection, by CmdSN, so that what was never
// received comes in order.
func (s *Session) orphanOf(lost *link) (*task, pdu.ITT) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var first *task
	for i := range s.tasks {
		t := &s.tasks[i]
		if t.req != nil && t.link == lost && (first == nil || t.cmdSN.Less(first.cmdSN)) {
			first = t
		}
	}
	if first == nil {
		return nil, 0
	}
	return first, first.itt
}

// reassign brings one command to another connection.
func (s *Session) reassign(ctx context.Context, lost *link, t *task, itt pdu.ITT) error {
	for range mostReassigns {
		l := s.other()
		if l == nil {
			if err := s.reinstate(ctx, lost); err != nil {
				return err
			}
			continue
		}
		h, done := s.reassignment(l, lost, t)
		if done {
			l.drive.Flush()
			return nil
		}
		f := pdu.AsTaskRequest(h).Function()
		p, err := s.exchangeOn(ctx, l, h, nil, control{opcode: pdu.OpTaskResponse, function: f, lun: h.LUN(), ref: itt, from: lost})
		switch {
		case isLost(err):
			// Whether it was done before, the next loss shows, whose business it is now.
			s.hand(t, itt, lost, l)
			return nil
		case err != nil && !isRejected(err):
			return err
		}
		if err == nil {
			over, err := s.reassigned(t, itt, lost, pdu.AsTaskResponse(&p.Header).Result())
			if over || err != nil {
				return err
			}
		}
		if !s.pause(reassignPause) {
			return s.Err()
		}
	}
	s.give(t, itt, lost)
	return nil
}

func isRejected(err error) bool {
	var e *RejectError
	return errors.As(err, &e)
}
