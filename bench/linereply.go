package bench

import (
	"fmt"
	"syscall"

	"lunar/bench/echo"
)

// consume takes received bytes, in any division.
func (l *line) consume(p []byte) error {
	for len(p) > 0 {
		if len(l.into) > 0 {
			n := copy(l.into, p)
			p = p[n:]
			l.placed(n)
			continue
		}
		head := p
		if l.got == 0 && len(p) >= echo.HeaderBytes {
			p = p[echo.HeaderBytes:]
		} else {
			n := copy(l.head[l.got:], p)
			p = p[n:]
			if l.got += n; l.got < echo.HeaderBytes {
				return nil
			}
			l.got, head = 0, l.head[:]
		}
		if err := l.begin(echo.ParseHeader(head)); err != nil {
			return err
		}
	}
	return nil
}

// begin takes the header of a reply, which is the whole of one without data.
func (l *line) begin(h echo.Header) error {
	l.mu.Lock()
	known := int(h.Tag) < len(l.requests) && l.requests[h.Tag] != nil
	if known {
		l.into = l.requests[h.Tag].In
	}
	l.mu.Unlock()
	if _, n := h.Carried(); !known || n != len(l.into) {
		return fmt.Errorf("a reply with tag %d and %d bytes that nobody asked for", h.Tag, n)
	}
	l.tag = h.Tag
	if len(l.into) == 0 {
		l.end(h.Tag)
	}
	return nil
}

// placed counts bytes that stand where they belong.
func (l *line) placed(n int) {
	if l.into = l.into[n:]; len(l.into) == 0 {
		l.end(l.tag)
	}
}

// end frees the tag and reports its request, which may submit another.
func (l *line) end(tag uint32) {
	l.mu.Lock()
	r := l.requests[tag]
	l.requests[tag] = nil
	l.free = append(l.free, tag)
	l.mu.Unlock()
	r.Done(r)
}

// write is one attempt to send flight; it never waits for the socket.
func (l *line) write(fd uintptr) bool {
	l.wrote, l.errno = syscall.Write(int(fd), l.flight[l.at:])
	for l.errno == syscall.EINTR {
		l.wrote, l.errno = syscall.Write(int(fd), l.flight[l.at:])
	}
	return true
}

// Flush sends what Submit queued, without waiting.
func (l *line) Flush() {
	l.mu.Lock()
	for !l.writing && len(l.queue) > 0 && l.err == nil {
		l.writing = true
		l.flight, l.queue, l.at = l.queue, l.flight[:0], 0
		l.mu.Unlock()
		if !l.attempt() {
			l.kick <- struct{}{} // empty: only the owner of flight sends
			return
		}
		l.mu.Lock()
		l.writing = false
	}
	l.mu.Unlock()
}

// attempt sends all of flight without waiting; it is false when some is left.
func (l *line) attempt() bool {
	if l.raw.Write(l.try) != nil || l.errno != nil {
		return false // an error will show again to the writer goroutine
	}
	l.at += l.wrote
	return l.at == len(l.flight)
}

// writeRest is the writer goroutine: it finishes what Flush could not.
func (l *line) writeRest() {
	for {
		select {
		case <-l.dead:
			return
		case <-l.kick:
		}
		if _, err := l.nc.Write(l.flight[l.at:]); err != nil {
			l.fail(fmt.Errorf("bench: send to the echo: %w", err))
			continue // until the reader has seen it
		}
		l.mu.Lock()
		l.writing = false
		l.mu.Unlock()
		l.Flush()
	}
}
