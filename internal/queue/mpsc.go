package queue

import "sync/atomic"

// cacheLine is what one core takes from another at a time.
const cacheLine = 64

// MPSC is a bounded queue after Vyukov: each slot carries the turn at which it
// may next be written or read, so producers meet only where they reserve a
// place and the consumer meets a producer only in the slot that they hand over.
type MPSC[T any] struct {
	slots []slot[T]
	mask  uint64
	_     [cacheLine]byte
	tail  atomic.Uint64 // next place to reserve; shared by the producers
	_     [cacheLine]byte
	head  uint64 // next place to read; the consumer's alone
	_     [cacheLine]byte
}

// slot holds one value. The padding keeps the end of a value and the turn of
// its neighbour on different lines whatever the size of T.
type slot[T any] struct {
	turn  atomic.Uint64
	value T
	_     [cacheLine]byte
}

// New makes a queue of n values; n must be a power of two, at least 2.
func New[T any](n int) *MPSC[T] {
	if n < 2 || n&(n-1) != 0 {
		panic("queue: capacity is not a power of two of at least 2")
	}
	q := &MPSC[T]{slots: make([]slot[T], n), mask: uint64(n - 1)}
	for i := range q.slots {
		q.slots[i].turn.Store(uint64(i))
	}
	return q
}

// Push appends v, or reports false when the queue is full. It may be called
// from any goroutine. When it returns true, v is visible to the consumer: an
// atomic load there that follows an atomic store here sees it, which is what
// the sleep protocol of the reactor stands on.
func (q *MPSC[T]) Push(v T) bool {
	place := q.tail.Load()
	for {
		s := &q.slots[place&q.mask]
		switch lag := int64(s.turn.Load() - place); {
		case lag == 0:
			if q.tail.CompareAndSwap(place, place+1) {
				s.value = v
				s.turn.Store(place + 1)
				return true
			}
			place = q.tail.Load()
		case lag < 0:
			// The consumer has not yet freed this slot from the previous lap.
			return false
		default:
			place = q.tail.Load()
		}
	}
}

// Pop takes the oldest value. It reports false when there is none, or when the
// producer that reserved the oldest place has not finished writing it; that
// producer wakes the consumer afterwards like any other. Consumer only.
func (q *MPSC[T]) Pop() (v T, ok bool) {
	s := &q.slots[q.head&q.mask]
	if s.turn.Load() != q.head+1 {
		return v, false
	}
	v = s.value
	var zero T
	s.value = zero
	s.turn.Store(q.head + uint64(len(q.slots)))
	q.head++
	return v, true
}

// Empty reports whether Pop would find nothing. Consumer only.
func (q *MPSC[T]) Empty() bool {
	return q.slots[q.head&q.mask].turn.Load() != q.head+1
}

// Idle reports whether nothing is in the queue, not even a value that its producer is
// still writing. Consumer only.
func (q *MPSC[T]) Idle() bool { return q.tail.Load() == q.head }

// Cap is the number of values the queue can hold.
func (q *MPSC[T]) Cap() int { return len(q.slots) }
