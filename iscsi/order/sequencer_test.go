package order

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"lunar/iscsi/serial"
)

// drain takes everything that is due.
func drain(s *Sequencer, deliver func(owner uint64)) {
	round(s, s.Knock(), deliver)
}

func round(s *Sequencer, n int32, deliver func(owner uint64)) {
	for ; n != 0; n = s.Leave(n) {
		for {
			owner, ok := s.Take()
			if !ok {
				break
			}
			deliver(owner)
		}
	}
}

func owners(s *Sequencer) (got []uint64) {
	drain(s, func(o uint64) { got = append(got, o) })
	return got
}

func same(t *testing.T, got []uint64, want ...uint64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("delivered %v, want %v", got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("delivered %v, want %v", got, want)
		}
	}
}

// onCores runs a test for an order of several cores and for that of one.
func onCores(t *testing.T, test func(t *testing.T, oneCore bool)) {
	t.Helper()
	t.Run("cores", func(t *testing.T) { test(t, false) })
	t.Run("core", func(t *testing.T) { test(t, true) })
}

func TestSequencer_Gap_HoldsWhatIsBehind(t *testing.T) {
	onCores(t, func(t *testing.T, oneCore bool) { testGap(t, New(serial.Cmd(0xfffffffe), 4, oneCore)) })
}

func testGap(t *testing.T, s *Sequencer) {
	t.Helper()
	for _, x := range []struct {
		n    uint32
		want bool
	}{{0, true}, {1, true}, {0, false}, {2, false}, {0xfffffffd, false}} {
		if got := s.Offer(serial.Cmd(x.n), uint64(x.n), true); got != x.want {
			t.Errorf("offer of %#x: %v", x.n, got)
		}
	}
	same(t, owners(s))
	s.Offer(serial.Cmd(0xfffffffe), 8, true)
	same(t, owners(s), 8)
	s.Offer(serial.Cmd(0xffffffff), 9, true)
	same(t, owners(s), 9, 0, 1)
	if got := s.Expected().Uint32(); got != 2 {
		t.Errorf("ExpCmdSN %d", got)
	}
	if got := s.Last().Uint32(); got != 1 {
		t.Errorf("MaxCmdSN %#x moved without an end", got)
	}
	if s.Offer(serial.Cmd(2), 2, true) {
		t.Error("a closed window took a command")
	}
	s.Credit()
	if !s.Offer(serial.Cmd(2), 2, true) || s.Offer(serial.Cmd(3), 3, true) {
		t.Error("a credit is one command")
	}
}

func TestSequencer_GivenUp(t *testing.T) {
	onCores(t, func(t *testing.T, oneCore bool) { testGivenUp(t, New(serial.Cmd(1), 8, oneCore)) })
}

func testGivenUp(t *testing.T, s *Sequencer) {
	t.Helper()
	for n := uint32(2); n < 5; n++ {
		s.Offer(serial.Cmd(n), uint64(n), true)
	}
	if s.GiveUp(serial.Cmd(2)) || !s.Withdraw(serial.Cmd(2), false) || s.Withdraw(serial.Cmd(2), false) {
		t.Error("a number that came is withdrawn, once, and not given up")
	}
	if !s.Withdraw(serial.Cmd(3), true) || !s.Accepts(serial.Cmd(3)) || !s.Offer(serial.Cmd(3), 33, true) {
		t.Error("a number withdrawn to come again does not")
	}
	if !s.GiveUp(serial.Cmd(1)) || s.Accepts(serial.Cmd(1)) {
		t.Error("a number that did not come is given up")
	}
	same(t, owners(s), 33, 4)
	// What was given up has ended.
	if got := s.Last().Uint32(); got != 10 {
		t.Errorf("MaxCmdSN %d, want 10", got)
	}
	if s.Withdraw(serial.Cmd(3), true) {
		t.Error("what was delivered is withdrawn")
	}
}

// What is alone starts when everything before it has, and what is behind it after it.
func TestSequencer_Alone_WaitsForWhatWasHandedOver(t *testing.T) {
	onCores(t, func(t *testing.T, oneCore bool) { testAlone(t, New(serial.Cmd(1), 8, oneCore)) })
}

func testAlone(t *testing.T, s *Sequencer) {
	t.Helper()
	s.Offer(serial.Cmd(1), 1, true)
	s.Offer(serial.Cmd(2), 2, false)
	s.Offer(serial.Cmd(3), 3, true)
	var got []uint64
	hand := func(o uint64) { s.Hand(); got = append(got, o) }
	drain(s, hand)
	same(t, got, 1)
	round(s, s.Started(), hand)
	same(t, got, 1, 2)
	if !s.Handed() {
		t.Error("one is on its way")
	}
	drain(s, hand)
	same(t, got, 1, 2)
	round(s, s.Started(), hand)
	same(t, got, 1, 2, 3)
	round(s, s.Started(), hand)
	if s.Handed() || !func() bool { s.Offer(serial.Cmd(4), 4, false); return len(owners(s)) == 1 }() {
		t.Error("what starts where it is taken waits for nobody")
	}
}

// On one core what is next goes past its place, and nothing it overtakes is lost.
func TestSequencer_Next(t *testing.T) {
	s := New(serial.Cmd(0xffffffff), 4, true)
	s.Offer(serial.Cmd(0), 7, true)
	if s.Next(serial.Cmd(0)) || s.Next(serial.Cmd(0xfffffffe)) {
		t.Error("what is not next went past")
	}
	if !s.Next(serial.Cmd(0xffffffff)) || s.Accepts(serial.Cmd(0xffffffff)) || s.Offer(serial.Cmd(0xffffffff), 1, true) {
		t.Error("what was next may come again")
	}
	if !s.Due() || s.Next(serial.Cmd(0)) {
		t.Error("what waited is due, and has been offered")
	}
	drain(s, func(o uint64) {
		if o != 7 || s.Next(serial.Cmd(1)) {
			t.Error("something went past what is being taken")
		}
	})
	if !s.Next(serial.Cmd(1)) || !s.GiveUp(serial.Cmd(2)) || !s.Due() || s.Next(serial.Cmd(2)) {
		t.Error("a number that was given up went past")
	}
	same(t, owners(s))
	s = New(serial.Cmd(1), 1, true)
	if !s.Next(serial.Cmd(1)) || s.Next(serial.Cmd(2)) || s.Due() {
		t.Error("the window was passed")
	}
	s.Credit()
	if !s.Next(serial.Cmd(2)) {
		t.Error("a credit is one command")
	}
	if New(serial.Cmd(1), 4, false).Next(serial.Cmd(1)) {
		t.Error("nothing goes past where there are several cores")
	}
}

func TestSequencer_Untold(t *testing.T) {
	onCores(t, func(t *testing.T, oneCore bool) { testUntold(t, New(serial.Cmd(1), 2, oneCore)) })
}

func testUntold(t *testing.T, s *Sequencer) {
	t.Helper()
	if s.Untold() {
		t.Error("the login told")
	}
	s.Offer(serial.Cmd(1), 1, true)
	owners(s)
	if s.Untold() {
		t.Error("an answer is to come")
	}
	s.Credit()
	if !s.Untold() {
		t.Error("MaxCmdSN moved and nothing tells")
	}
	s.Tell(s.Expected(), s.Last())
	if s.Untold() {
		t.Error("it was told")
	}
}

// Eight producers bring numbers in any order, some twice; every number is delivered
// once, in order, whoever delivers, and what is alone runs alone.
func TestSequencer_Stress(t *testing.T) {
	const producers, window = 8, 64
	total := uint32(200_000)
	if testing.Short() {
		total = 20_000
	}
	first := serial.Cmd(0xffffffff - 1000)
	s := New(first, window, false)
	var next atomic.Uint32
	want := first.Uint32() // the drainer's
	var handed [producers]chan uint64
	for i := range handed {
		handed[i] = make(chan uint64, window)
	}
	var started atomic.Uint32 // every number below has started, as far as alone ones need
	deliver := func(o uint64) {
		n := uint32(o)
		if n != want {
			t.Errorf("delivered %d, want %d", n, want)
		}
		want++
		if n%17 == 0 && started.Load() != n-first.Uint32() {
			t.Errorf("%d is alone, and %d have started", n, started.Load())
		}
		s.Hand()
		handed[n%producers] <- o
	}
	var wg sync.WaitGroup
	for p := range producers {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(p), 1))
			produce(s, r, &next, total, deliver, func() bool {
				select {
				case <-handed[p]:
					started.Add(1)
					s.Credit()
					round(s, s.Started(), deliver)
					return true
				default:
					return false
				}
			}, &started)
		})
	}
	wg.Wait()
	if want != first.Add(total).Uint32() {
		t.Errorf("delivered up to %d, want %d", want, first.Add(total).Uint32())
	}
}

// produce offers numbers as they come, in runs, and starts what is handed to it.
func produce(s *Sequencer, r *rand.Rand, next *atomic.Uint32, total uint32, deliver func(uint64), start func() bool, started *atomic.Uint32) {
	first := serial.Cmd(0xffffffff - 1000)
	for started.Load() < total {
		for range r.IntN(4) {
			i := next.Load()
			n := first.Add(i)
			if i >= total || !n.In(s.Expected(), s.Last()) || !next.CompareAndSwap(i, i+1) {
				break
			}
			offered := s.Offer(n, uint64(n.Uint32()), n.Uint32()%17 != 0)
			if !offered || r.IntN(8) == 0 && s.Offer(n, 0, true) {
				panic("a number was lost or came twice")
			}
		}
		round(s, s.Knock(), deliver)
		if !start() {
			runtime.Gosched()
		}
	}
}
