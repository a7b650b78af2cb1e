package initiator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"lunar/iscsi/pdu"
)

// Connection is one connection of a session, as Connections tells of it.
type Connection struct {
	CID    pdu.CID
	Portal string
	// Busy is how many commands are in progress on it.
	Busy int
}

// Connections are the connections of the session, by their CID.
func (s *Session) Connections() []Connection {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []Connection
	for _, l := range s.live() {
		if l.err == nil {
			list = append(list, Connection{CID: l.cid, Portal: l.params.Portal, Busy: l.busy})
		}
	}
	slices.SortFunc(list, func(a, b Connection) int { return cmp.Compare(a.CID, b.CID) })
	return list
}

// Add adds a connection to the session and returns its CID. A target that allows no
// more refuses with a *LoginError of status pdu.LoginTooManyConnections.
func (s *Session) Add(ctx context.Context) (pdu.CID, error) {
	cid, join, err := s.newCID()
	if err != nil {
		return 0, err
	}
	return cid, s.join(ctx, cid, join)
}

// newCID draws a CID that no connection has, and what its login has to know.
func (s *Session) newCID() (pdu.CID, *joining, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return 0, nil, s.err
	}
	if s.cfg.Discovery {
		return 0, nil, fmt.Errorf("initiator: a discovery session with %s has one connection only", s.cfg.Portal)
	}
	for s.lastCID++; slices.ContainsFunc(s.live(), func(l *link) bool { return l.cid == s.lastCID }); {
		s.lastCID++
	}
	return s.lastCID, s.joining(s.lastCID), nil
}

// joining is what the login of a further connection has to know. mu is held.
func (s *Session) joining(cid pdu.CID) *joining {
	j := &joining{params: s.params, cid: cid}
	j.params.CmdSN = s.cmdSN
	return j
}

// join logs a connection in and makes it one of the session's.
func (s *Session) join(ctx context.Context, cid pdu.CID, j *joining) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(s.ctx, func() { cancel(context.Cause(s.ctx)) })()
	cfg := s.cfg
	c, t, err := connectAndLogin(ctx, &cfg, j)
	if err != nil {
		return err
	}
	return s.attach(cid, t.n.params, c)
}

// fill adds connections until there are as many as Config asks for, or the target
// allows no more.
func (s *Session) fill(ctx context.Context) error {
	for {
		s.mu.Lock()
		want := min(s.cfg.Connections, int(s.params.MaxConnections))
		enough := want <= 1 || len(s.live()) >= want || s.cfg.Discovery
		s.mu.Unlock()
		if enough {
			return nil
		}
		_, err := s.Add(ctx)
		var refused *LoginError
		if errors.As(err, &refused) && refused.Status == pdu.LoginTooManyConnections {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// Remove takes a connection out of the session in good order: it takes no new commands,
// those in progress end first, and then it is logged out (RFC 3720 §10.14, reason 1).
// The last connection is not removed; Logout ends the session.
func (s *Session) Remove(ctx context.Context, cid pdu.CID) error {
	l, err := s.setAside(cid)
	if err != nil {
		return err
	}
	if err := s.drain(ctx, l); err != nil {
		s.mu.Lock()
		l.leaving = false
		s.sendWaiting()
		s.mu.Unlock()
		s.Flush()
		return err
	}
	return s.logOutOf(ctx, l)
}

// setAside has a connection take no new commands.
func (s *Session) setAside(cid pdu.CID) (*link, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return nil, s.err
	}
	var found *link
	others := 0
	for _, l := range s.live() {
		switch {
		case l.cid == cid && l.usable():
			found = l
		case l.usable():
			others++
		}
	}
	switch {
	case found == nil:
		return nil, fmt.Errorf("initiator: the session with %s has no connection %d; Connections lists them", s.cfg.Target, cid)
	case others == 0:
		return nil, fmt.Errorf("initiator: connection %d is the last of the session with %s; use Logout", cid, s.cfg.Target)
	}
	found.leaving = true
	return found, nil
}

// drainPause is how often a connection that is to go is asked whether it is idle.
const drainPause = time.Millisecond

// drain waits until a connection has nothing in progress, and has it take nothing more.
func (s *Session) drain(ctx context.Context, l *link) error {
	for {
		s.mu.Lock()
		idle := l.busy == 0 && !l.asking() || l.err != nil
		l.parting = l.parting || idle // and nothing comes to it any more
		s.mu.Unlock()
		if idle {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("initiator: connection %d of %s has commands in progress: %w", l.cid, s.cfg.Target, context.Cause(ctx))
		case <-s.dead:
			return s.Err()
		case <-time.After(drainPause):
		}
	}
}

// logOutOf closes one connection by a logout on itself.
func (s *Session) logOutOf(ctx context.Context, l *link) error {
	var h pdu.Header
	h.SetOpcode(pdu.OpLogoutReq)
	r := pdu.AsLogoutRequest(&h)
	r.SetReason(pdu.CloseConnection)
	r.SetCID(l.cid)
	p, err := s.exchangeOn(ctx, l, &h, nil, control{opcode: pdu.OpLogoutResp})
	l.fail(ErrClosed)
	<-l.gone
	if err != nil {
		return err
	}
	if r := pdu.AsLogoutResponse(&p.Header).Result(); r != pdu.LogoutDone {
		return fmt.Errorf("initiator: log out connection %d of %s: response %d", l.cid, s.cfg.Target, r)
	}
	return nil
}

// retire goes because the target asks for it, within Parameter3 seconds (RFC 3720
// §10.9.1 [R-10.9.1-20]); the last connection takes the session along. We offer nothing
// new to negotiate either, so an event that asks for that ends the same way.
func (l *link) retire(why *AsyncError, last bool) {
	s := l.s
	wait := time.Duration(max(why.Parameter3, 1)) * time.Second
	ctx, cancel := context.WithTimeoutCause(context.Background(), wait, why)
	defer cancel()
	var err error
	switch {
	case last && s.cfg.Reconnect != nil:
		err = s.farewellThen(ctx, l, why)
	case last:
		err = s.Logout(ctx)
	default:
		err = errors.Join(s.drain(ctx, l), s.logOutOf(ctx, l))
	}
	if err != nil && s.cfg.Event != nil {
		s.cfg.Event(err)
	}
}

// setOff has a connection take no new commands because of why. It is true when no other
// is left; then the session takes none. mu is held.
func (l *link) setOff(why error) (last bool) {
	for _, o := range l.s.live() {
		if o != l && o.usable() {
			l.leaving = true
			return false
		}
	}
	if l.s.cfg.Reconnect != nil {
		l.leaving = true // commands wait for the next session
		return true
	}
	l.s.leaving = why
	return true
}

// farewellThen logs the session out and has it come back.
func (s *Session) farewellThen(ctx context.Context, l *link, why error) error {
	var h pdu.Header
	h.SetOpcode(pdu.OpLogoutReq)
	pdu.AsLogoutRequest(&h).SetReason(pdu.CloseSession)
	_, err := s.exchangeOn(ctx, l, &h, nil, control{opcode: pdu.OpLogoutResp})
	l.fail(why)
	return err
}
