package drive

import (
	"sync"
	"sync/atomic"
)

// kind is what a message asks for.
type kind uint8

const (
	begin kind = iota
	flush
	hangUp
	call
	stop
)

// message is what other goroutines leave for the loop's.
type message struct {
	kind     kind
	link     *Link
	received []byte
	err      error
	do       func()
}

// mailbox keeps messages in order. Whoever posts rings the loop's bell behind it.
type mailbox struct {
	waiting atomic.Bool
	mu      sync.Mutex
	posts   []message
	taken   []message // the memory of those being read
	closed  bool
}

// Empty says whether no message waits.
func (b *mailbox) Empty() bool { return !b.waiting.Load() }

func (b *mailbox) put(m message) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.posts = append(b.posts, m)
	b.waiting.Store(true)
	return true
}

// take is everything that waits, valid until the next take.
func (b *mailbox) take() []message {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.taken)
	b.posts, b.taken = b.taken[:0], b.posts
	b.waiting.Store(false)
	return b.taken
}

// close refuses further messages and is what still waits.
func (b *mailbox) close() []message {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	return b.posts
}

// post leaves a message; it is false when the loop has ended.
func (l *Loop) post(m message) bool {
	if !l.mail.put(m) {
		return false
	}
	l.loop.Wake()
	return true
}
