package fake

import (
	"bytes"
	"syscall"
	"testing"
	"time"

	"lunar/reactor"
	"lunar/reactor/ringtest"
)

// world is the ring as the shared suite sees it.
type world struct{ ring *Ring }

func (w world) Ring() reactor.Ring                              { return w.ring }
func (w world) Clock() func() int64                             { return w.ring.Clock() }
func (w world) Listen(testing.TB) int32                         { return w.ring.Listen() }
func (w world) Dial(_ testing.TB, listener int32) ringtest.Peer { return peer{w.ring.Dial(listener)} }
func (w world) Content(_ testing.TB, fd int32) []byte           { return w.ring.FileBytes(fd) }

func (w world) Shrink(testing.TB, int32) {
	w.ring.SendLimit = func(int) int { return 5000 }
}

func (w world) File(_ testing.TB, content []byte) int32 {
	fd := w.ring.OpenFile(int64(len(content)))
	copy(w.ring.FileBytes(fd), content)
	return fd
}

func (w world) CloseFD(t testing.TB, fd int32) {
	t.Helper()
	if !w.ring.CloseFD(fd) {
		t.Errorf("descriptor %d was not open", fd)
	}
}

func (w world) CheckClosed(t testing.TB) {
	t.Helper()
	if n := w.ring.OpenFDs(); n != 0 {
		t.Errorf("%d descriptors are open", n)
	}
}

type peer struct{ *Peer }

func (p peer) Write(_ testing.TB, b []byte) { p.Peer.Write(b) }

func TestRing(t *testing.T) {
	ringtest.Run(t, func(_ testing.TB, recv []byte, recvBytes int) ringtest.World {
		return world{NewWithBuffers(recv, recvBytes)}
	})
}

func newLoop(t *testing.T, ring *Ring, poll reactor.PollMode) *reactor.Loop {
	t.Helper()
	l, err := reactor.NewLoop(reactor.Config{
		Ring: ring, Poll: poll, Clock: ring.Clock(), RecvBuffers: ring.RecvBuffers(), RecvBytes: ring.RecvBytes(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func turn(t *testing.T, l *reactor.Loop) []reactor.Completion {
	t.Helper()
	done, err := l.Turn()
	if err != nil {
		t.Fatal(err)
	}
	return done
}

func TestRing_Chunk_CutsWhatArrives(t *testing.T) {
	ring := New()
	ring.Chunk = func(max int) int { return 3 }
	l := newLoop(t, ring, reactor.Sleep)
	listener := ring.Listen()
	p := ring.Dial(listener)
	l.Submit(reactor.Op{Token: 1, Code: reactor.Accept, FD: listener})
	fd := turn(t, l)[0].Result
	p.Write([]byte("eleven byte"))
	sizes, want := []int{}, []int{3, 3, 3, 2}
	var got []byte
	for range want {
		l.Submit(reactor.Op{Token: 2, Code: reactor.Recv, FD: fd})
		c := turn(t, l)[0]
		sizes, got = append(sizes, int(c.Result)), append(got, l.Received(c)...)
		l.Recycle(c.Buffer)
	}
	for i := range want {
		if sizes[i] != want[i] {
			t.Errorf("pieces %v, want %v", sizes, want)
		}
	}
	if string(got) != "eleven byte" {
		t.Errorf("received %q", got)
	}
}

func TestRing_Delay_CancelledReadStillWrites(t *testing.T) {
	ring := New()
	ring.Delay = func(op reactor.Op) int64 { return int64(time.Second) }
	l := newLoop(t, ring, reactor.Sleep)
	fd := ring.OpenFile(16)
	copy(ring.FileBytes(fd), "content")
	data := make([]byte, 7)
	l.Submit(reactor.Op{Token: 1, Code: reactor.Read, FD: fd, Data: data})
	l.Submit(reactor.Op{Token: 2, Code: reactor.Cancel, Target: 1})
	if done := turn(t, l); len(done) != 1 || done[0].Token != 2 || data[0] != 0 {
		t.Fatalf("at once: %v, %q", done, data)
	}
	done := turn(t, l)
	if len(done) != 1 || done[0].Result != 7 || string(data) != "content" || l.Now() != int64(time.Second) {
		t.Errorf("later: %v, %q at %d", done, data, l.Now())
	}
}

func TestRing_Delay_SleepEndsAtWhatComesFirst(t *testing.T) {
	ring := New()
	delay := int64(0)
	ring.Delay = func(reactor.Op) int64 { delay += 100; return 1000 - delay }
	l := newLoop(t, ring, reactor.Sleep)
	fd := ring.OpenFile(16)
	l.Submit(reactor.Op{Token: 1, Code: reactor.Sync, FD: fd}) // at 900
	l.Submit(reactor.Op{Token: 2, Code: reactor.Sync, FD: fd}) // at 800
	l.Arm(3, 850)
	for i, want := range []reactor.Token{2, 3, 1} {
		if done := turn(t, l); len(done) != 1 || done[0].Token != want {
			t.Errorf("turn %d: %v at %d, want %d", i, done, l.Now(), want)
		}
	}
	if done := turn(t, l); len(done) != 0 || l.Now() != 900 {
		t.Errorf("with nothing to come: %v at %d", done, l.Now())
	}
}

func TestRing_Auto_ReachesItsSleep(t *testing.T) {
	ring := New()
	l := newLoop(t, ring, reactor.Auto)
	l.Arm(1, int64(time.Hour))
	if done := turn(t, l); len(done) != 1 || l.Now() != int64(time.Hour) {
		t.Errorf("%v at %d", done, l.Now())
	}
}

func TestRing_FailNext(t *testing.T) {
	ring := New()
	l := newLoop(t, ring, reactor.Sleep)
	fd := ring.OpenFile(16)
	data := []byte("write")
	ring.FailNext(reactor.Write, int(syscall.ENOSPC))
	ring.FailNext(reactor.Write, int(syscall.EIO))
	for _, want := range []int32{-int32(syscall.ENOSPC), -int32(syscall.EIO), 5} {
		l.Submit(reactor.Op{Token: 1, Code: reactor.Sync, FD: fd})
		l.Submit(reactor.Op{Token: 2, Code: reactor.Write, FD: fd, Data: data})
		for _, c := range turn(t, l) {
			if c.Token == 1 && c.Result != 0 || c.Token == 2 && c.Result != want {
				t.Errorf("%+v, want %d", c, want)
			}
		}
	}
	if !bytes.HasPrefix(ring.FileBytes(fd), data) {
		t.Error("the write that did not fail is not there")
	}
}

func TestRing_Advance(t *testing.T) {
	ring := New()
	l := newLoop(t, ring, reactor.Sleep)
	l.Arm(1, 500)
	l.Arm(2, 400)
	ring.Advance(1000)
	if done := turn(t, l); len(done) != 2 || done[0].Token != 2 || l.Now() != 1000+idlePollNanos {
		t.Errorf("%v at %d", done, l.Now())
	}
}

func TestPeer_SeesTheEnd(t *testing.T) {
	ring := New()
	l := newLoop(t, ring, reactor.Sleep)
	listener := ring.Listen()
	accepted, waiting := ring.Dial(listener), (*Peer)(nil)
	l.Submit(reactor.Op{Token: 1, Code: reactor.Accept, FD: listener})
	fd := turn(t, l)[0].Result
	waiting = ring.Dial(listener)
	l.Submit(reactor.Op{Token: 2, Code: reactor.Close, FD: listener})
	l.Submit(reactor.Op{Token: 3, Code: reactor.Close, FD: fd})
	turn(t, l)
	if !accepted.Ended() || !waiting.Ended() || ring.Dial(listener) != nil {
		t.Error("a peer of a closed socket does not see it")
	}
}

func TestPeer_CloseWrite_LeavesTheOtherWay(t *testing.T) {
	ring := New()
	l := newLoop(t, ring, reactor.Sleep)
	listener := ring.Listen()
	p := ring.Dial(listener)
	l.Submit(reactor.Op{Token: 1, Code: reactor.Accept, FD: listener})
	fd := turn(t, l)[0].Result
	p.CloseWrite()
	l.Submit(reactor.Op{Token: 2, Code: reactor.Recv, FD: fd})
	if c := turn(t, l)[0]; c.Result != 0 {
		t.Errorf("got %+v, want the end of the stream", c)
	}
	l.Submit(reactor.Op{Token: 3, Code: reactor.Send, FD: fd})
	if c := turn(t, l)[0]; c.Result != 0 {
		t.Errorf("got %+v, want an empty send", c)
	}
}
