package engine

import (
	"sync"
	"testing"

	"lunar/internal/queue"
)

// A message that found the queue full is not passed by one that was sent behind it,
// though the queue has room again.
func TestMailbox_Full_KeepsTheOrder(t *testing.T) {
	b := mailbox{mail: queue.New[message](2)}
	numbered := func(n int) message { return message{ctl: &control{order: &order{to: n}}} }
	next := 0
	take := func() {
		t.Helper()
		m, ok := b.take()
		if !ok || m.ctl.order.to != next {
			t.Fatalf("took %+v, want %d", m.ctl, next)
		}
		next++
	}
	for n := range 4 {
		b.put(numbered(n))
	}
	take()
	b.put(numbered(4)) // the queue has room, and two wait for it
	for range 4 {
		take()
	}
	b.put(numbered(5))
	take()
	if _, ok := b.take(); ok || !b.Empty() {
		t.Error("something is left")
	}
}

// Of each sender everything comes, in its order, however often the queue is full.
func TestMailbox_ManySenders(t *testing.T) {
	const senders, each = 4, 5000
	b := mailbox{mail: queue.New[message](2)}
	var wait sync.WaitGroup
	for s := range senders {
		wait.Go(func() {
			for n := range each {
				b.put(message{ctl: &control{order: &order{kind: orderKind(s), to: n}}})
			}
		})
	}
	var next [senders]int
	for got := 0; got < senders*each; {
		m, ok := b.take()
		if !ok {
			continue
		}
		o := m.ctl.order
		if o.to != next[o.kind] {
			t.Fatalf("sender %d: %d, want %d", o.kind, o.to, next[o.kind])
		}
		next[o.kind]++
		got++
	}
	wait.Wait()
	if !b.Empty() {
		t.Error("something is left")
	}
}
