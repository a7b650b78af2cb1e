package initiator

import "lunar/initiator/drive"

// client is a session as a loop sees it.
type client struct{ s *Session }

var _ drive.Client = client{}

// Take implements drive.Client.
func (c client) Take(p []byte) error { return c.s.consume(p) }

// Room implements drive.Client.
func (c client) Room() []byte { return c.s.room() }

// Placed implements drive.Client. Behind the data of a segment there may be nothing
// more to receive, so what is complete is handled now.
func (c client) Placed(n int) error {
	c.s.placed(n)
	return c.s.consume(nil)
}

// Queued implements drive.Client.
func (c client) Queued(spent drive.Queue) drive.Queue {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return c.s.out.Swap(spent)
}

// Sent implements drive.Client.
func (c client) Sent() {
	c.s.out.Sent()
	c.s.reportEarly()
}

// Ended implements drive.Client.
func (c client) Ended(err error) { c.s.ended(err) }
