package initiator

import (
	"net"
	"syscall"
)

// pump is the drive of two goroutines over a net.Conn: one receives and calls the
// connection, the other sends what could not be sent at once. Whoever has something to
// send becomes the writer unless there is one already; what others queue meanwhile
// leaves with the writer's next call, so a busy session makes few calls with many
// PDUs each.
type pump struct {
	l    *link
	conn *Conn

	// writing, under the session's mu, says that somebody owns flight[at:], the bytes
	// on their way out.
	writing bool
	flight  []byte
	at      int

	raw   syscall.RawConn
	try   func(fd uintptr) bool // write, bound once
	wrote int
	errno error
	// kick hands flight over to the writer goroutine, which can wait.
	kick chan struct{}
}

// newPump makes the drive of a connection.
func newPump(l *link, c *Conn) *pump {
	p := &pump{l: l, conn: c, kick: make(chan struct{}, 1)}
	if sc, ok := c.nc.(syscall.Conn); ok {
		p.raw, _ = sc.SyscallConn() // without it the writer goroutine does all
	}
	p.try = p.write
	if tcp, ok := c.nc.(*net.TCPConn); ok {
		_ = tcp.SetNoDelay(true) // only costs latency when refused
	}
	l.drive = p
	return p
}

func (p *pump) start() {
	go p.read()
	go p.writeRest()
}

// HangUp wakes the reader and the writer.
func (p *pump) HangUp(error) { _ = p.conn.Close() }

// read is the reader goroutine.
func (p *pump) read() {
	for {
		if err := p.receive(); err != nil {
			p.l.ended(err)
			return
		}
	}
}

// receive takes one read of the socket through the session.
func (p *pump) receive() error {
	c := p.conn
	if c.r == c.w {
		if room := p.l.room(); room != nil {
			n, err := c.nc.Read(room)
			if n == 0 {
				return err
			}
			p.l.placed(n)
		} else if err := c.fill(); err != nil {
			return err
		}
	}
	err := p.l.consume(c.buf[c.r:c.w])
	c.r = c.w
	p.Flush()
	return err
}

// write is one attempt to send flight. It always says that it is done, so that it
// never waits for the socket.
func (p *pump) write(fd uintptr) bool {
	p.wrote, p.errno = syscall.Write(int(fd), p.flight[p.at:])
	for p.errno == syscall.EINTR {
		p.wrote, p.errno = syscall.Write(int(fd), p.flight[p.at:])
	}
	return true
}

// Flush sends what is queued; what the socket does not take is left to a goroutine
// that can wait.
func (p *pump) Flush() {
	l, s := p.l, p.l.s
	s.mu.Lock()
	for !p.writing && len(l.out.Own) > 0 && l.err == nil {
		p.writing = true
		p.flight, l.out.Own, p.at = l.out.Own, p.flight[:0], 0
		s.mu.Unlock()
		if !p.attempt() {
			p.kick <- struct{}{} // empty: only the owner of flight sends
			return
		}
		s.mu.Lock()
		p.writing = false
	}
	s.mu.Unlock()
}

// attempt sends all of flight without waiting; it is false when some is left.
func (p *pump) attempt() bool {
	if p.raw == nil || p.raw.Write(p.try) != nil || p.errno != nil {
		return false // an error will show again to the writer goroutine
	}
	p.at += p.wrote
	return p.at == len(p.flight)
}

// writeRest is the writer goroutine: it finishes what Flush could not.
func (p *pump) writeRest() {
	l, s := p.l, p.l.s
	for {
		select {
		case <-l.gone:
			return
		case <-p.kick:
		}
		if _, err := p.conn.nc.Write(p.flight[p.at:]); err != nil {
			l.fail(err)
			continue // until the reader has seen it
		}
		s.mu.Lock()
		p.writing = false
		s.mu.Unlock()
		p.Flush()
	}
}
