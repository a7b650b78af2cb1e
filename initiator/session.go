package initiator

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"lunar/initiator/drive"
	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
)

// Session is one logged-in connection. Its methods may be called by any goroutine.
type Session struct {
	cfg    Config
	params Params
	drive  driver

	// dead is closed when every task has ended and nothing is received any more;
	// err is why, set before.
	dead chan struct{}
	// freed holds a token when a slot may be free and somebody waits in Do.
	freed chan struct{}

	mu      sync.Mutex
	err     error
	leaving error // an Async Message that asks us to go: no new commands
	waiting int   // callers of Do without a slot

	tasks []task
	free  []uint16
	// first and last chain the tasks that wait for the command window.
	first, last *task
	control     [controlSlots]control
	slots       chan struct{} // one token per control slot in use

	cmdSN      serial.CmdSN // of the next command
	exp, top   serial.CmdSN // ExpCmdSN and MaxCmdSN of the target
	nextStatSN serial.StatSN

	// out collects encoded PDUs that wait to be sent; lends says that the drive sends
	// large data from where it lies.
	out     drive.Outbox
	lends   bool
	held    []byte // by Mangle
	scratch pdu.Header

	in    inbox // of the drive's goroutine alone
	early []early
}

// driver moves the bytes of a session: it calls consume, room and placed with what
// it received, sends what out holds, and calls ended when it has stopped.
// Its methods may be called by any goroutine and never wait.
type driver interface {
	// Flush sends what is queued.
	Flush()
	// HangUp stops moving bytes, because of err.
	HangUp(err error)
}

// Dial connects, logs in and starts the session. It follows redirections; a login
// that the target refuses is a *LoginError.
func Dial(ctx context.Context, cfg Config) (*Session, error) {
	cfg, err := cfg.filled()
	if err != nil {
		return nil, err
	}
	c, t, err := connectAndLogin(ctx, &cfg)
	if err != nil {
		return nil, err
	}
	return newSession(cfg, t.n.params).begin(c)
}

// begin gives the session its drive. On an error c is closed.
func (s *Session) begin(c *Conn) (*Session, error) {
	if s.cfg.Loop == nil {
		newPump(s, c).start()
		return s, nil
	}
	fd, err := drive.Detach(c.nc)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("initiator: hand over to a loop: %w", err), c.Close())
	}
	k := s.cfg.Loop.Link(fd, client{s})
	s.drive = k
	k.Start(c.buf[c.r:c.w])
	return s, nil
}

// newSession is a session that has no drive yet.
func newSession(cfg Config, p Params) *Session {
	s := &Session{
		cfg: cfg, params: p,
		dead: make(chan struct{}), freed: make(chan struct{}, 1),
		tasks: make([]task, cfg.QueueDepth), free: make([]uint16, 0, cfg.QueueDepth),
		slots: make(chan struct{}, controlSlots),
		lends: cfg.Loop != nil,
		cmdSN: p.CmdSN, exp: p.ExpCmdSN, top: p.MaxCmdSN, nextStatSN: p.StatSN,
	}
	for i := range s.tasks {
		s.tasks[i].itt = pdu.ITT(i)
		s.free = append(s.free, uint16(cfg.QueueDepth-1-i))
	}
	for i := range s.control {
		s.control[i].itt = pdu.ITT(cfg.QueueDepth + i)
	}
	s.in.framer.HeaderDigest, s.in.framer.DataDigest = p.HeaderDigest, p.DataDigest
	return s
}

// Params is what login agreed on.
func (s *Session) Params() Params { return s.params }

// Err is why the session ended, nil while it lives.
func (s *Session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Done is closed when the session has ended and every command with it.
func (s *Session) Done() <-chan struct{} { return s.dead }

// Close drops the connection without a logout; commands in progress end with
// ErrClosed. It waits until they have, so it must not be called from a Request's
// Done function.
func (s *Session) Close() error {
	s.fail(ErrClosed)
	<-s.dead
	return nil
}

// Flush sends what Submit queued. It never waits.
func (s *Session) Flush() { s.drive.Flush() }

// fail ends the session once; the drive then stops, and the tasks end.
func (s *Session) fail(err error) {
	s.mu.Lock()
	first := s.err == nil
	if first {
		s.err = fmt.Errorf("initiator: session with %s at %s: %w", s.cfg.Target, s.params.Portal, err)
	}
	s.mu.Unlock()
	if first {
		s.drive.HangUp(err)
	}
}

// moveWindow takes ExpCmdSN and MaxCmdSN of a response. RFC 3720 §3.2.2.1
// [R-3.2.2.1-21]: a pair with MaxCmdSN < ExpCmdSN-1 is ignored, and each number
// only moves forward.
func (s *Session) moveWindow(r pdu.Response) {
	exp, top := r.ExpCmdSN(), r.MaxCmdSN()
	if !exp.AtMost(top.Next()) {
		return
	}
	if s.exp.Less(exp) {
		s.exp = exp
	}
	if s.top.Less(top) {
		s.top = top
		s.sendWaiting()
	}
}

// takeStatSN checks the StatSN of a response that consumes one. At level 0 a gap
// cannot be filled, so it ends the session (RFC 3720 §3.2.2.2 [R-3.2.2.2-20]).
func (s *Session) takeStatSN(r pdu.Response) error {
	if err := s.checkStatSN(r); err != nil {
		return err
	}
	if r.StatSN() == s.nextStatSN {
		s.nextStatSN = s.nextStatSN.Next()
	}
	return nil
}

// checkStatSN compares the StatSN of a response with the next one.
func (s *Session) checkStatSN(r pdu.Response) error {
	got := r.StatSN()
	if got == s.nextStatSN || s.cfg.Lenient && got.Less(s.nextStatSN) {
		return nil
	}
	return broken("%v with StatSN %v instead of %v", r.Opcode(), got, s.nextStatSN)
}
