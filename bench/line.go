package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"

	"lunar/bench/echo"
	"lunar/initiator"
)

// port is what a job needs of a session. A line to the echo is one too, so that the
// very same generator measures targets and the floor.
type port interface {
	Submit(*initiator.Request) error
	Flush()
	Close() error
	Logout(context.Context) error
}

// logicalBytes is the block in which a line reads addresses of CDBs.
const logicalBytes = 512

// lineBytes is how much one read of the socket may return, directBytes the least
// rest of a reply's data that is read straight into its place: as in a session.
const (
	lineBytes   = 256 << 10
	directBytes = 16 << 10
)

// errLineClosed ends the requests of a line that was closed.
var errLineClosed = errors.New("bench: the connection to the echo was closed")

// line is a connection to the echo, built like a session of the initiator: one
// goroutine reads and calls Done, what Done submits leaves in one write, and what
// the socket does not take is left to a second goroutine.
type line struct {
	nc   net.Conn
	raw  syscall.RawConn
	dead chan struct{}

	mu       sync.Mutex
	err      error
	requests []*initiator.Request // by tag, nil when free
	free     []uint32
	queue    []byte
	// writing says that somebody owns flight[at:], the bytes on their way out.
	writing bool
	flight  []byte
	at      int
	wrote   int
	errno   error
	try     func(fd uintptr) bool // write, bound once
	kick    chan struct{}

	// Of the reader: the header being collected, and the place of the data that
	// follows it.
	head [echo.HeaderBytes]byte
	got  int
	tag  uint32
	into []byte
	buf  []byte
}

// dialLine connects to the echo at addr for depth requests at a time.
func dialLine(ctx context.Context, addr string, depth int) (*line, error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("bench: connect to the echo: %w", err)
	}
	raw, err := nc.(*net.TCPConn).SyscallConn()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("bench: connection to the echo: %w", err), nc.Close())
	}
	l := &line{
		nc: nc, raw: raw, dead: make(chan struct{}), requests: make([]*initiator.Request, depth),
		kick: make(chan struct{}, 1), buf: make([]byte, lineBytes),
	}
	for i := range depth {
		l.free = append(l.free, uint32(depth-1-i))
	}
	l.try = l.write
	go l.read()
	go l.writeRest()
	return l, nil
}

// Submit starts a request: a read of len(In) bytes or a write of Out, at the block
// address of a 16 byte CDB, else a question without data.
func (l *line) Submit(r *initiator.Request) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return l.err
	}
	if len(l.free) == 0 {
		return initiator.ErrFull
	}
	r.Result, r.Err = initiator.Result{}, nil
	h := echo.Header{Op: echo.Read, Tag: l.free[len(l.free)-1], Length: uint32(len(r.In))}
	l.free = l.free[:len(l.free)-1]
	l.requests[h.Tag] = r
	if len(r.CDB) == 16 {
		h.Offset = binary.BigEndian.Uint64(r.CDB[2:]) * logicalBytes
	}
	if len(r.Out) > 0 {
		h.Op, h.Length = echo.Write, uint32(len(r.Out))
	}
	var head [echo.HeaderBytes]byte
	h.Put(head[:])
	l.queue = append(append(l.queue, head[:]...), r.Out...)
	return nil
}

// Close ends the connection and waits until its requests have ended too.
func (l *line) Close() error {
	l.fail(errLineClosed)
	<-l.dead
	return nil
}

// Logout closes: the echo knows no farewell.
func (l *line) Logout(context.Context) error { return l.Close() }

func (l *line) fail(err error) {
	l.mu.Lock()
	first := l.err == nil
	if first {
		l.err = err
	}
	l.mu.Unlock()
	if first {
		_ = l.nc.Close() // wakes the reader and the writer
	}
}

// read is the reader goroutine.
func (l *line) read() {
	for {
		if err := l.receive(); err != nil {
			l.fail(fmt.Errorf("bench: connection to the echo: %w", err))
			break
		}
	}
	for tag := range l.requests {
		l.mu.Lock()
		r, err := l.requests[tag], l.err
		l.mu.Unlock()
		if r != nil {
			r.Err = err
			l.end(uint32(tag))
		}
	}
	close(l.dead)
}

// receive takes one read of the socket through the line.
func (l *line) receive() error {
	p := l.buf
	if len(l.into) >= directBytes {
		p = l.into
	}
	n, err := l.nc.Read(p)
	if n == 0 {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	if len(l.into) >= directBytes {
		l.placed(n)
	} else if err := l.consume(p[:n]); err != nil {
		return err
	}
	l.Flush()
	return nil
}
