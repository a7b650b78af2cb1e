package uring

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"lunar/reactor"
	"lunar/reactor/ringtest"
)

// small makes every queue overflow: 8 entries, 64 completions.
const small = 8

// variants are kernels that we can be on: this one, and older ones that this
// one is made to look like.
var variants = []struct {
	name    string
	sets    []uint32
	allowed Features
}{
	{"all", ladder, Features{BufferRing: true, Extended: true}},
	{"cooperative", ladder[2:], Features{BufferRing: true, Extended: true}},
	{"plain", ladder[4:], Features{BufferRing: true, Extended: true}},
	{"ownBuffers", ladder, Features{Extended: true}},
	{"old", ladder[4:], Features{}},
}

func TestRing(t *testing.T) {
	needRing(t)
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			ringtest.Run(t, func(t testing.TB, recv []byte, recvBytes int) ringtest.World {
				return ringtest.NewKernel(t, func() (reactor.Ring, error) {
					return newRing(Config{Entries: small, RecvBuffers: recv, RecvBytes: recvBytes}, v.sets, v.allowed)
				})
			})
		})
	}
}

// needRing skips where the kernel refuses io_uring, and only there.
func needRing(t testing.TB) Features {
	t.Helper()
	features, err := Probe()
	if errors.Is(err, ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return features
}

func TestExplain_NamesTheCauseAndTheRemedy(t *testing.T) {
	for errno, cause := range map[error]string{
		unix.ENOSYS: "seccomp", unix.EPERM: "kernel.io_uring_disabled", unix.EACCES: "security module", unix.EINVAL: "set-up",
	} {
		err := explain(errno)
		if !errors.Is(err, ErrUnavailable) || !errors.Is(err, errno) ||
			!strings.Contains(err.Error(), cause) || !strings.Contains(err.Error(), "epoll") {
			t.Errorf("%v: %v", errno, err)
		}
	}
	if err := explain(unix.EMFILE); errors.Is(err, ErrUnavailable) {
		t.Errorf("a lack of descriptors is taken for a lack of io_uring: %v", err)
	}
}

// TestOpen_StepsDown has the ladder begin with a flag that no kernel knows.
func TestOpen_StepsDown(t *testing.T) {
	needRing(t)
	fd, p, err := open(8, []uint32{1 << 31, 0})
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if p.Flags&(1<<31) != 0 || p.CQEntries != 8*completionsPerSubmission {
		t.Errorf("made with %#x and %d completions", p.Flags, p.CQEntries)
	}
	if _, _, err := open(8, []uint32{1 << 31}); !errors.Is(err, ErrUnavailable) {
		t.Errorf("without a step that carries: %v", err)
	}
}

func TestNew_RefusesHalfABuffer(t *testing.T) {
	if _, err := New(Config{RecvBuffers: make([]byte, 15), RecvBytes: 10}); err == nil {
		t.Error("made a ring")
	}
	if _, err := New(Config{RecvBuffers: make([]byte, mostBuffers+1), RecvBytes: 1}); err == nil {
		t.Error("made a ring with too many buffers")
	}
}

func BenchmarkEcho(b *testing.B) {
	needRing(b)
	ringtest.BenchmarkEcho(b, func(recv []byte, recvBytes int) (reactor.Ring, error) {
		return New(Config{RecvBuffers: recv, RecvBytes: recvBytes})
	})
}
