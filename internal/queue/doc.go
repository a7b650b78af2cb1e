// Package queue is the mailbox between reactors: many producers, one consumer,
// bounded, one arrival order.
//
// Owner: the consumer. Any goroutine may push; only the goroutine that owns the
// reactor pops. A full queue refuses, it never waits and never grows, so the
// sender decides what to hold back.
//
// Start with MPSC.
package queue
