package drive

import (
	"bytes"
	"io"
	"testing"
	"time"
)

// lender is a collector whose lent memory is written to as soon as it may be.
type lender struct {
	collector
	lent   []byte
	ticket Ticket
	left   chan struct{}
}

func (c *lender) Sent() {
	c.collector.Sent()
	if c.ticket > 0 && c.queue.Left(c.ticket) {
		clear(c.lent)
		c.ticket = 0
		close(c.left)
	}
}

// Own and lent bytes arrive in the order they were queued, however many pieces there
// are and however little the peer takes at a time, and lent memory is its owner's
// again only when the kernel has all of it.
func TestOutbox_Lend_KeepsOrderAndMemory(t *testing.T) {
	each(t, func(t *testing.T, l *Loop) {
		for name, size := range map[string]int{"pieces than one send may have": 700, "than the sockets hold": 60 << 10} {
			t.Run("more "+name, func(t *testing.T) {
				const pieces = 1500
				want := pattern(pieces * size)
				c := &lender{collector: *newCollector(1, 1), lent: bytes.Clone(want), left: make(chan struct{})}
				k, far := connect(t, l, c)
				k.Start(nil)
				err := l.Call(func() {
					for i := range pieces {
						p := c.lent[i*size : (i+1)*size]
						own := i * 13 % size // none, for one
						c.queue.Own = append(c.queue.Own, p[:own]...)
						if c.ticket = c.queue.Lend(p[own:]); c.queue.Left(c.ticket) {
							t.Error("it left before it was sent")
						}
					}
				})
				if err != nil {
					t.Fatal(err)
				}
				k.Flush()
				got := make([]byte, len(want))
				for at := 0; at < len(got); {
					n, err := io.ReadAtLeast(far, got[at:min(at+(1<<20), len(got))], 1)
					if err != nil {
						t.Fatal(err)
					}
					if at += n; at < 8<<20 {
						time.Sleep(100 * time.Microsecond)
					}
				}
				<-c.left
				if !bytes.Equal(got, want) {
					t.Error("something else arrived")
				}
			})
		}
	})
}

// What a queue held is forgotten when it has left, so that nothing keeps its memory.
func TestOutbox_Swap_ReusesListsAndForgets(t *testing.T) {
	var o Outbox
	spent := Queue{}
	for range 3 {
		if q := o.Swap(spent); !q.empty() {
			t.Fatal("an empty outbox hands out something")
		}
		o.Own = append(o.Own, "head"...)
		ticket := o.Lend([]byte("data"))
		o.Own = append(o.Own, "tail"...)
		q := o.Swap(spent)
		var text string
		for _, v := range q.pieces(nil) {
			text += string(v.Bytes())
		}
		if text != "headdatatail" || o.Left(ticket) {
			t.Errorf("%q, left %v", text, o.Left(ticket))
		}
		o.Sent()
		if !o.Left(ticket) {
			t.Error("it never leaves")
		}
		q.reset()
		if kept := q.lent[:1][0].data; kept != nil || !q.empty() {
			t.Errorf("%q is kept", kept)
		}
		spent = q
	}
	late := o.Lend(nil)
	if o.Abandon(); !o.Left(late) {
		t.Error("what was abandoned never leaves")
	}
}
