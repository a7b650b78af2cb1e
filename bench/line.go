package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"

	"lunar/bench/echo"
	"lunar/initiator"
	"lunar/initiator/drive"
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

// directBytes is the least rest of a reply's data that is received straight into its
// place, as in a session.
const directBytes = 16 << 10

// errLineClosed ends the requests of a line that was closed.
var errLineClosed = errors.New("bench: the connection to the echo was closed")

// line is a connection to the echo on the generator's loop. It belongs to the loop's
// goroutine; Flush, Close and Logout may be called from elsewhere.
type line struct {
	link *drive.Link
	dead chan struct{}

	err      error
	requests []*initiator.Request // by tag, nil when free
	free     []uint32
	out      drive.Outbox
	// lent is, by tag, when what is sent from the buffer of a request will have left;
	// early are tags of requests that were answered before.
	lent  []drive.Ticket
	early []uint32

	// The header being collected, and the place of the data that follows it.
	head [echo.HeaderBytes]byte
	got  int
	tag  uint32
	into []byte
}

var _ drive.Client = (*line)(nil)

// dialLine connects to the echo at addr for depth requests at a time.
func dialLine(ctx context.Context, loop *drive.Loop, addr string, depth int) (*line, error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("bench: connect to the echo: %w", err)
	}
	fd, err := drive.Detach(nc)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("bench: connection to the echo: %w", err), nc.Close())
	}
	l := &line{dead: make(chan struct{}), requests: make([]*initiator.Request, depth), lent: make([]drive.Ticket, depth)}
	for i := range depth {
		l.free = append(l.free, uint32(depth-1-i))
	}
	l.link = loop.Link(fd, l)
	l.link.Start(nil)
	return l, nil
}

// Submit starts a request: a read of len(In) bytes or a write of Out, at the block
// address of a 16 byte CDB.
func (l *line) Submit(r *initiator.Request) error {
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
	l.out.Own = append(l.out.Own, head[:]...)
	if len(r.Out) >= drive.LendBytes {
		l.lent[h.Tag] = l.out.Lend(r.Out)
	} else {
		l.out.Own = append(l.out.Own, r.Out...)
	}
	return nil
}

// Flush sends what Submit queued; what Done submits needs none.
func (l *line) Flush() { l.link.Flush() }

// Close ends the connection and waits until its requests have ended too.
func (l *line) Close() error {
	l.link.HangUp(errLineClosed)
	<-l.dead
	return nil
}

// Logout closes: the echo knows no farewell.
func (l *line) Logout(context.Context) error { return l.Close() }

// Queued implements drive.Client.
func (l *line) Queued(spent drive.Queue) drive.Queue { return l.out.Swap(spent) }

// Sent implements drive.Client.
func (l *line) Sent() {
	l.out.Sent()
	l.early = slices.DeleteFunc(l.early, func(tag uint32) bool {
		left := l.out.Left(l.lent[tag])
		if left {
			l.end(tag)
		}
		return left
	})
}

// Room implements drive.Client.
func (l *line) Room() []byte {
	if len(l.into) < directBytes {
		return nil
	}
	return l.into
}

// Placed implements drive.Client.
func (l *line) Placed(n int) error {
	if l.into = l.into[n:]; len(l.into) == 0 {
		l.end(l.tag)
	}
	return nil
}

// Take implements drive.Client.
func (l *line) Take(p []byte) error {
	for len(p) > 0 {
		if len(l.into) > 0 {
			n := copy(l.into, p)
			p = p[n:]
			_ = l.Placed(n) // never fails
			continue
		}
		head := p
		if l.got == 0 && len(p) >= echo.HeaderBytes {
			p = p[echo.HeaderBytes:]
		} else {
			n := copy(l.head[l.got:], p)
			p = p[n:]
			if l.got += n; l.got < echo.HeaderBytes {
				return nil
			}
			l.got, head = 0, l.head[:]
		}
		if err := l.begin(echo.ParseHeader(head)); err != nil {
			return err
		}
	}
	return nil
}

// begin takes the header of a reply, which is the whole of one without data.
func (l *line) begin(h echo.Header) error {
	known := int(h.Tag) < len(l.requests) && l.requests[h.Tag] != nil && !slices.Contains(l.early, h.Tag)
	if known {
		l.into = l.requests[h.Tag].In
	}
	if _, n := h.Carried(); !known || n != len(l.into) {
		return fmt.Errorf("a reply with tag %d and %d bytes that nobody asked for", h.Tag, n)
	}
	l.tag = h.Tag
	if len(l.into) == 0 {
		l.end(h.Tag)
	}
	return nil
}

// end frees the tag and reports its request, which may submit another, once nothing
// reads from its buffer.
func (l *line) end(tag uint32) {
	if !l.out.Left(l.lent[tag]) {
		l.early = append(l.early, tag)
		return
	}
	r := l.requests[tag]
	l.lent[tag] = 0
	l.requests[tag] = nil
	l.free = append(l.free, tag)
	r.Done(r)
}

// Ended implements drive.Client.
func (l *line) Ended(err error) {
	l.err = fmt.Errorf("bench: connection to the echo: %w", err)
	l.out.Abandon()
	for tag, r := range l.requests {
		if r != nil {
			r.Err = l.err
			l.end(uint32(tag))
		}
	}
	close(l.dead)
}
