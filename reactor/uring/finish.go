package uring

import (
	"golang.org/x/sys/unix"

	"lunar/reactor"
)

// socket is what the ring remembers of a descriptor.
type socket struct {
	flights  int32
	nonempty bool // the last reception left data behind
}

// sockets are found by descriptor; the kernel hands out the lowest free number,
// so the list stays as short as the most there ever were.
type sockets struct {
	list []socket
	// none stands for descriptors that cannot exist.
	none socket
}

const mostSockets = 1 << 24

func (s *sockets) at(fd int32) *socket {
	if fd < 0 || fd >= mostSockets {
		return &s.none
	}
	for int(fd) >= len(s.list) {
		s.list = append(s.list, socket{})
	}
	return &s.list[fd]
}

// finish works off one completion of the kernel's and says what to report.
func (r *Ring) finish(e *cqe) (c reactor.Completion, ok bool) {
	more := e.Flags()&cqeMore != 0
	if !more {
		r.inFlight--
	}
	token := reactor.Token(e.UserData())
	if token.Kind() == ownKind {
		if token == wakeToken {
			r.again = append(r.again, wakeToken)
		}
		return c, false
	}
	f := r.flights.find(token)
	if f == nil {
		return reactor.Completion{Token: token, Result: e.Result(), Buffer: reactor.NoBuffer}, true
	}
	switch {
	case f.code == reactor.Accept:
		return r.finishAccept(f, e.Result(), more)
	case f.code == reactor.Send:
		return r.conclude(f, e.Result()), true
	case f.length > 0:
		return r.finishFill(f, e)
	case f.stage == polling:
		return r.finishPoll(f, e.Result())
	}
	return r.finishRecv(f, e)
}

// conclude forgets f and is its last report.
func (r *Ring) conclude(f *flight, result int32) reactor.Completion {
	c := reactor.Completion{Token: f.token, Result: result, Buffer: reactor.NoBuffer}
	r.sockets.at(f.fd).flights--
	r.flights.remove(f.token)
	return c
}

// retry has f submitted again next turn, or ends it when it was cancelled.
func (r *Ring) retry(f *flight) (c reactor.Completion, ok bool) {
	if f.cancelled {
		return r.conclude(f, -int32(unix.ECANCELED)), true
	}
	r.again = append(r.again, f.token)
	return c, false
}

// passing reports whether an error says nothing about the socket itself.
func passing(result int32) bool {
	switch -result {
	case int32(unix.EINTR), int32(unix.EAGAIN):
		return true
	}
	return false
}

// finishAccept reports a connection. Accepting goes on: where the kernel ended
// it after this one, it is submitted again.
func (r *Ring) finishAccept(f *flight, result int32, more bool) (reactor.Completion, bool) {
	if result < 0 {
		// A peer that gave up before it was accepted is no error of the listener.
		if passing(result) || result == -int32(unix.ECONNABORTED) {
			return r.retry(f)
		}
		return r.conclude(f, result), true
	}
	c := reactor.Completion{Token: f.token, Result: result, Buffer: reactor.NoBuffer, More: true}
	if !more {
		if last, ended := r.retry(f); ended {
			r.ready = append(r.ready, last)
		}
	}
	*r.sockets.at(result) = socket{}
	return c, true
}

// finishFill reports a reception into the owner's memory once it is full. The
// kernel may stop early (older ones do at every arrival), and only end of stream
// or an error ends it for good.
func (r *Ring) finishFill(f *flight, e *cqe) (reactor.Completion, bool) {
	result := e.Result()
	r.note(f, e)
	if result > 0 {
		f.filled += uint32(result)
	}
	if passing(result) && f.filled == 0 {
		return r.retry(f)
	}
	if (result > 0 && f.filled < f.length || passing(result)) && !f.cancelled {
		return r.retry(f)
	}
	if f.filled > 0 {
		// What arrived counts; the error, if there was one, meets the next attempt.
		result = int32(f.filled)
	}
	return r.conclude(f, result), true
}

// note remembers whether the reception of f left data behind.
func (r *Ring) note(f *flight, e *cqe) {
	r.sockets.at(f.fd).nonempty = e.Result() > 0 && e.Flags()&cqeSockNonempty != 0
}

// finishPoll chooses a buffer for a socket that has data, next turn.
func (r *Ring) finishPoll(f *flight, result int32) (reactor.Completion, bool) {
	if result < 0 && !passing(result) {
		return r.conclude(f, result), true
	}
	if result > 0 {
		f.stage = readable
	}
	return r.retry(f)
}

// finishRecv reports a reception into a chosen buffer.
func (r *Ring) finishRecv(f *flight, e *cqe) (reactor.Completion, bool) {
	result, buffer := e.Result(), f.buffer
	r.note(f, e)
	if e.Flags()&cqeBuffer != 0 {
		buffer = int32(e.Flags() >> cqeBufferShift)
		r.bufs.free--
	}
	if result > 0 {
		c := r.conclude(f, result)
		c.Buffer = buffer
		return c, true
	}
	if buffer >= 0 {
		r.bufs.put(buffer)
		r.bufs.publish()
		f.buffer = reactor.NoBuffer
	}
	switch {
	case passing(result):
		if r.bufs.ring == nil {
			f.stage = polling
		}
		return r.retry(f)
	case result == -int32(unix.ENOBUFS) && !f.cancelled && r.bufs.free == 0:
		f.stage = starved
		r.bufs.starve(f.token)
		return reactor.Completion{}, false
	case result == -int32(unix.ENOBUFS):
		// Buffers came back between the kernel's attempt and now.
		return r.retry(f)
	}
	return r.conclude(f, result), true
}
