package engine

import (
	"sync"
	"sync/atomic"

	"lunar/internal/queue"
)

// mailbox is what other cores tell one. The order in which messages were sent holds,
// whoever sent them: what stands behind a command in the order of its unit must not pass
// it on the way (lun.Local.Begin). When the queue is full messages spill, and as long as
// any has, all others go behind them.
type mailbox struct {
	mail *queue.MPSC[message]
	_    [cacheLine]byte
	// spilled says that spills holds messages; every sender looks at it.
	spilled atomic.Bool
	_       [cacheLine]byte
	lock    sync.Mutex
	spills  []message
	// taken are those of the spills that are being received: the receiver's alone.
	taken []message
}

// cacheLine keeps what all cores read apart from what one writes.
const cacheLine = 64

// put sends a message.
func (b *mailbox) put(m message) {
	if !b.spilled.Load() && b.mail.Push(m) {
		return
	}
	b.lock.Lock()
	defer b.lock.Unlock()
	b.spilled.Store(true)
	b.spills = append(b.spills, m)
}

// take returns the oldest message. Like those below it is the receiver's.
func (b *mailbox) take() (m message, ok bool) {
	if len(b.taken) == 0 {
		if m, ok = b.mail.Pop(); ok || !b.spilled.Load() || !b.mail.Idle() {
			// What somebody is still writing is older than what spilled; he wakes us.
			return m, ok
		}
		b.lock.Lock()
		b.taken, b.spills = b.spills, nil
		b.spilled.Store(false)
		b.lock.Unlock()
	}
	m = b.taken[0]
	b.taken[0] = message{}
	b.taken = b.taken[1:]
	return m, true
}

// Empty says that no message waits.
func (b *mailbox) Empty() bool {
	return b.mail.Empty() && !b.spilled.Load() && len(b.taken) == 0
}
