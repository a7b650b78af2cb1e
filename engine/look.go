package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"lunar/internal/buf"
	"lunar/iscsi/pdu"
	"lunar/iscsi/transport"
	"lunar/lun"
	"lunar/lun/blk"
)

// What is here looks at the running node from outside. Every core tells what is its own,
// as a message between two pieces of its work, and no lock is taken that the path of a
// command knows.

// shown is the part of a configuration in force that a look needs. It does not change.
type shown struct {
	cfg     Config
	units   []*unit
	media   []string // descriptions of units
	portals []*portal
}

// show makes what is in force now the thing that is shown. The caller holds changing.
func (e *Engine) show() {
	s := &shown{cfg: e.cfg, portals: e.portals}
	for _, u := range e.cfg.Units {
		s.units = append(s.units, e.units[u.Name])
		s.media = append(s.media, e.units[u.Name].medium.Describe())
	}
	e.shown.Store(s)
}

// view is what one core tells. Its memory is used for one look after the other, so that
// a core allocates nothing.
type view struct {
	// begun says that the first piece was told, next is the unit that comes next.
	begun   bool
	next    int
	reactor ReactorStatus
	survey  transport.Survey
	logins  []LoginCount
	// counts are those of the units of shown here, info is of those at home here.
	counts []lun.Counts
	info   []blk.Info
}

// pieceRows bounds how much a core tells at once, so that what it serves does not wait
// for it: some tens of microseconds.
const pieceRows = 64

// ErrNoAnswer says that a reactor did not answer in time.
var ErrNoAnswer = errors.New("does not answer")

// Status looks at the whole node. It waits for the reactors as long as ctx lets it; the
// error names one that does not answer.
func (e *Engine) Status(ctx context.Context) (*Status, error) {
	select {
	case e.looking <- struct{}{}:
		defer func() { <-e.looking }()
	case <-ctx.Done():
		return nil, fmt.Errorf("status: another one is under way: %w", ctx.Err())
	}
	s := e.shown.Load()
	if s == nil {
		return nil, errors.New("status: the target has not started yet; ask again in a moment")
	}
	views := e.views
	// Memory that a core may still write to is not used again.
	e.views = nil
	for len(views) < len(e.cores) {
		views = append(views, &view{})
	}
	errs := make([]error, len(e.cores))
	var all sync.WaitGroup
	for i, k := range e.cores {
		all.Go(func() { errs[i] = e.look(ctx, k, s, views[i]) })
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	st := e.compose(s, views)
	e.views = views
	return st, nil
}

// look has a core tell everything, in as few pieces as may be: each wakes it up.
func (e *Engine) look(ctx context.Context, k *core, s *shown, v *view) error {
	v.begin(s)
	for over := false; !over; {
		// Room is made here, so that the core allocates nothing.
		v.survey.Sessions = slices.Grow(v.survey.Sessions, pieceRows)
		if err := e.ask(ctx, k, func() { over = k.report(v, s) }); err != nil {
			return err
		}
	}
	return nil
}

// begin makes room for another look.
func (v *view) begin(s *shown) {
	v.begun, v.next, v.survey = false, 0, transport.Survey{Sessions: v.survey.Sessions[:0]}
	v.counts = slices.Grow(v.counts[:0], len(s.units))[:len(s.units)]
	v.info = slices.Grow(v.info[:0], len(s.units))[:len(s.units)]
}

// report writes down the next piece, and is true when that was the last.
func (k *core) report(v *view, s *shown) (over bool) {
	if !v.begun {
		v.begun = true
		k.reportOnce(v)
	}
	rows := pieceRows
	for ; rows > 0 && v.next < len(s.units); rows-- {
		u := s.units[v.next].lun
		v.counts[v.next] = u.Counts(k.id)
		if u.Home() == k.id {
			v.info[v.next] = u.Info()
		}
		v.next++
	}
	return rows > 0 && k.stack.Survey(&v.survey, rows)
}

// reportOnce writes down what the core has once.
func (k *core) reportOnce(v *view) {
	n, loop := k.stack.Stats(), k.loop.Counts()
	v.reactor = ReactorStatus{
		Number: k.id, Connections: k.stack.Live(),
		Accepted: n.Accepted, LoggedIn: n.LoggedIn, Dropped: n.Dropped, Commands: n.Commands, Quarantined: n.Quarantined,
		Passed: k.local.Passed(), Turns: loop.Turns, Sleeps: loop.Sleeps, Running: k.local.Running(),
		ReceiveBuffers: recvCount, Pools: v.reactor.Pools[:0],
	}
	for _, p := range k.pools() {
		v.reactor.Pools = append(v.reactor.Pools, PoolStatus{p.name, p.pool.Bytes(), p.pool.Free()})
	}
	v.logins = v.logins[:0]
	for s, count := range k.logins {
		v.logins = append(v.logins, LoginCount{Status: uint16(s), Count: count})
	}
}

// namedPool is a pool and what it is called outside.
type namedPool struct {
	name string
	pool *buf.Pool
}

// pools are those of the core.
func (k *core) pools() [3]namedPool {
	return [3]namedPool{{"unasked", k.unasked}, {"staged", k.staged}, {"programs", k.programs}}
}

// maxAsked bounds the questions that a core has not answered yet: one that never does
// is not to fill its mailbox with them. It is more than there are connections to ask at
// once.
const maxAsked = 256

// ask runs f on a core like on, but waits no longer than ctx lets it. After an error f
// may still run.
func (e *Engine) ask(ctx context.Context, k *core, f func()) error {
	done := make(chan struct{})
	m := message{ctl: &control{run: func() { defer close(done); f() }}}
	if k.asked.Add(1) > maxAsked || !k.mail.mail.Push(m) {
		k.asked.Add(-1)
		return k.noAnswer()
	}
	k.loop.Wake()
	select {
	case <-done:
		k.asked.Add(-1)
		return nil
	case <-e.over:
		return errStopped
	case <-ctx.Done():
	}
	go func() {
		select {
		case <-done:
		case <-e.over:
		}
		k.asked.Add(-1)
	}()
	return k.noAnswer()
}

func (k *core) noAnswer() error {
	return fmt.Errorf("reactor %d %w; see the log of the target, and restart it if that stays so", k.id, ErrNoAnswer)
}

// answerTime is how long a reactor that works may take to answer.
const answerTime = time.Second

// Responding asks every reactor for a sign of life. The error names those that give none
// within a second.
func (e *Engine) Responding(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	errs := make([]error, len(e.cores))
	var all sync.WaitGroup
	for i, k := range e.cores {
		all.Go(func() { errs[i] = e.ask(ctx, k, func() {}) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// ErrNoSession says that no session has the handle that was asked for.
var ErrNoSession = errors.New("there is no such session")

// DropSession ends a session by its TSIH as a stop of the target would: its initiator is
// asked to log out, and within three seconds the connection closes. It returns once it
// was asked; ErrNoSession is among its errors.
func (e *Engine) DropSession(ctx context.Context, tsih uint16) error {
	for _, k := range e.cores {
		found := make(chan bool, 1)
		if err := e.ask(ctx, k, func() { found <- k.stack.Dismiss(pdu.TSIH(tsih)) }); err != nil {
			return err
		}
		if <-found {
			return nil
		}
	}
	return fmt.Errorf("session %d: %w; `lunar session list` shows those there are", tsih, ErrNoSession)
}
