package drive

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"lunar/reactor"
	"lunar/reactor/rings"
)

// each runs do on every ring that this machine has.
func each(t *testing.T, do func(t *testing.T, l *Loop)) {
	for _, ring := range rings.Available() {
		t.Run(ring, func(t *testing.T) {
			l, err := Start(Config{Ring: ring, Poll: reactor.Auto})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := l.Stop(); err != nil {
					t.Error(err)
				}
			})
			if l.Ring() != ring {
				t.Errorf("runs on %s", l.Ring())
			}
			do(t, l)
		})
	}
}

// collector gathers what comes; the first small bytes through Take, the rest, as
// large as it is, straight into its place.
type collector struct {
	want, small int
	got         []byte
	direct      int
	queue       Outbox
	full        chan struct{}
	ended       chan error
}

func newCollector(want, small int) *collector {
	return &collector{
		want: want, small: small, got: make([]byte, 0, want),
		full: make(chan struct{}), ended: make(chan error, 2),
	}
}

func (c *collector) Take(p []byte) error {
	if len(c.got)+len(p) > c.want {
		return errors.New("more than was wanted")
	}
	c.got = append(c.got, p...)
	return c.check()
}

func (c *collector) Room() []byte {
	if len(c.got) < c.small || len(c.got) == c.want {
		return nil
	}
	return c.got[len(c.got):c.want]
}

func (c *collector) Placed(n int) error {
	c.direct += n
	c.got = c.got[:len(c.got)+n]
	return c.check()
}

func (c *collector) check() error {
	if len(c.got) == c.want {
		close(c.full)
	}
	return nil
}

func (c *collector) Queued(spent Queue) Queue { return c.queue.Swap(spent) }

func (c *collector) Sent() { c.queue.Sent() }

func (c *collector) Ended(err error) {
	c.queue.Abandon()
	c.ended <- err
}

// connect is a link and the other end of its connection.
func connect(t *testing.T, l *Loop, c Client) (*Link, net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	near, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = far.Close() })
	if err := far.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	fd, err := Detach(near)
	if err != nil {
		t.Fatal(err)
	}
	return l.Link(fd, c), far
}

func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i>>8 ^ i*7)
	}
	return b
}

// Bytes arrive in order, whichever way they come, and with those that were received
// before in front.
func TestLoop_Receives_BothWays(t *testing.T) {
	each(t, func(t *testing.T, l *Loop) {
		for _, chunk := range []int{1000, 70000, 1 << 20} {
			want := pattern(1 << 20)
			c := newCollector(len(want), 100<<10)
			k, far := connect(t, l, c)
			k.Start(want[:10])
			for p := want[10:]; len(p) > 0; p = p[min(chunk, len(p)):] {
				if _, err := far.Write(p[:min(chunk, len(p))]); err != nil {
					t.Fatal(err)
				}
			}
			<-c.full
			if err := l.Call(func() {}); err != nil { // what the loop wrote is ours to read
				t.Fatal(err)
			}
			if !bytes.Equal(c.got, want) || c.direct < len(want)/2 {
				t.Errorf("chunks of %d: %d bytes, %d of them direct, are not what was sent", chunk, len(c.got), c.direct)
			}
		}
	})
}

// What is queued while a send is under way follows it, also to a peer that reads
// slowly, and nothing is sent twice.
func TestLoop_Sends_InOrder(t *testing.T) {
	each(t, func(t *testing.T, l *Loop) {
		c := newCollector(1, 1)
		k, far := connect(t, l, c)
		k.Start(nil)
		want := pattern(8 << 20) // more than a socket buffers
		go func() {
			for p := want; len(p) > 0; {
				n := min(len(p), 300<<10)
				if l.Call(func() { c.queue.Own = append(c.queue.Own, p[:n]...) }) != nil {
					return
				}
				k.Flush()
				p = p[n:]
			}
		}()
		got := make([]byte, len(want))
		for n := 0; n < len(got); n += 64 << 10 {
			if _, err := io.ReadFull(far, got[n:n+64<<10]); err != nil {
				t.Fatal(err)
			}
			if n%(1<<20) == 0 {
				time.Sleep(time.Millisecond)
			}
		}
		if !bytes.Equal(got, want) {
			t.Error("something else arrived")
		}
	})
}

// However a link ends, its client hears of it once, with the reason, and its
// descriptor is closed.
func TestLink_Ends_Once(t *testing.T) {
	mine := errors.New("mine")
	for name, c := range map[string]struct {
		end  func(k *Link, far net.Conn)
		want error
	}{
		"hang up":     {func(k *Link, _ net.Conn) { k.HangUp(mine); k.HangUp(io.ErrNoProgress) }, mine},
		"peer closes": {func(_ *Link, far net.Conn) { _ = far.Close() }, io.EOF},
		"half of what is wanted": {func(_ *Link, far net.Conn) {
			_, _ = far.Write(make([]byte, 1000))
			_ = far.Close()
		}, io.EOF},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, l *Loop) {
				before := descriptors(t)
				for range 20 {
					x := newCollector(1<<20, 500)
					k, far := connect(t, l, x)
					k.Start(nil)
					c.end(k, far)
					if err := <-x.ended; !errors.Is(err, c.want) {
						t.Fatalf("ended with %v", err)
					}
					_ = far.Close()
					k.Flush()
					k.HangUp(mine) // both too late
				}
				// The last descriptor is closed in the turn after Ended.
				for end := time.Now().Add(5 * time.Second); descriptors(t) > before && time.Now().Before(end); {
					_ = l.Call(func() {})
				}
				if n := descriptors(t); n > before {
					t.Errorf("%d descriptors are open, %d were", n, before)
				}
			})
		})
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// A client's own error ends its link and no other.
func TestLink_ClientRefuses_OnlyItEnds(t *testing.T) {
	each(t, func(t *testing.T, l *Loop) {
		bad, good := newCollector(1, 1), newCollector(5, 5)
		kb, farBad := connect(t, l, bad)
		kg, farGood := connect(t, l, good)
		kb.Start(nil)
		kg.Start(nil)
		_, _ = farBad.Write([]byte("much too much"))
		if err := <-bad.ended; err == nil || !strings.Contains(err.Error(), "more than was wanted") {
			t.Errorf("ended with %v", err)
		}
		if _, err := farGood.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		<-good.full
	})
}

// Stop ends what is under way, a send that nobody reads included; later users are
// told.
func TestLoop_Stop_EndsEverything(t *testing.T) {
	each(t, func(t *testing.T, l *Loop) {
		c := newCollector(1<<20, 0)
		k, _ := connect(t, l, c)
		c.queue.Own = make([]byte, 32<<20)
		k.Start(nil)
		k.Flush()
		if err := l.Call(func() {}); err != nil {
			t.Fatal(err)
		}
		if err := l.Stop(); err != nil {
			t.Fatal(err)
		}
		if err := <-c.ended; !errors.Is(err, ErrStopped) {
			t.Errorf("ended with %v", err)
		}
		late := newCollector(1, 1)
		kl, _ := connect(t, l, late)
		kl.Start(nil)
		if err := <-late.ended; !errors.Is(err, ErrStopped) {
			t.Errorf("a late link ended with %v", err)
		}
		if err := l.Call(func() { t.Error("ran") }); !errors.Is(err, ErrStopped) {
			t.Errorf("a late call: %v", err)
		}
	})
}

// Alarms ring at their time, not before, and wake a sleeping loop.
func TestAlarm_RingsInTime(t *testing.T) {
	each(t, func(t *testing.T, l *Loop) {
		rang := make(chan time.Duration, 3)
		var at time.Duration
		err := l.Call(func() {
			left := 3
			var a *Alarm
			a = l.Alarm(func() {
				rang <- l.Now() - at
				if left--; left > 0 {
					at = l.Now() + 3*time.Millisecond
					a.Set(at)
				}
			})
			at = l.Now() + 3*time.Millisecond
			a.Set(at)
			a.Set(at + time.Hour) // it is set already
		})
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if late := <-rang; late < 0 || late > 5*time.Second {
				t.Errorf("rang %v late", late)
			}
		}
	})
}

// A polling loop is busy while it works and not while it looks in vain.
func TestLoop_Busy_TellsWorkFromPolling(t *testing.T) {
	l, err := Start(Config{Poll: reactor.Spin})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Stop(); err != nil {
			t.Error(err)
		}
	}()
	share := func(do func()) float64 {
		var busy, at time.Duration
		read := func() { busy, at = l.Busy()-busy, l.Now()-at }
		_ = l.Call(read)
		do()
		_ = l.Call(read)
		return busy.Seconds() / at.Seconds()
	}
	if s := share(func() { time.Sleep(50 * time.Millisecond) }); s > 0.3 {
		t.Errorf("busy %.2f of the time without links", s)
	}
	c := newCollector(1<<30, 1<<30)
	c.got = nil
	k, far := connect(t, l, c)
	k.Start(nil)
	some := make([]byte, 1<<20)
	if s := share(func() {
		for range 50 {
			if _, err := far.Write(some); err != nil {
				t.Fatal(err)
			}
		}
	}); s < 0.1 {
		t.Errorf("busy %.2f of the time while receiving", s)
	}
}

func TestStart_WrongRing_Refused(t *testing.T) {
	if l, err := Start(Config{Ring: "iocp"}); err == nil || !strings.Contains(err.Error(), "use auto, uring or epoll") {
		t.Errorf("%v, %v", l, err)
	}
}
