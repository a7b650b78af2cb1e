package engine

import (
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"lunar/internal/buf"
	"lunar/internal/queue"
	"lunar/iscsi/pdu"
	"lunar/iscsi/transport"
	"lunar/lun"
	"lunar/lun/blk"
	"lunar/reactor"
	"lunar/reactor/host"
)

// Kinds of tokens of a core; those below are the transport's.
const (
	kindDisk reactor.Kind = 16 + iota
	kindAccept
	kindStop
	kindAge
)

// ageTime is how often units are told that time goes by, while one waits for it.
const ageTime = time.Second

// core is one reactor: its loop, its connections, the units at home on it.
type core struct {
	id     int
	engine *Engine
	mail   mailbox

	loop      *reactor.Loop
	local     *lun.Local
	stack     *transport.Stack
	unasked   *buf.Pool
	staged    *buf.Pool
	programs  *buf.Pool
	listeners []listener
	catalog   *catalog
	// directory exists on core 0.
	directory *directory

	// done are the completions of this turn, of which next were looked at: a turn
	// goes on where it was when a panic is contained.
	done []reactor.Completion
	next int

	// aging: the timer of ageTime is armed.
	aging    bool
	stopping bool
	deadline int64
	drained  bool
	exit     bool
	panics   int
	// gone is closed when the goroutine has ended.
	gone chan struct{}
	// asked counts the questions from outside that are not answered; askers keep it.
	asked atomic.Int32
	// logins are how logins ended here, by status.
	logins map[pdu.LoginStatus]uint64
}

// newCore is a core with a mailbox of so many messages, before any spills.
func newCore(e *Engine, id, messages int) *core {
	return &core{
		id: id, engine: e, mail: mailbox{mail: queue.New[message](messages)},
		logins: map[pdu.LoginStatus]uint64{}, gone: make(chan struct{}),
	}
}

// run is the core's goroutine. It reports on started once its turn works, and by
// gone when it ended.
func (k *core) run(cpu int, started chan<- error) {
	defer close(k.gone)
	runtime.LockOSThread()
	err := k.build(cpu)
	started <- err
	if err != nil {
		return
	}
	for !k.exit && err == nil {
		err = k.contained()
	}
	if cerr := k.loop.Close(); err == nil {
		err = cerr
	}
	k.engine.ended(k.id, err)
}

func (k *core) build(cpu int) error {
	if cpu >= 0 {
		if err := host.PinThread(cpu); err != nil {
			return fmt.Errorf("reactor %d: %w", k.id, err)
		}
	}
	limits := transport.DefaultLimits()
	limits.SharesLeft = sharesLeft
	if t := k.engine.cfg.Limits.LoginTime; t > 0 {
		limits.LoginNanos = t.Nanoseconds()
	}
	if t := k.engine.cfg.Limits.PingTime; t > 0 {
		limits.PingNanos = t.Nanoseconds()
	}
	m, err := plan(limits)
	if err != nil {
		return err
	}
	recv, err := k.allocate(m)
	if err != nil {
		return fmt.Errorf("memory of reactor %d: %w", k.id, err)
	}
	ring, err := k.engine.newRing(recv, m.recvBytes)
	if err != nil {
		return err
	}
	return k.assemble(reactor.Config{
		Ring: ring, Poll: k.engine.cfg.Poll, RecvBytes: m.recvBytes, RecvBuffers: recv, Mailbox: &k.mail,
		Timers: maxTimers,
	}, limits)
}

// assemble makes what turns on a ring, once the pools are there.
func (k *core) assemble(cfg reactor.Config, limits transport.Limits) (err error) {
	if k.loop, err = reactor.NewLoop(cfg); err != nil {
		return err
	}
	k.local = lun.NewLocal(k.id, k.programs, k)
	k.local.TimeBy(timeOfDay{})
	k.local.ShareBy(k)
	k.stack = transport.New(k.id, k.loop, k.local, k.unasked, k.staged, k, limits)
	return nil
}

// timeOfDay is the clock of the machine.
type timeOfDay struct{}

// Millis implements lun.Clock.
func (timeOfDay) Millis() int64 { return time.Now().UnixMilli() }

// attach gives a unit its queue on this core.
func (k *core) attach(u *unit) {
	if u.lun.Home() == k.id || u.medium.shared {
		k.local.Attach(u.lun, func(index uint32) blk.Queue { return u.medium.queue(k.loop, index) })
	}
}

// allocate makes the pools of the plan and returns the receive buffers.
func (k *core) allocate(m memory) (recv []byte, err error) {
	for _, p := range []struct {
		pool    **buf.Pool
		classes []buf.Class
	}{{&k.unasked, m.unasked}, {&k.staged, m.staged}, {&k.programs, m.programs}} {
		if *p.pool, err = buf.NewPool(p.classes...); err != nil {
			return nil, err
		}
	}
	return buf.Alloc(m.recvBytes * m.recvCount)
}

// maxPanics is how many panics a reactor contains before it ends: more mean that
// what is shared is broken, and a restart is the honest remedy.
const maxPanics = 16

// contained runs turns and contains panics: the connection that was being served
// is closed, the others go on (architecture §13).
func (k *core) contained() (err error) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		slog.Error("internal error; its connection is closed", "reactor", k.id, "panic", p, "stack", string(debug.Stack()))
		if k.panics++; k.panics > maxPanics || !k.stack.Quarantine() {
			err = fmt.Errorf("reactor %d: internal error: %v", k.id, p)
		}
	}()
	for !k.exit && err == nil {
		err = k.turn()
	}
	return err
}

// turn is one turn of architecture §5.
func (k *core) turn() (err error) {
	if k.next == len(k.done) {
		if k.done, err = k.loop.Turn(); err != nil {
			return fmt.Errorf("reactor %d: %w", k.id, err)
		}
		k.next = 0
	}
	for k.next < len(k.done) {
		x := &k.done[k.next]
		k.next++
		k.complete(x)
	}
	k.stack.Resume()
	for range mailboxMessages {
		m, ok := k.mail.take()
		if !ok {
			break
		}
		k.receive(m)
	}
	k.local.Work()
	// Media that answer at once may let more be sent, and what was sent may let more
	// be read; this ends because a connection has one send in flight.
	for {
		worked := k.local.Flush()
		for _, e := range k.local.Events() {
			worked = true
			k.stack.Event(e)
		}
		worked = k.stack.Flush() || worked
		if !worked && !k.local.Pending() {
			break
		}
		k.loop.Busy()
	}
	k.loop.Expect(k.local.Running() > 0)
	if k.local.Idles() {
		k.loop.Wake()
	}
	if k.local.Ages() && !k.aging {
		k.aging = true
		k.loop.Arm(reactor.NewToken(kindAge, 0, 0), k.loop.Now()+ageTime.Nanoseconds())
	}
	if k.stopping {
		k.drain()
	}
	return nil
}

func (k *core) complete(x *reactor.Completion) {
	switch x.Token.Kind() {
	case kindDisk:
		k.local.Complete(x.Token.Index(), x.Result)
	case kindAccept:
		k.accept(x)
	case kindStop:
	case kindAge:
		k.aging = false
		k.local.Age()
	default:
		k.stack.Complete(*x)
	}
}

// stop closes the door and says goodbye to everyone.
func (k *core) stop() {
	k.stopping = true
	k.deadline = k.loop.Now() + drainTime.Nanoseconds()
	for i := range k.listeners {
		if k.listeners[i].fd >= 0 {
			k.shut(i)
		}
	}
	k.local.Rest()
	k.stack.Drain()
	k.stack.Flush()
}

// drainTime is how long connections have to end at a stop; with it a SIGTERM
// takes less than five seconds.
const drainTime = 3 * time.Second

// drain reports when nothing is under way any more, or time is up.
func (k *core) drain() {
	if k.drained {
		return
	}
	if k.stack.Live() == 0 && k.local.Running() == 0 || k.loop.Now() >= k.deadline {
		k.drained = true
		k.engine.drained(k.id, k.stack.Live())
		return
	}
	k.loop.Arm(reactor.NewToken(kindStop, 0, 0), k.loop.Now()+(10*time.Millisecond).Nanoseconds())
}
