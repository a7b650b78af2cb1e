package echo

import (
	"errors"
	"sync/atomic"

	"lunar/internal/buf"
	"lunar/reactor"
	"lunar/reactor/host"
)

// Kinds of token; the index is the descriptor. A descriptor is given back only when
// nothing of it is in flight, so that no completion can mean its successor.
const (
	kindAccept reactor.Kind = iota + 1
	kindRecv
	kindSend
	kindRead // of the device; its index is a slot
	kindEnd
)

// maxConns is how many connections there may be: more than a load has sessions.
const maxConns = 128

// turns is the owner of the loop.
type turns struct {
	loop   *reactor.Loop
	memory []byte
	// size is how much can be asked for.
	size  int
	conns map[int32]*conn
	// device is what reads are read from first, -1 for none; reads are under way there.
	device    int32
	reads     []read
	freeReads []int
	// dirty are the connections that this turn brought something to send.
	dirty []*conn
	// spare is the header memory of connections that ended.
	spare [][]byte
}

// serve runs turns until it is told to stop.
func (t *turns) serve(listener int32, stopping *atomic.Bool) error {
	t.conns = map[int32]*conn{}
	t.loop.Submit(reactor.Op{Token: reactor.NewToken(kindAccept, 0, 0), Code: reactor.Accept, FD: listener})
	for !stopping.Load() {
		done, err := t.loop.Turn()
		if err != nil {
			return err
		}
		for _, x := range done {
			t.completed(x)
		}
		for _, c := range t.dirty {
			c.dirty = false
			t.fetch(c)
			t.send(c)
			t.receive(c)
		}
		t.dirty = t.dirty[:0]
	}
	return nil
}

func (t *turns) completed(x reactor.Completion) {
	var c *conn
	if x.Token.Kind() != kindRead {
		c = t.conns[int32(x.Token.Index())]
	}
	switch x.Token.Kind() {
	case kindRead:
		c = t.fetched(x)
	case kindAccept:
		if x.Result >= 0 {
			t.accept(x.Result)
		}
		return
	case kindRecv:
		c.receiving = false
		if x.Result <= 0 || !t.received(c, x) {
			c.dead = true
		}
		t.loop.Recycle(x.Buffer)
	case kindSend:
		c.sending = false
		if x.Result < 0 {
			c.dead = true
		} else {
			c.sent(int(x.Result))
		}
	default:
		return
	}
	if c.dead {
		t.end(c)
	} else if !c.dirty {
		c.dirty = true
		t.dirty = append(t.dirty, c)
	}
}

// accept takes a connection, or turns it away when there are too many.
func (t *turns) accept(fd int32) {
	if len(t.conns) >= maxConns {
		t.close(fd)
		return
	}
	host.Unpace(fd)
	headers, err := t.headers()
	if err != nil {
		t.close(fd)
		return
	}
	c := &conn{fd: fd, memory: t.memory, size: t.size, fetches: t.device >= 0, headers: headers, iov: make([]buf.Iovec, 0, 2*batchReplies)}
	t.conns[fd] = c
	t.receive(c)
}

// headers is memory for the headers of one send.
func (t *turns) headers() ([]byte, error) {
	if n := len(t.spare); n > 0 {
		h := t.spare[n-1]
		t.spare = t.spare[:n-1]
		return h, nil
	}
	return buf.Alloc(batchReplies * HeaderBytes)
}

// receive asks for what comes next, unless the peer owes it to us to read first.
func (t *turns) receive(c *conn) {
	if c.receiving || c.dead || len(c.owed)+c.reading >= maxOwed {
		return
	}
	op := reactor.Op{Token: reactor.NewToken(kindRecv, 0, uint32(c.fd)), Code: reactor.Recv, FD: c.fd}
	if c.direct = len(c.place) >= directBytes; c.direct {
		op.Data = c.place
	}
	c.receiving = true
	t.loop.Submit(op)
}

func (t *turns) received(c *conn, x reactor.Completion) bool {
	if c.direct {
		c.placed(int(x.Result))
		return true
	}
	return c.feed(t.loop.Received(x))
}

func (t *turns) send(c *conn) {
	if !c.gather() {
		return
	}
	c.sending = true
	t.loop.Submit(reactor.Op{Token: reactor.NewToken(kindSend, 0, uint32(c.fd)), Code: reactor.Send, FD: c.fd, Iov: c.rest})
}

// end closes a connection when nothing of it is in flight, and sees to it that this
// comes about.
func (t *turns) end(c *conn) {
	if c.receiving || c.sending || c.reading > 0 {
		t.loop.Submit(reactor.Op{Token: reactor.NewToken(kindEnd, 0, uint32(c.fd)), Code: reactor.Shutdown, FD: c.fd})
		return
	}
	delete(t.conns, c.fd)
	t.spare = append(t.spare, c.headers)
	t.close(c.fd)
}

func (t *turns) close(fd int32) {
	t.loop.Submit(reactor.Op{Token: reactor.NewToken(kindEnd, 1, uint32(fd)), Code: reactor.Close, FD: fd})
}

// free gives back what connections hold; the loop is closed.
func (t *turns) free() (err error) {
	for fd, c := range t.conns {
		err = errors.Join(err, host.CloseFD(fd), buf.Free(c.headers))
	}
	for _, h := range t.spare {
		err = errors.Join(err, buf.Free(h))
	}
	return err
}
