package initiator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"lunar/iscsi/pdu"
	"lunar/iscsi/serial"
	"lunar/scsi/sam"
)

// Session is one logged-in session: one connection, or as many as Config.Connections
// asks for. Its methods may be called by any goroutine.
type Session struct {
	cfg Config
	// home is the portal that Config names, before redirections.
	home string

	// dead is closed when every task has ended and nothing is received any more; err
	// is why, set before. ctx ends when err is set.
	dead chan struct{}
	ctx  context.Context
	stop context.CancelCauseFunc
	// freed holds a token when a slot may be free and somebody waits in Do.
	freed chan struct{}
	// links are the connections, in the order of their coming. The list is replaced,
	// under mu, never changed, so that Flush can read it without.
	links atomic.Pointer[[]*link]

	mu       sync.Mutex
	params   Params
	err      error
	finished bool
	leaving  error // an Async Message that asks us to go: no new commands
	// farewell says that the session is being logged out: its connections end, one after
	// the other.
	farewell bool
	waiting  int // callers of Do without a slot
	// Of repair: whether its goroutine runs, what it has to do, and what the target said
	// about it. reconnecting says that the target's session is being replaced, epoch how
	// often it was; absorbed counts unit attentions since, by unit.
	repairing    bool
	reconnecting bool
	lostLinks    []*link
	told         *AsyncError
	repairs      int
	epoch        int
	absorbed     map[sam.LUN]int
	counters     Counters
	// changed is closed, and made anew, when a connection has come or gone.
	changed chan struct{}
	lastCID pdu.CID

	tasks []task
	free  []uint16
	// first and last chain the tasks that wait for the command window, or for a
	// connection.
	first, last *task
	control     [controlSlots]control
	slots       chan struct{} // one token per control slot in use

	cmdSN    serial.CmdSN // of the next command
	quiet    int          // functions under way that no command may overtake
	exp, top serial.CmdSN // ExpCmdSN and MaxCmdSN of the target
}

// Dial connects, logs in and starts the session, with as many connections as
// Config.Connections says and the target allows. It follows redirections; a login
// that the target refuses is a *LoginError.
func Dial(ctx context.Context, cfg Config) (*Session, error) {
	cfg, err := cfg.filled()
	if err != nil {
		return nil, err
	}
	home := cfg.Portal
	c, t, err := connectAndLogin(ctx, &cfg, nil)
	if err != nil {
		return nil, err
	}
	s := newSession(cfg, t.n.params)
	s.home = home
	if err := s.attach(0, t.n.params, c); err != nil {
		return nil, err
	}
	if every := s.probeEvery(); every > 0 {
		go s.watch(every)
	}
	if err := s.fill(ctx); err != nil {
		_ = s.Close() // the error above is the one to report
		return nil, err
	}
	return s, nil
}

// newSession is a session that has no connection yet.
func newSession(cfg Config, p Params) *Session {
	s := &Session{
		cfg: cfg, home: cfg.Portal, params: p,
		dead: make(chan struct{}), freed: make(chan struct{}, 1), changed: make(chan struct{}),
		tasks: make([]task, cfg.QueueDepth), free: make([]uint16, 0, cfg.QueueDepth),
		slots: make(chan struct{}, controlSlots),
		cmdSN: p.CmdSN, exp: p.ExpCmdSN, top: p.MaxCmdSN,
	}
	s.ctx, s.stop = context.WithCancelCause(context.Background())
	s.links.Store(new([]*link))
	s.absorbed = make(map[sam.LUN]int)
	for i := range s.tasks {
		s.tasks[i].itt = pdu.ITT(i)
		s.free = append(s.free, uint16(cfg.QueueDepth-1-i))
	}
	for i := range s.control {
		s.control[i].itt = pdu.ITT(cfg.QueueDepth + i)
	}
	return s
}

// Params is what the leading login agreed on.
func (s *Session) Params() Params {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.params
}

// Err is why the session ended, nil while it lives.
func (s *Session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Done is closed when the session has ended and every command with it.
func (s *Session) Done() <-chan struct{} { return s.dead }

// Close drops the connections without a logout; commands in progress end with
// ErrClosed. It waits until they have, so it must not be called from a Request's
// Done function.
func (s *Session) Close() error {
	s.fail(ErrClosed)
	<-s.dead
	return nil
}

// Flush sends what Submit queued. It never waits.
func (s *Session) Flush() {
	links := s.live()
	if len(links) == 1 {
		links[0].drive.Flush()
		return
	}
	s.flushOthers(nil)
}

// flushOthers sends what is queued for every connection but one, whose drive looks
// after itself.
func (s *Session) flushOthers(one *link) {
	links := s.live()
	if len(links) == 1 && links[0] == one {
		return
	}
	for _, l := range links {
		if l == one {
			continue
		}
		s.mu.Lock()
		queued := len(l.out.Own) > 0
		s.mu.Unlock()
		if queued {
			l.drive.Flush()
		}
	}
}

// live are the connections.
func (s *Session) live() []*link { return *s.links.Load() }

// broadcast wakes who waits for connections to come or go. mu is held.
func (s *Session) broadcast() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// fail ends the session once: its connections are dropped, and when the last has ended
// the tasks do.
func (s *Session) fail(err error) {
	s.mu.Lock()
	links, idle := s.condemn(err)
	s.mu.Unlock()
	for _, l := range links {
		l.fail(err)
	}
	if idle {
		s.finish()
	}
}

// condemn notes why the session ends, and returns the connections to drop; idle says
// that none is left to end the tasks. mu is held.
func (s *Session) condemn(err error) (links []*link, idle bool) {
	if s.err != nil {
		return nil, false
	}
	s.err = fmt.Errorf("initiator: session with %s at %s: %w", s.cfg.Target, s.cfg.Portal, err)
	s.stop(s.err)
	links = s.live()
	return links, len(links) == 0 && !s.repairing
}

// finish ends every task with the session's error, once no connection is left.
func (s *Session) finish() {
	s.mu.Lock()
	if s.finished {
		s.mu.Unlock()
		return
	}
	s.finished = true
	s.first, s.last = nil, nil
	var ended []*Request
	for i := range s.tasks {
		if t := &s.tasks[i]; t.req != nil {
			t.req.Err = s.err
			ended = append(ended, s.release(t))
		}
	}
	s.mu.Unlock()
	for _, r := range ended {
		r.Done(r)
	}
	close(s.dead)
}

// left takes a connection that has ended out of the session. It is true when that was
// the last of a session that ends. mu is held.
func (s *Session) left(l *link) (over bool, drop []*link) {
	rest := slices.DeleteFunc(slices.Clone(s.live()), func(o *link) bool { return o == l })
	s.links.Store(&rest)
	close(l.gone)
	s.broadcast()
	expected := s.farewell || l.parting && l.busy == 0
	switch {
	case s.err != nil || expected && len(rest) > 0:
	case s.recovers():
		l.lostAt = time.Now()
		s.counters.Lost++
		s.lostLinks = append(s.lostLinks, l)
		if !s.repairing {
			s.repairing = true
			go s.repair()
		}
	default:
		drop, _ = s.condemn(l.err)
	}
	if s.err == nil {
		s.lose(l)
	}
	return s.err != nil && len(rest) == 0 && !s.repairing, drop
}

// probeEvery is how often to look for what does not come; 0 is never.
func (s *Session) probeEvery() time.Duration {
	if s.cfg.Probe == 0 && s.params.ErrorRecoveryLevel > 0 {
		return defaultProbe
	}
	return s.cfg.Probe
}

// lose answers the requests, other than commands, that a connection took along. mu is
// held.
func (s *Session) lose(l *link) {
	for i := range s.control {
		if k := &s.control[i]; k.link == l && k.answer != nil {
			k.answer <- reply{err: l.lost()}
			k.answer = nil
		}
	}
}

// moveWindow takes ExpCmdSN and MaxCmdSN of a response. RFC 3720 §3.2.2.1
// [R-3.2.2.1-21]: a pair with MaxCmdSN < ExpCmdSN-1 is ignored, and each number
// only moves forward.
func (s *Session) moveWindow(exp, top serial.CmdSN) {
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

// isLost says whether an error is that of a request whose connection was lost.
func isLost(err error) bool {
	var e *LostError
	return errors.As(err, &e)
}
