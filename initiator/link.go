package initiator

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"lunar/initiator/drive"
	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
)

// link is one connection of a session. Commands, data and status of a task all use the
// connection that carried the command (RFC 3720 §3.2.4.1 [R-3.2.4.1-1]).
type link struct {
	s   *Session
	cid pdu.CID
	// params is what its own login agreed on: digests and lengths of data segments are
	// each connection's, the rest is the session's.
	params Params
	drive  driver
	// gone is closed when the drive has stopped and nothing of it uses a buffer.
	gone chan struct{}

	// What follows is guarded by the session's mu.

	err error // why it ends
	// leaving takes no new command; parting was logged out, so that its end is no loss.
	leaving, parting bool
	busy             int // commands in progress
	nextStatSN       serial.StatSN
	// out collects encoded PDUs that wait to be sent; lends says that the drive sends
	// large data from where it lies.
	out   drive.Outbox
	lends bool
	held  []byte // by Mangle
	// Of recovery: level is the session's. Responses that came early wait; asked is behind
	// the StatSN that was asked for last, asks how often that was.
	level   uint8
	waiting []heldPDU
	asked   serial.StatSN
	asks    int
	// heard says that something came since the last tick, silent how many ticks nothing
	// did. probe is a ping of the session's own, probed for how many ticks it is out,
	// probes how many were sent.
	heard   bool
	silent  int
	probe   control
	probed  int
	probes  int
	lostAt  time.Time
	scratch pdu.Header

	// What follows belongs to the drive's goroutine, but for in.task.

	in    inbox
	early []early
}

// driver moves the bytes of a connection: it calls consume, room and placed with what
// it received, sends what out holds, and calls ended when it has stopped.
// Its methods may be called by any goroutine and never wait.
type driver interface {
	// Flush sends what is queued.
	Flush()
	// HangUp stops moving bytes, because of err.
	HangUp(err error)
}

// newLink is a connection that has no drive yet.
func (s *Session) newLink(cid pdu.CID, p Params) *link {
	l := &link{s: s, cid: cid, params: p, gone: make(chan struct{}), nextStatSN: p.StatSN, lends: s.cfg.Loop != nil}
	l.level, l.asked = p.ErrorRecoveryLevel, p.StatSN
	l.probe.itt = pdu.ITT(s.cfg.QueueDepth + controlSlots)
	l.in.framer.HeaderDigest, l.in.framer.DataDigest = p.HeaderDigest, p.DataDigest
	return l
}

// attach makes a connection that has logged in one of the session's. On an error c is
// closed.
func (s *Session) attach(cid pdu.CID, p Params, c *Conn) error {
	l := s.newLink(cid, p)
	var begin func()
	if s.cfg.Loop == nil {
		begin = newPump(l, c).start
	} else {
		fd, err := drive.Detach(c.nc)
		if err != nil {
			return errors.Join(fmt.Errorf("initiator: hand over to a loop: %w", err), c.Close())
		}
		k := s.cfg.Loop.Link(fd, client{l})
		l.drive = k
		begin = func() { k.Start(c.buf[c.r:c.w]) }
	}
	s.mu.Lock()
	condemned := s.err
	links := append(append([]*link(nil), s.live()...), l)
	s.links.Store(&links)
	if condemned == nil {
		s.moveWindow(p.ExpCmdSN, p.MaxCmdSN)
		s.sendWaiting()
	}
	s.broadcast()
	s.mu.Unlock()
	begin()
	if condemned != nil {
		l.fail(condemned)
		return condemned
	}
	l.drive.Flush()
	return nil
}

// usable says whether commands may be sent on the connection. mu is held.
func (l *link) usable() bool { return l.err == nil && !l.leaving }

// choose is the connection for the next command, the one with the fewest in progress;
// nil when there is none. mu is held.
func (s *Session) choose() *link {
	var best *link
	for _, l := range s.live() {
		if l.usable() && (best == nil || l.busy < best.busy) {
			best = l
		}
	}
	return best
}

// fail ends the connection once: the drive stops, and calls ended.
func (l *link) fail(err error) {
	l.s.mu.Lock()
	first := l.err == nil
	if first {
		l.err = err
	}
	l.s.mu.Unlock()
	if first {
		l.drive.HangUp(err)
	}
}

// ended is called when the drive has stopped, and nobody uses the tasks' buffers.
func (l *link) ended(err error) {
	l.fail(err)
	l.out.Abandon()
	l.reportEarly()
	l.s.mu.Lock()
	l.waiting = nil
	l.in.task = nil
	over, drop := l.s.left(l)
	l.s.mu.Unlock()
	for _, o := range drop {
		o.fail(err)
	}
	if over {
		l.s.finish()
	}
}

// lost is the error of a request that ended with the connection. mu is held.
func (l *link) lost() error {
	return &LostError{Portal: l.params.Portal, Target: l.s.cfg.Target, CID: l.cid, Cause: cmp.Or(l.err, ErrClosed)}
}

// takeStatSN checks the StatSN of a response that consumes one. At level 0 a gap
// cannot be filled, so it ends the connection (RFC 3720 §3.2.2.2 [R-3.2.2.2-20]).
func (l *link) takeStatSN(r pdu.Response) error {
	if err := l.checkStatSN(r); err != nil {
		return err
	}
	if r.StatSN() == l.nextStatSN {
		l.nextStatSN = l.nextStatSN.Next()
	}
	return nil
}

// checkStatSN compares the StatSN of a response with the next one.
func (l *link) checkStatSN(r pdu.Response) error {
	got := r.StatSN()
	if got == l.nextStatSN || l.s.cfg.Lenient && got.Less(l.nextStatSN) {
		return nil
	}
	return broken("%v with StatSN %v instead of %v", r.Opcode(), got, l.nextStatSN)
}
