package initiator

import "syscall"

// outbox is what waits to be written. Whoever has something to send becomes the
// writer unless there is one already; what others queue meanwhile leaves with the
// writer's next call, so a busy session makes few calls with many PDUs each.
type outbox struct {
	// queue collects encoded PDUs, under the session's mu.
	queue []byte
	// writing says that somebody owns flight[at:], the bytes on their way out.
	writing bool
	flight  []byte
	at      int

	raw   syscall.RawConn
	try   func(fd uintptr) bool // o.write, bound once
	wrote int
	errno error
	// kick hands flight over to the writer goroutine, which can wait.
	kick chan struct{}
}

// write is one attempt to send flight. It always says that it is done, so that it
// never waits for the socket.
func (o *outbox) write(fd uintptr) bool {
	o.wrote, o.errno = syscall.Write(int(fd), o.flight[o.at:])
	for o.errno == syscall.EINTR {
		o.wrote, o.errno = syscall.Write(int(fd), o.flight[o.at:])
	}
	return true
}

// Flush sends what Submit queued. It never waits: what the socket does not take is
// left to a goroutine that does.
func (s *Session) Flush() {
	o := &s.out
	s.mu.Lock()
	for !o.writing && len(o.queue) > 0 && s.err == nil {
		o.writing = true
		o.flight, o.queue, o.at = o.queue, o.flight[:0], 0
		s.mu.Unlock()
		if !o.attempt() {
			o.kick <- struct{}{} // empty: only the owner of flight sends
			return
		}
		s.mu.Lock()
		o.writing = false
	}
	s.mu.Unlock()
}

// attempt sends all of flight without waiting; it is false when some is left.
func (o *outbox) attempt() bool {
	if o.raw == nil || o.raw.Write(o.try) != nil || o.errno != nil {
		return false // an error will show again to the writer goroutine
	}
	o.at += o.wrote
	return o.at == len(o.flight)
}

// writeRest is the writer goroutine: it finishes what Flush could not.
func (s *Session) writeRest() {
	o := &s.out
	for {
		select {
		case <-s.dead:
			return
		case <-o.kick:
		}
		if _, err := s.conn.nc.Write(o.flight[o.at:]); err != nil {
			s.fail(err)
			continue // until the reader has seen it
		}
		s.mu.Lock()
		o.writing = false
		s.mu.Unlock()
		s.Flush()
	}
}
