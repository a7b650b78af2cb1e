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
	// Queued hands out the bytes to send, which the client leaves alone from then on,
	// and keeps spent, which it handed out before, to hold what is queued next.
	Queued(spent []byte) []byte
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
	// iov is what is left of it. The ring reads iov by address, so it lives here.
	flight []byte
	iov    [1]buf.Iovec
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
	if k.iov[0].Len > 0 {
		return true // the rest of a send that ended short
	}
	k.flight = k.client.Queued(k.flight[:0])
	if len(k.flight) == 0 {
		return false
	}
	k.iov[0] = buf.IovecOf(k.flight)
	return true
}

// token is that of an operation of the link. Links are never in flight when their
// index is used again, so that no completion can mean a successor.
func (k *Link) token(kind reactor.Kind) reactor.Token { return reactor.NewToken(kind, 0, k.index) }
