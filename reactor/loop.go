package reactor

import (
	"errors"
	"fmt"
	"time"

	"lunar/internal/invariant"
)

const (
	// turnCompletions bounds what a turn takes from its ring, so that a busy
	// connection cannot keep timers and messages waiting.
	turnCompletions = 256
	// turnTimers bounds the timers of a turn.
	turnTimers = 64
	// opsAtStart is the room for operations of a turn before the list grows.
	opsAtStart = 1024
	// idlePolls bounds how long Turn polls before it returns without work, so
	// that its owner, and with virtual time the simulator, regains control.
	idlePolls = 1 << 14

	defaultSpinFor = 50 * time.Microsecond
	// expectTimes is how many times longer Auto polls while its owner expects the end
	// of something: a disk takes a few hundred microseconds.
	expectTimes   = 20
	defaultTimers = 1 << 16
)

// Config describes a loop.
type Config struct {
	Ring Ring
	Poll PollMode
	// SpinFor is how long Auto polls after the last work; 0 means 50 µs. While the owner
	// expects something (Loop.Expect) it is twenty times as long.
	SpinFor time.Duration
	// RecvBytes is the size of a receive buffer, RecvBuffers all of them in one
	// piece: the same memory the ring was made with.
	RecvBytes   int
	RecvBuffers []byte
	// Mailbox is asked, while polling and once before a sleep, whether messages
	// wait; nil has none. Whoever fills it calls Wake afterwards.
	Mailbox interface{ Empty() bool }
	// Clock is monotonic nanoseconds; nil is the machine's.
	Clock func() int64
	// Timers is how many timers may be armed at once; 0 means 65536.
	Timers int
}

// errTimers says that more timers are armed than the loop was sized for.
var errTimers = errors.New("more timers armed than Config.Timers")

// Loop is the turn of one reactor: what its owner submitted goes to the ring,
// what finished comes back.
type Loop struct {
	ring      Ring
	mailbox   interface{ Empty() bool }
	clock     func() int64
	turn      Turn
	done      []Completion
	timers    timers
	recv      []byte
	recvBytes int
	poll      PollMode
	spinFor   int64
	expects   bool
	now       int64
	lastWork  int64
	counts    Counts
	err       error
	_         [64]byte // the bell is written by other cores
	bell      bell
}

// NewLoop makes the loop of cfg.Ring. It must be used, Wake excepted, by the
// goroutine that made the ring.
func NewLoop(cfg Config) (*Loop, error) {
	if cfg.Ring == nil {
		return nil, errors.New("reactor: new loop: no ring")
	}
	if cfg.RecvBytes < 0 || cfg.RecvBytes == 0 && len(cfg.RecvBuffers) > 0 ||
		cfg.RecvBytes > 0 && len(cfg.RecvBuffers)%cfg.RecvBytes != 0 {
		return nil, fmt.Errorf("reactor: new loop: %d bytes are no whole number of receive buffers of %d", len(cfg.RecvBuffers), cfg.RecvBytes)
	}
	if cfg.Clock == nil {
		cfg.Clock = machineClock()
	}
	if cfg.SpinFor == 0 {
		cfg.SpinFor = defaultSpinFor
	}
	if cfg.Timers == 0 {
		cfg.Timers = defaultTimers
	}
	l := &Loop{
		ring: cfg.Ring, mailbox: cfg.Mailbox, clock: cfg.Clock,
		done:   make([]Completion, 0, turnCompletions+turnTimers),
		timers: newTimers(cfg.Timers),
		recv:   cfg.RecvBuffers, recvBytes: cfg.RecvBytes,
		poll: cfg.Poll, spinFor: cfg.SpinFor.Nanoseconds(),
	}
	l.turn.Ops = make([]Op, 0, opsAtStart)
	if cfg.RecvBytes > 0 {
		l.turn.Recycled = make([]int32, 0, len(cfg.RecvBuffers)/cfg.RecvBytes)
	}
	l.now = l.clock()
	l.lastWork = l.now
	return l, nil
}

// machineClock counts from an arbitrary start, unmoved by changes of the date.
func machineClock() func() int64 {
	start := time.Now()
	return func() int64 { return int64(time.Since(start)) }
}

// Counts are what a loop did since it was made.
type Counts struct {
	// Turns were ended by Turn; Sleeps are how often the ring was let sleep.
	Turns, Sleeps uint64
}

// Counts are the counts so far.
func (l *Loop) Counts() Counts { return l.counts }

// Submit appends op to what the ring gets at the end of this turn. Its token is
// that of no other operation in flight, and its descriptor has no other Accept,
// Recv or Send of the same code in flight. Memory that op names is off the heap
// or referenced by the owner until the last completion: the loop forgets it.
func (l *Loop) Submit(op Op) {
	l.turn.Ops = append(l.turn.Ops, op)
}

// Turn ends this turn and begins the next. It hands over everything submitted
// and returns what finished since, timers included. With nothing to return it
// polls or sleeps as Config.Poll says, until a completion, a Wake, a message in
// the mailbox or the next timer; it may return nothing at all. The slice is
// valid until the next Turn. An error means that the loop is unusable.
func (l *Loop) Turn() ([]Completion, error) {
	if l.err != nil {
		return nil, l.err
	}
	l.counts.Turns++
	for range idlePolls {
		slept, err := l.cross()
		if err != nil {
			l.err = fmt.Errorf("reactor: turn of ring %s: %w", l.ring.Name(), err)
			return nil, l.err
		}
		l.expireTimers()
		called := l.bell.answer() || l.mailed()
		if called || len(l.done) > 0 {
			l.lastWork = l.now
			break
		}
		if slept {
			break
		}
	}
	return l.done, nil
}

// cross goes through the ring once and reports whether it was allowed to sleep.
func (l *Loop) cross() (slept bool, err error) {
	l.turn.WaitNanos = l.patience()
	if l.turn.WaitNanos != 0 {
		l.bell.lieDown()
		if l.bell.rung.Load() || l.mailed() {
			l.turn.WaitNanos = 0
		}
	}
	slept = l.turn.WaitNanos != 0
	if slept {
		l.counts.Sleeps++
	}
	l.turn.Completions = l.done[:0:turnCompletions]
	err = l.ring.Turn(&l.turn)
	l.bell.rise()
	l.done = l.done[:len(l.turn.Completions)]
	// The pointers of operations are dropped with them: what the ring still needs
	// it has copied, and what it copied their owner keeps alive.
	clear(l.turn.Ops)
	l.turn.Ops = l.turn.Ops[:0]
	l.turn.Recycled = l.turn.Recycled[:0]
	l.now = l.clock()
	return slept, err
}

// patience is how long the ring may sleep: 0 not at all, negative without end.
func (l *Loop) patience() int64 {
	if l.poll == Spin || l.poll == Auto && l.now-l.lastWork < l.patienceOfAuto() {
		return 0
	}
	at, armed := l.timers.next()
	if !armed {
		return -1
	}
	// The time of the turn is as old as the work done since; sleep by the clock.
	return max(0, at-l.clock())
}

func (l *Loop) patienceOfAuto() int64 {
	if l.expects {
		return expectTimes * l.spinFor
	}
	return l.spinFor
}

// Expect says whether something is under way whose end is near, such as a request to
// a disk. Waking up takes longer than the rest of what an answer needs.
func (l *Loop) Expect(soon bool) { l.expects = soon }

// mailed reports whether messages wait.
func (l *Loop) mailed() bool { return l.mailbox != nil && !l.mailbox.Empty() }

func (l *Loop) expireTimers() {
	for range turnTimers {
		token, due := l.timers.expire(l.now)
		if !due {
			return
		}
		l.done = append(l.done, Completion{Token: token, Buffer: NoBuffer, Timer: true})
	}
}

// Now is the time in nanoseconds, read once per turn.
func (l *Loop) Now() int64 { return l.now }

// Arm has Completion{Token: t, Timer: true} returned once the clock has reached
// atNanos. There is no way to disarm: owners know a stale timer by its token's
// generation. Arming more than Config.Timers makes the loop unusable, because a
// timer that is lost would leave someone waiting for ever.
func (l *Loop) Arm(t Token, atNanos int64) {
	if !l.timers.add(t, atNanos) {
		l.err = fmt.Errorf("reactor: arm: %w (%d)", errTimers, cap(l.timers.heap))
	}
}

// Received is what arrived with c, the completion of a Recv with nil Data; nil
// when c carries no buffer. It is valid until c.Buffer is recycled.
func (l *Loop) Received(c Completion) []byte {
	if c.Buffer < 0 || c.Result <= 0 {
		return nil
	}
	at := int(c.Buffer) * l.recvBytes
	return l.recv[at : at+int(c.Result) : at+l.recvBytes]
}

// Recycle gives a receive buffer back, once per completion that carried one;
// NoBuffer is ignored.
func (l *Loop) Recycle(buffer int32) {
	if buffer < 0 {
		return
	}
	invariant.Check(len(l.turn.Recycled) < cap(l.turn.Recycled), "reactor: more receive buffers recycled than exist")
	l.turn.Recycled = append(l.turn.Recycled, buffer)
}

// Wake ends the current or next sleep of Turn. It may be called from any
// goroutine, after publishing what the loop shall find; while the loop is awake
// it costs no system call. The owner calls it too, when it leaves work for its
// own next turn.
func (l *Loop) Wake() {
	if !l.bell.ring() {
		return
	}
	// A ring that can no longer be woken has been closed, and there is nobody
	// left to wait for the message.
	_ = l.ring.Wake()
}

// Busy says that work was done in this turn that no completion shows, so that
// Auto keeps polling.
func (l *Loop) Busy() { l.lastWork = l.now }

// Close cancels and awaits everything in flight and frees the ring. Nothing more
// is reported; what Submit took since the last Turn is not started.
func (l *Loop) Close() error {
	if l.err == nil {
		l.err = errors.New("reactor: turn: the loop is closed")
	}
	if err := l.ring.Close(); err != nil {
		return fmt.Errorf("reactor: close ring %s: %w", l.ring.Name(), err)
	}
	return nil
}
