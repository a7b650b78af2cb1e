package engine

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"lunar/iscsi/auth"
	"lunar/lun"
	"lunar/reactor"
	"lunar/reactor/host"
	"lunar/reactor/rings"
	"lunar/scsi"
)

// Engine is a running target node.
type Engine struct {
	cfg   Config
	cores []*core
	ring  string
	// node is what authentication needs, the same on every reactor.
	node auth.Node
	door *door

	// changing holds off a change while another is carried out. What follows it is
	// changed by Start, Apply and Stop alone.
	changing sync.Mutex
	units    map[string]*unit
	absent   []*lun.Unit
	catalog  *catalog
	portals  []*portal
	// shown is what of it Status shows, replaced with every change.
	shown atomic.Pointer[shown]
	// looking holds one Status after the other; views is the memory of the last.
	looking chan struct{}
	views   []*view
	started time.Time

	keepers keepers
	// access are the states of portal groups that the operator has set.
	access []scsi.GroupAccess
	// rest is how long a change waits for commands to end: restTime.
	rest time.Duration
	// stopping is closed when Stop begins: what waits for something gives up.
	stopping chan struct{}
	stop     sync.Once

	// begun is how many of the cores have a goroutine, set by Start.
	begun   int
	mu      sync.Mutex
	running int
	failure error
	idle    chan int // a core has drained; the value is how many connections were left
	over    chan struct{}
}

// Start builds everything and opens the portals last, when a login would
// succeed. Errors name the object and the remedy; nothing is left behind.
func Start(cfg Config) (*Engine, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	if err := makeDir(cfg.State); err != nil {
		return nil, fmt.Errorf("state directory: %w; give another --state", err)
	}
	if _, err := host.RaiseFDLimit(); err != nil {
		slog.Warn("descriptor limit stays as it is", "error", err)
	}
	e := &Engine{
		cfg: cfg, idle: make(chan int, len(cfg.CPUs)), over: make(chan struct{}), door: newDoor(cfg.Limits),
		absent: lun.NewAbsent(len(cfg.CPUs)), units: map[string]*unit{}, catalog: &catalog{},
		looking: make(chan struct{}, 1), started: time.Now(), rest: restTime, stopping: make(chan struct{}),
	}
	e.node.Chance = chance
	chance(e.node.Key[:])
	if err := e.startCores(); err != nil {
		return nil, errors.Join(err, e.Stop())
	}
	// What is configured is a change from nothing.
	if err := e.change(cfg); err != nil {
		return nil, errors.Join(err, e.Stop())
	}
	return e, nil
}

// chance fills b with random bytes. It never fails: crypto/rand ends the process
// rather than return others.
func chance(b []byte) { _, _ = rand.Read(b) }

func (e *Engine) startCores() error {
	e.leaveProcessors()
	for i := range e.cfg.CPUs {
		e.cores = append(e.cores, newCore(e, i, mailboxMessages))
	}
	e.cores[0].directory = newDirectory(maxSessions, len(e.cores))
	started := make(chan error, len(e.cores))
	for i, k := range e.cores {
		go k.run(e.cfg.CPUs[i], started)
		// One after another: the first error is the one to show.
		if err := <-started; err != nil {
			return err
		}
		e.begun++
		e.mu.Lock()
		e.running++
		e.mu.Unlock()
	}
	return nil
}

// leaveProcessors moves everything but the reactors off the processors that these are
// pinned to: a thread of the garbage collector would take one for milliseconds.
func (e *Engine) leaveProcessors() {
	var pinned []int
	for _, cpu := range e.cfg.CPUs {
		if cpu >= 0 {
			pinned = append(pinned, cpu)
		}
	}
	if len(pinned) == 0 {
		return
	}
	if err := host.KeepOff(pinned); err != nil {
		slog.Warn("other threads may run on the processors of reactors", "error", err)
	}
}

// maxSessions bounds the sessions of the target: handles have 16 bits.
const maxSessions = 1 << 15

// newRing makes the ring the configuration asks for.
func (e *Engine) newRing(recv []byte, recvBytes int) (reactor.Ring, error) {
	r, refused, err := rings.New(e.cfg.Ring, recv, recvBytes)
	if err != nil {
		return nil, err
	}
	if refused != nil {
		slog.Warn("falling back to epoll", "error", refused)
	}
	e.ring = r.Name()
	return r, nil
}

// tell brings a control message to a core from outside the cores. The mailbox of
// a core that lives has room again soon; one that has ended reads no more.
func (e *Engine) tell(k *core, c *control) {
	for !k.mail.mail.Push(message{ctl: c}) {
		select {
		case <-k.gone:
			return
		default:
			k.loop.Wake()
		}
	}
	k.loop.Wake()
}

// Portals are the addresses in use, in the order of the configuration.
func (e *Engine) Portals() (bound []string) {
	e.changing.Lock()
	defer e.changing.Unlock()
	for _, p := range e.portals {
		bound = append(bound, p.bound)
	}
	return bound
}

// Targets are the names of the targets, in the order of the configuration.
func (e *Engine) Targets() (names []string) {
	e.changing.Lock()
	defer e.changing.Unlock()
	for _, t := range e.cfg.Targets {
		names = append(names, t.Name)
	}
	return names
}

// Ring is what carries the I/O: "uring" or "epoll".
func (e *Engine) Ring() string { return e.ring }

// Describe lists the units and their media.
func (e *Engine) Describe() string {
	e.changing.Lock()
	defer e.changing.Unlock()
	var s []string
	now := e.shown.Load()
	for i, u := range now.cfg.Units {
		s = append(s, u.Name+"="+now.media[i])
	}
	return strings.Join(s, ", ")
}

// Done is closed when every core has ended, by Stop or by a failure.
func (e *Engine) Done() <-chan struct{} { return e.over }

// ended takes the end of a core.
func (e *Engine) ended(id int, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err != nil {
		slog.Error("reactor failed", "reactor", id, "error", err)
		e.failure = errors.Join(e.failure, err)
	}
	e.running--
	if e.running == 0 || err != nil {
		select {
		case <-e.over:
		default:
			close(e.over)
		}
	}
}

func (e *Engine) drained(_, left int) { e.idle <- left }

// Stop ends the target: portals close, initiators are told, what is under way
// ends or, after a bound, is cut, and the media are closed. It returns the first
// failure of a core, if there was one.
func (e *Engine) Stop() error {
	e.stop.Do(func() { close(e.stopping) })
	e.changing.Lock()
	defer e.changing.Unlock()
	e.drain()
	// A medium is closed when no core can reach it any more, whatever ended the others.
	for _, k := range e.cores[:e.begun] {
		e.tell(k, &control{exit: true})
	}
	for _, k := range e.cores[:e.begun] {
		<-k.gone
	}
	e.keepers.Wait()
	err := e.closeMedia()
	e.mu.Lock()
	defer e.mu.Unlock()
	return errors.Join(e.failure, err)
}

// drain has every core say goodbye and end what is under way. When one of them has
// failed, or does so meanwhile, nothing can be ended in order.
func (e *Engine) drain() {
	select {
	case <-e.over:
		return
	default:
	}
	for _, k := range e.cores[:e.begun] {
		e.tell(k, &control{stop: true})
	}
	left := 0
	for range e.begun {
		select {
		case n := <-e.idle:
			left += n
		case <-e.over:
			return
		}
	}
	if left > 0 {
		slog.Warn("connections cut at stop", "connections", left)
	}
}

func (e *Engine) closeMedia() (err error) {
	for name, u := range e.units {
		u.watch.stop()
		if cerr := u.medium.Close(); cerr != nil {
			err = errors.Join(err, fmt.Errorf("unit %q: %w", name, cerr))
		}
	}
	clear(e.units)
	return err
}
