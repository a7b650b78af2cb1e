package ringtest

import (
	"runtime"
	"testing"
	"time"

	"lunar/internal/buf"
	"lunar/reactor"
)

// World is a ring and what lies around it.
type World interface {
	// Ring is under test; Clock belongs to it, nil for the machine's.
	Ring() reactor.Ring
	Clock() func() int64
	// Listen opens a listening socket, Dial connects to it.
	Listen(t testing.TB) (fd int32)
	Dial(t testing.TB, listener int32) Peer
	// Shrink makes the socket take little at a time.
	Shrink(t testing.TB, fd int32)
	// File opens a file with content for reading and writing; Content reads it.
	File(t testing.TB, content []byte) (fd int32)
	Content(t testing.TB, fd int32) []byte
	// CloseFD closes a descriptor without the ring.
	CloseFD(t testing.TB, fd int32)
	// CheckClosed is called when the ring is closed and every descriptor given
	// back: nothing may be open that was not open before, and what was listened
	// on is free.
	CheckClosed(t testing.TB)
}

// Peer is the other end of a connection.
type Peer interface {
	// Write sends p, a few kilobytes at most.
	Write(t testing.TB, p []byte)
	// Read is everything received so far. A peer that was never asked reads nothing.
	Read() []byte
	// Close ends the stream; Reset aborts it.
	Close()
	Reset()
}

// Receive memory of every case.
const (
	recvBytes   = 4096
	recvBuffers = 8
)

// patience bounds every wait of the suite.
const patience = 5 * time.Second

// New makes the world of one case, on the goroutine that uses it.
type New func(t testing.TB, recv []byte, recvBytes int) World

// Run puts the rings that make builds through every case.
func Run(t *testing.T, make New) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			// A ring belongs to the thread that made it.
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			for range max(c.times, 1) {
				c.run(newRig(t, make))
			}
		})
	}
}

type testCase struct {
	name string
	run  func(*rig)
	// times is how often it runs, each time on a new ring; 0 is once.
	times int
}

var cases = append(append(append(socketCases, fileCases...), limitCases...), sleepCases...)

// rig is one case: a world, its loop, and the completions not yet asked for.
type rig struct {
	testing.TB
	World
	loop   *reactor.Loop
	done   map[reactor.Token][]reactor.Completion
	tokens uint32
}

func newRig(t testing.TB, make New) *rig {
	recv := memory(t, recvBytes*recvBuffers)
	w := make(t, recv, recvBytes)
	loop, err := reactor.NewLoop(reactor.Config{
		Ring: w.Ring(), Poll: reactor.Sleep, RecvBytes: recvBytes, RecvBuffers: recv, Clock: w.Clock(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return &rig{TB: t, World: w, loop: loop, done: map[reactor.Token][]reactor.Completion{}}
}

// memory is n bytes off the heap.
func memory(t testing.TB, n int) []byte {
	b, err := buf.Alloc(n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := buf.Free(b); err != nil {
			t.Error(err)
		}
	})
	return b
}

// token is one that this case has not used.
func (r *rig) token() reactor.Token {
	r.tokens++
	return reactor.NewToken(1, r.tokens, r.tokens)
}

// submit submits op under a new token.
func (r *rig) submit(op reactor.Op) reactor.Token {
	op.Token = r.token()
	r.loop.Submit(op)
	return op.Token
}

// do submits op and waits for its only completion.
func (r *rig) do(op reactor.Op) reactor.Completion {
	r.Helper()
	return r.last(r.submit(op))
}

// until turns the loop until enough holds.
func (r *rig) until(what string, enough func() bool) {
	r.Helper()
	watch, deadline := r.token(), time.Now().Add(patience)
	if r.Clock() == nil {
		// With virtual time nobody sleeps, and this timer would come at once.
		r.loop.Arm(watch, r.loop.Now()+patience.Nanoseconds())
	}
	for !enough() {
		if len(r.done[watch]) > 0 || time.Now().After(deadline) {
			r.Fatalf("waited in vain: %s", what)
		}
		r.turn()
	}
}

// outside turns the loop until enough holds, which the loop itself is not told of.
func (r *rig) outside(what string, enough func() bool) {
	r.Helper()
	r.until(what, func() bool {
		r.loop.Arm(0, r.loop.Now()+int64(time.Millisecond))
		return enough()
	})
}

// turn turns the loop once.
func (r *rig) turn() {
	r.Helper()
	done, err := r.loop.Turn()
	if err != nil {
		r.Fatal(err)
	}
	for _, c := range done {
		r.done[c.Token] = append(r.done[c.Token], c)
	}
}

// start hands over what was submitted without waiting for anything.
func (r *rig) start() {
	r.Helper()
	r.loop.Wake()
	r.turn()
}

// next waits for a completion of token.
func (r *rig) next(token reactor.Token) reactor.Completion {
	r.Helper()
	r.until("a completion", func() bool { return len(r.done[token]) > 0 })
	c := r.done[token][0]
	r.done[token] = r.done[token][1:]
	return c
}

// last waits for the only or last completion of token.
func (r *rig) last(token reactor.Token) reactor.Completion {
	r.Helper()
	c := r.next(token)
	if c.More {
		r.Fatalf("completion %+v promises more", c)
	}
	return c
}

// settle turns the loop for a moment in which nothing is expected to happen.
func (r *rig) settle() {
	r.Helper()
	quiet := r.token()
	r.loop.Arm(quiet, r.loop.Now()+int64(10*time.Millisecond))
	r.next(quiet)
}

// connect listens and accepts n connections.
func (r *rig) connect(n int) (listener int32, fds []int32, peers []Peer) {
	r.Helper()
	listener = r.Listen(r)
	accept := r.submit(reactor.Op{Code: reactor.Accept, FD: listener})
	for range n {
		peers = append(peers, r.Dial(r, listener))
		c := r.next(accept)
		if c.Result < 0 || !c.More || c.Buffer != reactor.NoBuffer {
			r.Fatalf("accept: %+v", c)
		}
		fds = append(fds, c.Result)
	}
	return listener, fds, peers
}

// finish closes the loop and every descriptor, and looks for leaks.
func (r *rig) finish(fds ...int32) {
	r.Helper()
	if err := r.loop.Close(); err != nil {
		r.Fatal(err)
	}
	for _, fd := range fds {
		r.CloseFD(r, fd)
	}
	r.CheckClosed(r)
}
