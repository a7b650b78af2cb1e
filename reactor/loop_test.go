package reactor

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lunar/internal/queue"
)

// tape is a ring that returns what the test put on it and really sleeps.
type tape struct {
	turns   [][]Completion
	ops     int
	waits   []int64
	recycle []int32
	err     error
	wakes   atomic.Int64
	woken   chan struct{}
}

func newTape(turns ...[]Completion) *tape {
	return &tape{turns: turns, woken: make(chan struct{}, 1)}
}

func (r *tape) Turn(t *Turn) error {
	r.ops += len(t.Ops)
	r.recycle = append(r.recycle, t.Recycled...)
	r.waits = append(r.waits, t.WaitNanos)
	if len(r.turns) > 0 {
		t.Completions = append(t.Completions, r.turns[0]...)
		r.turns = r.turns[1:]
		return r.err
	}
	switch {
	case t.WaitNanos < 0:
		<-r.woken
	case t.WaitNanos > 0:
		select {
		case <-r.woken:
		case <-time.After(time.Duration(t.WaitNanos)):
		}
	}
	return r.err
}

func (r *tape) Wake() error {
	r.wakes.Add(1)
	select {
	case r.woken <- struct{}{}:
	default:
	}
	return nil
}

func (r *tape) Close() error { return r.err }
func (r *tape) Name() string { return "tape" }

func newTestLoop(t testing.TB, cfg Config) *Loop {
	t.Helper()
	l, err := NewLoop(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func turn(t testing.TB, l *Loop) []Completion {
	t.Helper()
	done, err := l.Turn()
	if err != nil {
		t.Fatal(err)
	}
	return done
}

func TestToken_KeepsItsParts(t *testing.T) {
	token := NewToken(0xfe, 0x1abcdef, 0xdeadbeef)
	if token.Kind() != 0xfe || token.Generation() != 0xabcdef || token.Index() != 0xdeadbeef {
		t.Errorf("%#x: %#x %#x %#x", uint64(token), token.Kind(), token.Generation(), token.Index())
	}
}

func TestPollMode_RoundTrip(t *testing.T) {
	for _, m := range []PollMode{Auto, Spin, Sleep} {
		if got, err := ParsePollMode(m.String()); got != m || err != nil {
			t.Errorf("%v: %v, %v", m, got, err)
		}
	}
	if _, err := ParsePollMode("never"); err == nil {
		t.Error("an unknown mode was accepted")
	}
	if got := PollMode(9).String(); got != "PollMode(9)" {
		t.Error(got)
	}
}

func TestNewLoop_RefusesHalfABuffer(t *testing.T) {
	for _, cfg := range []Config{
		{},
		{Ring: newTape(), RecvBytes: 10, RecvBuffers: make([]byte, 15)},
		{Ring: newTape(), RecvBuffers: make([]byte, 15)},
	} {
		if _, err := NewLoop(cfg); err == nil {
			t.Errorf("%+v was accepted", cfg)
		}
	}
}

func TestLoop_Turn_CarriesOpsAndBuffersOnce(t *testing.T) {
	ring := newTape([]Completion{{Token: 1, Result: 3, Buffer: 1}}, []Completion{{Token: 2, Buffer: NoBuffer}})
	l := newTestLoop(t, Config{Ring: ring, RecvBytes: 4, RecvBuffers: []byte("aaaabbbb")})
	l.Submit(Op{Token: 1})
	l.Submit(Op{Token: 2})
	done := turn(t, l)
	if got := string(l.Received(done[0])); got != "bbb" {
		t.Errorf("received %q", got)
	}
	l.Recycle(done[0].Buffer)
	done = turn(t, l)
	if l.Received(done[0]) != nil {
		t.Error("bytes without a buffer")
	}
	l.Recycle(done[0].Buffer)
	if ring.ops != 2 || len(ring.recycle) != 1 || ring.recycle[0] != 1 {
		t.Errorf("%d operations, recycled %v", ring.ops, ring.recycle)
	}
}

func TestLoop_Sleep_UntilTheTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ring := newTape()
		l := newTestLoop(t, Config{Ring: ring, Poll: Sleep})
		start := l.Now()
		l.Arm(8, start+int64(2*time.Second))
		l.Arm(7, start+int64(time.Second))
		for _, want := range []Completion{{Token: 7, Buffer: NoBuffer, Timer: true}, {Token: 8, Buffer: NoBuffer, Timer: true}} {
			if done := turn(t, l); len(done) != 1 || done[0] != want {
				t.Fatalf("got %v, want %v", done, want)
			}
		}
		if l.Now()-start != int64(2*time.Second) || len(ring.waits) != 2 {
			t.Errorf("after %d ns and waits %v", l.Now()-start, ring.waits)
		}
	})
}

func TestLoop_Auto_PollsThenSleeps(t *testing.T) {
	now := int64(0)
	clock := func() int64 { now += 1000; return now }
	ring := newTape()
	l := newTestLoop(t, Config{Ring: ring, Poll: Auto, SpinFor: 20 * time.Microsecond, Clock: clock})
	l.Arm(1, 30000)
	turn(t, l)
	slept := len(ring.waits) - 1
	if slept < 10 || slept > 20 || ring.waits[slept] <= 0 {
		t.Errorf("waits %v", ring.waits)
	}
	for _, wait := range ring.waits[:slept] {
		if wait != 0 {
			t.Errorf("slept early: %v", ring.waits)
		}
	}
	ring.waits = nil
	l.Busy()
	l.Arm(2, 0)
	turn(t, l)
	if ring.waits[0] != 0 {
		t.Error("slept right after work")
	}
}

// While the owner expects something Auto polls longer, but not for ever.
func TestLoop_Auto_PollsLongerForWhatIsExpected(t *testing.T) {
	now := int64(0)
	clock := func() int64 { now += 1000; return now }
	ring := newTape()
	l := newTestLoop(t, Config{Ring: ring, Poll: Auto, SpinFor: 20 * time.Microsecond, Clock: clock})
	l.Expect(true)
	l.Arm(1, 1_000_000)
	turn(t, l)
	if polls := len(ring.waits) - 1; polls < 300 || polls > 400 || ring.waits[polls] <= 0 {
		t.Errorf("polled %d times, then waited %d", polls, ring.waits[polls])
	}
	ring.waits = nil
	l.Expect(false)
	turn(t, l)
	if ring.waits[0] == 0 {
		t.Error("polls though nothing is expected any more")
	}
}

func TestLoop_Spin_NeverSleepsAndComesBack(t *testing.T) {
	ring := newTape()
	l := newTestLoop(t, Config{Ring: ring, Poll: Spin})
	if done := turn(t, l); len(done) != 0 {
		t.Errorf("got %v", done)
	}
	for _, wait := range ring.waits {
		if wait != 0 {
			t.Fatalf("slept %d", wait)
		}
	}
}

func TestLoop_TooManyTimers_IsAnError(t *testing.T) {
	l := newTestLoop(t, Config{Ring: newTape(), Timers: 1})
	l.Arm(1, 0)
	l.Arm(2, 0)
	if _, err := l.Turn(); !errors.Is(err, errTimers) {
		t.Errorf("got %v", err)
	}
}

func TestLoop_RingFailure_IsFinal(t *testing.T) {
	ring := newTape()
	ring.err = errors.New("broken")
	l := newTestLoop(t, Config{Ring: ring})
	l.Wake()
	for range 2 {
		if _, err := l.Turn(); !errors.Is(err, ring.err) {
			t.Errorf("got %v", err)
		}
	}
	if err := l.Close(); !errors.Is(err, ring.err) {
		t.Errorf("close: %v", err)
	}
}

func TestLoop_Close_EndsTurns(t *testing.T) {
	l := newTestLoop(t, Config{Ring: newTape()})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Turn(); err == nil {
		t.Error("a closed loop turned")
	}
}

func TestLoop_Wake_WhileAwake_CostsNoSystemCall(t *testing.T) {
	ring := newTape()
	l := newTestLoop(t, Config{Ring: ring, Poll: Sleep})
	for range 10 {
		l.Wake()
	}
	if done := turn(t, l); len(done) != 0 || ring.wakes.Load() != 0 || ring.waits[0] != 0 {
		t.Errorf("got %v after %d wakes and waits %v", done, ring.wakes.Load(), ring.waits)
	}
}

// TestLoop_SleepProtocol_Stress has senders fill a mailbox at random moments of
// a loop that sleeps whenever it can. A lost wake-up leaves it asleep with a
// message waiting, which the watch ends.
func TestLoop_SleepProtocol_Stress(t *testing.T) {
	const senders, each = 4, 5000
	mailbox := queue.New[int](64)
	ring := newTape()
	l := newTestLoop(t, Config{Ring: ring, Poll: Sleep, Mailbox: mailbox})
	var wg sync.WaitGroup
	for s := range senders {
		wg.Go(func() {
			for i := range each {
				for !mailbox.Push(i) {
					runtime.Gosched()
				}
				l.Wake()
				if (i+s)%7 == 0 {
					runtime.Gosched()
				}
			}
		})
	}
	var lost atomic.Bool
	watch := time.AfterFunc(20*time.Second, func() { lost.Store(true); ring.Wake() })
	defer watch.Stop()
	for got := 0; got < senders*each; {
		turn(t, l)
		if lost.Load() {
			t.Fatalf("asleep after %d of %d messages", got, senders*each)
		}
		for _, ok := mailbox.Pop(); ok; _, ok = mailbox.Pop() {
			got++
		}
	}
	wg.Wait()
	if ring.wakes.Load() == 0 {
		t.Error("the loop never slept, so nothing was tested")
	}
}

// replies answers every operation at once.
type replies struct{ tape }

func (r *replies) Turn(t *Turn) error {
	for i := range t.Ops {
		t.Completions = append(t.Completions, Completion{Token: t.Ops[i].Token, Result: 1, Buffer: 0})
	}
	return nil
}

func TestLoop_NoAllocation(t *testing.T) {
	l := newTestLoop(t, Config{Ring: &replies{}, RecvBytes: 4, RecvBuffers: make([]byte, 4)})
	n := testing.AllocsPerRun(1000, func() {
		for i := range Token(100) {
			l.Submit(Op{Token: i, Code: Recv})
		}
		l.Arm(5, l.Now())
		for _, c := range turn(t, l) {
			if !c.Timer {
				l.Received(c)
			}
		}
		l.Recycle(0)
	})
	if n != 0 {
		t.Errorf("%v allocations per turn", n)
	}
}
