package drive

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"lunar/internal/buf"
	"lunar/reactor"
	"lunar/reactor/rings"
)

// Receive buffers: few, so that they stay in the processor's cache, and large, so
// that a turn needs one reception of a connection.
const (
	recvBytes = 64 << 10
	// spareBuffers are those that wait to be given back while others are filled.
	spareBuffers = 2
	mostBuffers  = 64
	// maxLinks bounds the links of a loop.
	maxLinks = 1 << 16
)

// ErrStopped is what links of a loop that was stopped end with.
var ErrStopped = errors.New("drive: the loop was stopped")

// Config is one loop.
type Config struct {
	// Ring is "auto", "uring" or "epoll", empty for auto; Poll is how the loop waits.
	Ring string
	Poll reactor.PollMode
	// Links is about how many connections there will be, which sizes the receive
	// buffers; 0 is one.
	Links int
}

// Loop moves the bytes of its links on a thread of its own.
type Loop struct {
	loop  *reactor.Loop
	ring  string
	meter meter
	mail  mailbox
	recv  []byte

	// Of the loop's goroutine.
	links []*Link // by index, nil when free
	free  []uint32
	dirty []*Link
	// live links have not ended; closing descriptors are being given back.
	live, closing int
	alarms        []*Alarm
	stopping      bool

	done chan struct{}
	err  error // before done is closed
}

// Start starts a loop. Its thread runs where the calling thread may.
func Start(cfg Config) (*Loop, error) {
	l := &Loop{done: make(chan struct{})}
	l.meter.start = time.Now()
	started := make(chan error, 1)
	go l.run(cfg, started)
	if err := <-started; err != nil {
		<-l.done
		return nil, err
	}
	return l, nil
}

// Ring is "uring" or "epoll".
func (l *Loop) Ring() string { return l.ring }

// Clock is the time since the loop was started; any goroutine may ask.
func (l *Loop) Clock() time.Duration { return time.Since(l.meter.start) }

// Now is Clock as it was when this turn's completions had been received. It is for
// the loop's goroutine: what runs inside a Client, an Alarm or a Call.
func (l *Loop) Now() time.Duration { return time.Duration(l.loop.Now()) }

// Busy is how long the loop has worked rather than looked for work in vain, of the
// loop's goroutine too. A turn that could sleep counts as none.
func (l *Loop) Busy() time.Duration { return time.Duration(l.meter.busy) }

// Call runs do on the loop's goroutine and waits until it has. It must not be called
// there. An error says that the loop has ended and do was not run.
func (l *Loop) Call(do func()) error {
	ran := make(chan struct{})
	if !l.post(message{kind: call, do: func() { do(); close(ran) }}) {
		return l.Err()
	}
	select {
	case <-ran:
		return nil
	case <-l.done:
		select {
		case <-ran:
			return nil
		default:
			return l.Err()
		}
	}
}

// Done is closed when the loop has ended and every client knows.
func (l *Loop) Done() <-chan struct{} { return l.done }

// Err waits until the loop has ended and says why: ErrStopped when it was told to.
func (l *Loop) Err() error {
	<-l.done
	if l.err != nil {
		return l.err
	}
	return ErrStopped
}

// Stop ends all links, waits until their clients know, and ends the loop. It must
// not be called on the loop's goroutine.
func (l *Loop) Stop() error {
	l.post(message{kind: stop})
	<-l.done
	return l.err
}

// run is the loop's goroutine. The thread ends with it.
func (l *Loop) run(cfg Config, started chan<- error) {
	defer close(l.done)
	runtime.LockOSThread()
	err := l.open(cfg)
	started <- err
	if err != nil {
		return
	}
	err = l.serve()
	l.finish(err)
}

// open makes the receive buffers, the ring and the loop.
func (l *Loop) open(cfg Config) error {
	buffers := min(max(cfg.Links, 1)+spareBuffers, mostBuffers)
	recv, err := buf.Alloc(buffers * recvBytes)
	if err != nil {
		return fmt.Errorf("drive: receive buffers: %w", err)
	}
	name := cfg.Ring
	if name == "" {
		name = "auto"
	}
	ring, _, err := rings.New(name, recv, recvBytes)
	if err != nil {
		return errors.Join(fmt.Errorf("drive: %w", err), buf.Free(recv))
	}
	l.ring, l.recv = ring.Name(), recv
	l.loop, err = reactor.NewLoop(reactor.Config{
		Ring: metered{Ring: ring, m: &l.meter}, Poll: cfg.Poll, RecvBytes: recvBytes, RecvBuffers: recv,
		Mailbox: &l.mail, Clock: l.meter.clock,
	})
	if err != nil {
		return errors.Join(err, ring.Close(), buf.Free(recv))
	}
	return nil
}

// finish ends what is left when the turns have, in order or with err.
func (l *Loop) finish(err error) {
	late := l.mail.close()
	cerr := l.loop.Close()
	l.err = errors.Join(err, cerr)
	why := err
	if why == nil {
		why = ErrStopped
	}
	for _, k := range l.links {
		if k != nil {
			k.fail(why)
			k.client.Ended(k.err)
			l.err = errors.Join(l.err, closeFD(k.fd))
		}
	}
	for _, m := range late {
		if m.kind == begin {
			l.refuse(m.link)
		}
	}
	// Memory goes only when the kernel has let go of it.
	if cerr == nil {
		l.err = errors.Join(l.err, buf.Free(l.recv))
	}
}

// refuse ends a link that came too late.
func (l *Loop) refuse(k *Link) {
	_ = closeFD(k.fd) // the client hears of the loop's end
	k.client.Ended(ErrStopped)
}
