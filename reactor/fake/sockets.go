package fake

import (
	"syscall"

	"lunar/reactor"
)

// socket is the target's side of a connection.
type socket struct {
	in    []byte // from the peer, not yet received
	out   []byte // to the peer, all of it
	eof   bool   // the peer will send no more
	reset bool   // the peer aborted, and nobody has been told
	gone  bool   // the peer is no more
	ended bool   // we shut down or closed
}

// listener holds connections not yet accepted.
type listener struct {
	backlog []*socket
}

func (l *listener) abandon() {
	for _, s := range l.backlog {
		s.ended = true
	}
}

// Peer is the other side of a connection, played by the test.
type Peer struct{ s *socket }

// Listen opens a listening socket.
func (r *Ring) Listen() (fd int32) { return r.open(object{listener: &listener{}}) }

// Dial connects to the listening socket fd, which need not accept yet; nil when
// fd does not listen.
func (r *Ring) Dial(fd int32) *Peer {
	l := r.at(fd).listener
	if l == nil {
		return nil
	}
	s := &socket{}
	l.backlog = append(l.backlog, s)
	return &Peer{s}
}

// Connect makes a connection that was accepted: our descriptor of it, and the other
// side.
func (r *Ring) Connect() (fd int32, p *Peer) {
	s := &socket{}
	return r.open(object{socket: s}), &Peer{s}
}

// Write sends p; after Close, Reset or the end of the connection it is lost.
func (p *Peer) Write(b []byte) {
	if !p.s.eof && !p.s.gone && !p.s.ended {
		p.s.in = append(p.s.in, b...)
	}
}

// Read is every byte the target sent so far.
func (p *Peer) Read() []byte { return p.s.out }

// Unread is how many bytes that were sent have not been received.
func (p *Peer) Unread() int { return len(p.s.in) }

// Ended reports whether the target shut down or closed its side.
func (p *Peer) Ended() bool { return p.s.ended }

// Close ends the stream in both directions; what was sent still arrives.
func (p *Peer) Close() { p.s.eof, p.s.gone = true, true }

// CloseWrite ends the stream towards the target only.
func (p *Peer) CloseWrite() { p.s.eof = true }

// Reset aborts the connection; what was not received yet is lost.
func (p *Peer) Reset() {
	p.s.in, p.s.eof, p.s.gone, p.s.reset = nil, true, true, true
}

// accept takes every connection that waits; it is never finished.
func (r *Ring) accept(op *reactor.Op) bool {
	l := r.at(op.FD).listener
	if l == nil {
		r.report(op.Token, r.wrongKind(op.FD))
		return true
	}
	for _, s := range l.backlog {
		r.ready = append(r.ready, reactor.Completion{
			Token: op.Token, Result: r.open(object{socket: s}), Buffer: reactor.NoBuffer, More: true,
		})
	}
	l.backlog = l.backlog[:0]
	return false
}

// wrongKind is why an operation cannot be done on fd.
func (r *Ring) wrongKind(fd int32) int32 {
	if r.at(fd) == (object{}) {
		return -int32(syscall.EBADF)
	}
	return -int32(syscall.EINVAL)
}

func (r *Ring) receive(w *waiting) bool {
	s := r.at(w.op.FD).socket
	if s == nil {
		r.report(w.op.Token, r.wrongKind(w.op.FD))
		return true
	}
	if len(s.in) > 0 && !s.ended {
		if len(w.op.Data) == 0 {
			return r.receiveChosen(w, s)
		}
		n := copy(w.op.Data[w.filled:], s.in)
		w.filled += n
		s.in = s.in[n:]
		if w.filled == len(w.op.Data) {
			r.report(w.op.Token, int32(w.filled))
			return true
		}
	}
	if !s.eof && !s.ended {
		return false
	}
	r.report(w.op.Token, s.last(w.filled))
	return true
}

// last is the result of a reception that nothing more will come for. An abort is
// told once, and only if it is not hidden behind data.
func (s *socket) last(filled int) int32 {
	if filled == 0 && s.reset {
		s.reset = false
		return -int32(syscall.ECONNRESET)
	}
	return int32(filled)
}

// receiveChosen waits while no buffer is free.
func (r *Ring) receiveChosen(w *waiting, s *socket) bool {
	if len(r.free) == 0 {
		return false
	}
	buffer := r.free[len(r.free)-1]
	r.free = r.free[:len(r.free)-1]
	n := limit(r.Chunk, min(len(s.in), r.recvBytes))
	copy(r.recv[int(buffer)*r.recvBytes:], s.in[:n])
	s.in = s.in[n:]
	r.ready = append(r.ready, reactor.Completion{Token: w.op.Token, Result: int32(n), Buffer: buffer})
	return true
}

// limit asks control, which may be nil, for a number from 1 to most.
func limit(control func(int) int, most int) int {
	if control == nil || most == 0 {
		return most
	}
	return min(max(control(most), 1), most)
}

func (r *Ring) send(op *reactor.Op) bool {
	s := r.at(op.FD).socket
	switch {
	case s == nil:
		r.report(op.Token, r.wrongKind(op.FD))
		return true
	case s.gone || s.ended:
		r.report(op.Token, -int32(syscall.EPIPE))
		return true
	}
	total := 0
	for i := range op.Iov {
		total += int(op.Iov[i].Len)
	}
	left := limit(r.SendLimit, total)
	r.report(op.Token, int32(left))
	for i := 0; left > 0; i++ {
		piece := op.Iov[i].Bytes()
		piece = piece[:min(left, len(piece))]
		s.out = append(s.out, piece...)
		left -= len(piece)
	}
	return true
}

func (r *Ring) shutdown(fd int32) int32 {
	s := r.at(fd).socket
	if s == nil {
		return r.wrongKind(fd)
	}
	s.ended = true
	return 0
}
