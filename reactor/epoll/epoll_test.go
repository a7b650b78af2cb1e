package epoll

import (
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"lunar/reactor"
	"lunar/reactor/ringtest"
)

func TestRing(t *testing.T) {
	ringtest.Run(t, func(t testing.TB, recv []byte, recvBytes int) ringtest.World {
		return ringtest.NewKernel(t, func() (reactor.Ring, error) {
			return New(Config{RecvBuffers: recv, RecvBytes: recvBytes})
		})
	})
}

func TestRing_CoarseClock(t *testing.T) {
	ringtest.Run(t, func(t testing.TB, recv []byte, recvBytes int) ringtest.World {
		return ringtest.NewKernel(t, func() (reactor.Ring, error) {
			r, err := New(Config{RecvBuffers: recv, RecvBytes: recvBytes, Workers: 1})
			if err == nil {
				r.coarse = true
			}
			return r, err
		})
	})
}

func TestMessage_MatchesTheKernel(t *testing.T) {
	if unsafe.Sizeof(message{}) != unsafe.Sizeof(unix.Msghdr{}) || unsafe.Offsetof(message{}.iov) != unsafe.Offsetof(unix.Msghdr{}.Iov) {
		t.Errorf("a message header of %d bytes, want %d", unsafe.Sizeof(message{}), unsafe.Sizeof(unix.Msghdr{}))
	}
}

func TestNew_RefusesHalfABuffer(t *testing.T) {
	if _, err := New(Config{RecvBuffers: make([]byte, 15), RecvBytes: 10}); err == nil {
		t.Error("made a ring")
	}
}

// TestRing_SecondReception_IsBusy pins the one limit this ring has of its own.
func TestRing_SecondReception_IsBusy(t *testing.T) {
	r, err := New(Config{RecvBuffers: make([]byte, 16), RecvBytes: 16})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[1])
	fd := int32(pair[0])
	turn := reactor.Turn{
		Ops:         []reactor.Op{{Token: 1, Code: reactor.Recv, FD: fd}, {Token: 2, Code: reactor.Recv, FD: fd}, {Token: 3, Code: reactor.Close, FD: fd}},
		Completions: make([]reactor.Completion, 0, 8),
	}
	if err := r.Turn(&turn); err != nil {
		t.Fatal(err)
	}
	want := []int32{-int32(unix.EBUSY), -int32(unix.ECANCELED), 0}
	for i, c := range turn.Completions {
		if len(turn.Completions) != len(want) || c.Result != want[i] {
			t.Fatalf("got %+v, want %d", turn.Completions, want)
		}
	}
}

func BenchmarkEcho(b *testing.B) {
	ringtest.BenchmarkEcho(b, func(recv []byte, recvBytes int) (reactor.Ring, error) {
		return New(Config{RecvBuffers: recv, RecvBytes: recvBytes})
	})
}
