package drive

import (
	"sync/atomic"

	"lunar/internal/buf"
	"lunar/reactor"
)

// Client is what a link carries. The loop's goroutine alone calls it.
type Client interface {
	// Take is given received bytes, in any division; they are the loop's again when
	// it returns. An error ends the link.
	Take(p []byte) error
	// Room is where the bytes that come next are wanted, all of them, or nil when
	// they shall come through Take. It is heap memory that stays where it is, and in
	// use, until Placed or Ended is called.
	Room() []byte
	// Placed says that the first n bytes of Room have arrived there.
	Placed(n int) error
	// Queued hands out what is to be sent, by Outbox.Swap.
	Queued(spent Queue) Queue
	// Sent says that all of what was handed out last has left, memory that was lent
	// included.
	Sent()
	// Ended says that nothing moves any more and why; it is called once, last.
	Ended(err error)
}

// Link is one connection on a Loop. Its exported methods may be called by any
// goroutine.
type Link struct {
	l      *Loop
	client Client
	fd     int32
	index  uint32

	// flight is on its way out, and memory to offer to the client when it has gone;
	// iov describes it, and rest is what is left of iov. The ring reads it by address,
	// so it lives here.
	flight    Queue
	iov, rest []buf.Iovec
	// room is the memory that is being received into, nil for a buffer of the loop.
	room []byte

	receiving, sending, dirty, dead, shut bool
	err                                   error // why it is dead

	// called says that a message of Flush is under way.
	called atomic.Bool
}

// Link makes a link over a connected socket, which is the loop's from Start on.
func (l *Loop) Link(fd int32, c Client) *Link { return &Link{l: l, client: c, fd: fd} }

// Start begins to move bytes. received is what was already taken from the socket;
// the client gets it first. On a loop that has stopped the client is told at once
// that it ended.
func (k *Link) Start(received []byte) {
	if !k.l.post(message{kind: begin, link: k, received: received}) {
		k.l.refuse(k)
	}
}

// Flush has what the client queued sent soon. Within the client's own calls it is
// not needed.
func (k *Link) Flush() {
	if !k.called.Load() && !k.called.Swap(true) {
		k.l.post(message{kind: flush, link: k})
	}
}

// HangUp ends the link with err; the client's Ended follows when nothing of it is in
// flight. A link that is ending keeps its first reason.
func (k *Link) HangUp(err error) {
	k.l.post(message{kind: hangUp, link: k, err: err})
}

// fail marks the link as ending.
func (k *Link) fail(err error) {
	if !k.dead {
		k.dead, k.err = true, err
	}
}

// gather takes what there is to send, unless a send is under way.
func (k *Link) gather() bool {
	if k.sending || k.dead {
		return false
	}
	if len(k.rest) > 0 {
		return true // of a send that ended short, or had more pieces than one may have
	}
	k.flight = k.client.Queued(k.flight)
	if k.flight.empty() {
		return false
	}
	k.iov = k.flight.pieces(k.iov[:0])
	k.rest = k.iov
	return true
}

// sent takes n bytes off what is under way.
func (k *Link) sent(n int) {
	if k.rest = buf.Drop(k.rest, n); len(k.rest) > 0 {
		return
	}
	k.flight.reset()
	if !k.dead {
		k.client.Sent()
	}
}

// token is that of an operation of the link. Links are never in flight when their
// index is used again, so that no completion can mean a successor.
func (k *Link) token(kind reactor.Kind) reactor.Token { return reactor.NewToken(kind, 0, k.index) }
