package reactor

import "sync/atomic"

// bell is how other goroutines reach a loop that may be asleep.
//
// The protocol has two sides, each of which writes its own word first and then
// reads the other's:
//
//	sender:  publish (mailbox, rung)   then  look whether the loop sleeps
//	loop:    set sleeping              then  look whether anything is published
//
// Go's atomics have one order that all cores agree on, so at least one of the
// two sees the other: either the loop finds the message and does not sleep, or
// the sender finds the loop sleeping and wakes it. A message cannot fall between.
// While the loop is busy a sender pays two loads and no system call.
type bell struct {
	rung     atomic.Bool
	sleeping atomic.Bool
}

// ring publishes, and reports whether the caller must wake the loop. Of several
// senders only one is told to.
func (b *bell) ring() bool {
	if !b.rung.Load() {
		b.rung.Store(true)
	}
	return b.sleeping.Load() && b.sleeping.CompareAndSwap(true, false)
}

// answer reports whether the bell rang since the last call.
func (b *bell) answer() bool {
	return b.rung.Load() && b.rung.Swap(false)
}

// lieDown announces sleep. The caller looks for messages afterwards, never
// before, and then sleeps or calls rise.
func (b *bell) lieDown() { b.sleeping.Store(true) }

// rise ends sleep, announced or real. A wake-up that is still under way then
// ends a later sleep early, which costs one empty turn.
func (b *bell) rise() { b.sleeping.Store(false) }
