package initiator

import "lunar/initiator/drive"

// client is a connection as a loop sees it.
type client struct{ l *link }

var _ drive.Client = client{}

// Take implements drive.Client.
func (c client) Take(p []byte) error { return c.l.consume(p) }

// Room implements drive.Client.
func (c client) Room() []byte { return c.l.room() }

// Placed implements drive.Client. Behind the data of a segment there may be nothing
// more to receive, so what is complete is handled now.
func (c client) Placed(n int) error {
	c.l.placed(n)
	return c.l.consume(nil)
}

// Queued implements drive.Client.
func (c client) Queued(spent drive.Queue) drive.Queue {
	c.l.s.mu.Lock()
	defer c.l.s.mu.Unlock()
	return c.l.out.Swap(spent)
}

// Sent implements drive.Client.
func (c client) Sent() {
	c.l.out.Sent()
	c.l.reportEarly()
}

// Ended implements drive.Client.
func (c client) Ended(err error) { c.l.ended(err) }
