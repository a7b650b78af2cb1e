package initiator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"lunar/iscsi/pdu"
	"lunar/scsi/sam"
)

// Reconnect says how a session that has died is brought back: a new login of the same
// initiator port, which ends what is left of the old session at the target, and then
// the commands that were in progress once more (RFC 3720 §6.1.4.4, session recovery).
//
// Requests that are reissued end as if nothing had happened, unit attentions that tell
// of the loss included. All others end with a *LostError.
type Reconnect struct {
	// Attempts is how many logins in a row may fail before the session ends, 10 unless
	// told.
	Attempts int
	// Delay is the pause before the second login, 100 ms unless told; it doubles up to
	// MaxDelay, 5 s unless told. The first login waits for DefaultTime2Wait.
	Delay, MaxDelay time.Duration
	// Reissue says whether a command may be carried out twice; nil is Idempotent.
	Reissue func(*Command) bool
}

const (
	defaultAttempts = 10
	defaultDelay    = 100 * time.Millisecond
	defaultMaxDelay = 5 * time.Second
	// loginWait bounds a login that the session makes by itself.
	loginWait = 15 * time.Second
	// mostRepairs bounds the connections lost in a row without a command ending in
	// between.
	mostRepairs = 64
)

func (r *Reconnect) filled() *Reconnect {
	if r == nil {
		return nil
	}
	c := *r
	c.Attempts = or(c.Attempts, defaultAttempts)
	c.Delay = or(c.Delay, defaultDelay)
	c.MaxDelay = max(or(c.MaxDelay, defaultMaxDelay), c.Delay)
	if c.Reissue == nil {
		c.Reissue = Idempotent
	}
	return &c
}

// Idempotent says whether carrying out a command of a disk twice does what once does, as
// long as its caller writes nothing else there meanwhile: reads, writes, flushes and
// questions. It is not, for example, COMPARE AND WRITE, nor any command of a tape.
func Idempotent(c *Command) bool {
	if len(c.CDB) == 0 || len(c.In) > 0 && len(c.Out) > 0 {
		return false
	}
	switch c.CDB[0] {
	case 0x00, 0x12, 0x25, 0x9e, 0xa0, 0x1a, 0x5a, 0xa3: // TEST UNIT READY, INQUIRY, capacities, REPORT LUNS, MODE SENSE
		return true
	case 0x28, 0xa8, 0x88, 0x2a, 0xaa, 0x8a: // READ and WRITE of 10, 12, 16 bytes
		return true
	case 0x2e, 0xae, 0x8e, 0x2f, 0xaf, 0x8f: // WRITE AND VERIFY, VERIFY
		return true
	case 0x35, 0x91, 0x34, 0x90, 0x42, 0x41, 0x93: // SYNCHRONIZE CACHE, PRE-FETCH, UNMAP, WRITE SAME
		return true
	}
	return false
}

// recovers says whether the loss of a connection is something to recover from.
func (s *Session) recovers() bool {
	return !s.cfg.Discovery && !s.farewell && (s.cfg.Reconnect != nil || s.params.ErrorRecoveryLevel == maxLevel)
}

// repair is the goroutine that brings lost connections back, one after the other. There
// is one at a time.
func (s *Session) repair() {
	for {
		l := s.nextLost()
		if l == nil {
			break
		}
		err := s.recoverLink(l)
		if err == nil {
			continue
		}
		if err = s.reconnect(err); err != nil {
			s.fail(err)
		}
	}
	if s.Err() == nil {
		return
	}
	s.emptied()
	s.onLoop(s.finish)
}

// nextLost is the next connection to bring back; nil ends the repair.
func (s *Session) nextLost() *link {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil && len(s.lostLinks) > 0 {
		l := s.lostLinks[0]
		s.lostLinks = s.lostLinks[1:]
		return l
	}
	if s.err == nil {
		s.repairing = false
	}
	return nil
}

// emptied waits until no connection is left.
func (s *Session) emptied() {
	for {
		s.mu.Lock()
		n, changed := len(s.live()), s.changed
		s.mu.Unlock()
		if n == 0 {
			return
		}
		<-changed
	}
}

// onLoop runs do where requests are to be reported.
func (s *Session) onLoop(do func()) {
	if s.cfg.Loop == nil || s.cfg.Loop.Call(do) != nil {
		do() // a loop that has stopped uses nothing any more
	}
}

// deliver reports requests that ended with no connection's doing.
func (s *Session) deliver(ended []*Request) {
	if len(ended) == 0 {
		return
	}
	s.onLoop(func() {
		for _, r := range ended {
			r.Done(r)
		}
	})
	s.Flush()
}

// pause waits; it is false when the session has ended meanwhile.
func (s *Session) pause(d time.Duration) bool {
	if d <= 0 {
		return s.ctx.Err() == nil
	}
	select {
	case <-time.After(d):
		return true
	case <-s.ctx.Done():
		return false
	}
}

// reconnect brings the session back with a new login, or says why not.
func (s *Session) reconnect(cause error) error {
	p := s.cfg.Reconnect
	if p == nil {
		return cause
	}
	for _, l := range s.live() {
		l.fail(cause)
	}
	s.emptied()
	s.mu.Lock()
	s.reconnecting = true
	wait := s.time2Wait()
	s.told = nil
	s.endCancelled()
	s.mu.Unlock()
	delay := p.Delay
	for range p.Attempts {
		if !s.pause(wait) {
			return cause
		}
		err := s.relogin()
		if err == nil || permanent(err) {
			return err
		}
		cause = err
		wait, delay = delay, min(2*delay, p.MaxDelay)
	}
	return fmt.Errorf("gave up after %d logins: %w", p.Attempts, cause)
}

// time2Wait is how long the target wants to be left alone after a loss (RFC 3720
// §6.4.1, §6.4.2). mu is held.
func (s *Session) time2Wait() time.Duration {
	if s.told != nil {
		return time.Duration(s.told.Parameter2) * time.Second
	}
	return time.Duration(s.params.DefaultTime2Wait) * time.Second
}

// permanent says whether another login would be refused too.
func permanent(err error) bool {
	var refused *LoginError
	return errors.Is(err, ErrUnproven) || errors.As(err, &refused) && (refused.Status == pdu.LoginAuthFailure ||
		refused.Status == pdu.LoginForbidden || refused.Status == pdu.LoginTargetRemoved || refused.Status == pdu.LoginUnsupportedVersion)
}

// relogin makes a new session with the target for this one.
func (s *Session) relogin() error {
	ctx, cancel := context.WithTimeout(s.ctx, loginWait)
	defer cancel()
	cfg := s.cfg
	cfg.Portal = s.home
	c, t, err := connectAndLogin(ctx, &cfg, nil)
	if err != nil {
		return err
	}
	s.deliver(s.renew(t.n.params))
	if err := s.attach(s.lastCID, t.n.params, c); err != nil {
		return err
	}
	if err := s.fill(ctx); err != nil && s.cfg.Event != nil {
		s.cfg.Event(err) // fewer connections than wanted serve too
	}
	return nil
}

// renew has the session begin again with new numbers. Commands that were in progress
// wait to be sent, in their order and before those that waited already; those that must
// not be repeated are returned, ended.
func (s *Session) renew(p Params) (ended []*Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.params = p
	s.cmdSN, s.exp, s.top = p.CmdSN, p.ExpCmdSN, p.MaxCmdSN
	s.lostLinks, s.lastCID, s.reconnecting = nil, 0, false
	s.epoch++
	clear(s.absorbed)
	s.counters.Reconnects++
	var again []*task
	for i := range s.tasks {
		t := &s.tasks[i]
		switch {
		case t.req == nil || t.link == nil:
		case t.cancelled || t.doomed != nil:
			ended = append(ended, s.conclude(t, ErrAborted))
		case s.cfg.Reconnect.Reissue(&t.req.Command):
			again = append(again, t)
		default:
			ended = append(ended, s.conclude(t, t.link.lost()))
		}
	}
	slices.SortFunc(again, func(a, b *task) int { return int(a.cmdSN.Sub(b.cmdSN)) })
	for _, t := range slices.Backward(again) {
		s.requeue(t)
	}
	return ended
}

// conclude ends a task whose connection is gone. mu is held.
func (s *Session) conclude(t *task, err error) *Request {
	t.req.Err = err
	return s.release(t)
}

// requeue has a command begin again, as a new one and before all that wait. mu is held.
func (s *Session) requeue(t *task) {
	t.link.busy--
	t.req.Result = Result{}
	*t = task{itt: t.itt, req: t.req, attempts: t.attempts, next: s.first}
	s.first = t
	if s.last == nil {
		s.last = t
	}
	s.counters.Reissued++
}

// mostAbsorbed bounds the unit attentions of one unit that a reconnection accounts for, for
// each connection: of the loss of the nexus, of commands that ended with it, and of the
// start of a target that was started anew.
const mostAbsorbed = 3

// absorbs says whether a status is a unit attention that tells of what a reconnection
// did (SPC-4 §5.14: 29h; RFC 3720 §10.14.5: 47h/7Fh), and then has the command begin again. mu is held.
func (l *link) absorbs(t *task) bool {
	s, r := l.s, t.req
	if s.epoch == 0 || !l.out.Left(t.lent) {
		return false
	}
	key, code := parseSense(r.Result.Sense)
	if key != sam.UnitAttention || code>>8 != 0x29 && code != 0x477f || s.absorbed[r.LUN] >= mostAbsorbed*max(s.cfg.Connections, 1) {
		return false
	}
	s.absorbed[r.LUN]++
	if t.cancelled {
		l.end(t, ErrAborted) // nobody wants it any more
		return true
	}
	s.requeue(t)
	s.sendWaiting()
	return true
}
