package epoll

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"

	"lunar/reactor"
)

// mostDescriptors bounds the table that descriptors index.
const mostDescriptors = 1 << 24

// descriptor is what the ring knows of one descriptor.
type descriptor struct {
	accept, recv, send pending
	watched            bool // the kernel tells us of it
	readable           bool // an attempt may bring something
	writable           bool
	ended              bool // the peer sends no more, or there is an error
	starved            bool // in Ring.starved
}

// pending is an operation that waits for its descriptor.
type pending struct {
	op     reactor.Op
	filled int
	used   bool
}

// at is the state of fd; the caller has made room for it.
func (r *Ring) at(fd int32) *descriptor { return &r.descriptors[fd] }

// room reports whether fd can be a descriptor, and makes room for its state.
func (r *Ring) room(fd int32) bool {
	if fd < 0 || fd >= mostDescriptors {
		return false
	}
	if n := int(fd) + 1 - len(r.descriptors); n > 0 {
		r.descriptors = append(r.descriptors, make([]descriptor, n)...)
	}
	return true
}

// start begins op.
func (r *Ring) start(op *reactor.Op) error {
	switch op.Code {
	case reactor.Accept, reactor.Recv, reactor.Send:
		r.startSocket(op)
	case reactor.Read, reactor.Write, reactor.Sync, reactor.Discard, reactor.Zero:
		r.disk.add(op)
	case reactor.Cancel:
		r.report(op.Token, r.cancel(op.Target))
	case reactor.Shutdown:
		r.report(op.Token, result(unix.Shutdown(int(op.FD), unix.SHUT_RDWR)))
	case reactor.Close:
		r.startClose(op)
	case reactor.Forget:
		r.report(op.Token, r.forget(op.FD))
	default:
		return fmt.Errorf("start operation on descriptor %d: unknown code %d", op.FD, op.Code)
	}
	return nil
}

// result is err as a completion carries it.
func result(err error) int32 {
	if errno, ok := err.(syscall.Errno); ok {
		return -int32(errno)
	}
	return 0
}

func (r *Ring) report(token reactor.Token, result int32) {
	r.ready = append(r.ready, reactor.Completion{Token: token, Result: result, Buffer: reactor.NoBuffer})
}

// startSocket lets op wait for its descriptor and tries it at once.
func (r *Ring) startSocket(op *reactor.Op) {
	if !r.room(op.FD) {
		r.report(op.Token, -int32(unix.EBADF))
		return
	}
	d := r.at(op.FD)
	p := d.slot(op.Code)
	if p.used {
		r.report(op.Token, -int32(unix.EBUSY))
		return
	}
	if err := r.watch(op.FD, op.Code == reactor.Accept); err != nil {
		r.report(op.Token, result(err))
		return
	}
	*p = pending{op: *op, used: true}
	r.attempt(op.FD)
}

// slot is where an operation of code waits.
func (d *descriptor) slot(code reactor.Code) *pending {
	switch code {
	case reactor.Accept:
		return &d.accept
	case reactor.Recv:
		return &d.recv
	default:
		return &d.send
	}
}

// watch has the kernel report every change of fd from now on, beginning with its
// present state. A listener is registered anew each time, because nobody else
// says when its number means another one.
func (r *Ring) watch(fd int32, listener bool) error {
	d := r.at(fd)
	if d.watched && !listener {
		return nil
	}
	if listener {
		// An attempt must not wait for a connection.
		if err := unix.SetNonblock(int(fd), true); err != nil {
			return err
		}
	}
	event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET&(1<<32-1), Fd: fd}
	err := unix.EpollCtl(r.fd, unix.EPOLL_CTL_ADD, int(fd), &event)
	if err == unix.EEXIST {
		err = unix.EpollCtl(r.fd, unix.EPOLL_CTL_MOD, int(fd), &event)
	}
	if err == nil {
		d.watched, d.readable, d.writable, d.ended = true, false, true, false
	}
	return err
}

// happened notes what the kernel says of fd and tries what waits for it.
func (r *Ring) happened(fd int32, events uint32) {
	d := r.at(fd)
	if events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		d.ended = true
	}
	if events&unix.EPOLLIN != 0 || d.ended {
		d.readable = true
	}
	if events&unix.EPOLLOUT != 0 || d.ended {
		d.writable = true
	}
	r.attempt(fd)
}

// attempt does what can be done on fd.
func (r *Ring) attempt(fd int32) {
	if d := r.at(fd); d.readable && d.accept.used {
		r.accept(fd, d)
	}
	if d := r.at(fd); d.readable && d.recv.used {
		r.receive(fd, d)
	}
	if d := r.at(fd); d.writable && d.send.used {
		r.send(fd, d)
	}
}

// cancel ends the operation target if it has not begun to end already.
func (r *Ring) cancel(target reactor.Token) int32 {
	for fd := range r.descriptors {
		d := &r.descriptors[fd]
		for _, p := range [...]*pending{&d.accept, &d.recv, &d.send} {
			if p.used && p.op.Token == target {
				r.abandon(p)
				return 0
			}
		}
	}
	if r.disk.withdraw(target) {
		r.report(target, -int32(unix.ECANCELED))
		return 0
	}
	return -int32(unix.ENOENT)
}

// abandon reports p as cancelled, or what it received.
func (r *Ring) abandon(p *pending) {
	if p.filled > 0 {
		r.finish(p, int32(p.filled))
		return
	}
	r.finish(p, -int32(unix.ECANCELED))
}

// forget ends the registration of fd, which the kernel would otherwise keep as long
// as the socket lives.
func (r *Ring) forget(fd int32) int32 {
	if fd < 0 || int(fd) >= len(r.descriptors) || !r.at(fd).watched {
		return 0
	}
	*r.at(fd) = descriptor{starved: r.at(fd).starved}
	return result(unix.EpollCtl(r.fd, unix.EPOLL_CTL_DEL, int(fd), nil))
}

// startClose ends what waits for the descriptor and closes it, which also ends
// its registration.
func (r *Ring) startClose(op *reactor.Op) {
	if op.FD >= 0 && int(op.FD) < len(r.descriptors) {
		d := r.at(op.FD)
		for _, p := range [...]*pending{&d.accept, &d.recv, &d.send} {
			if p.used {
				r.abandon(p)
			}
		}
		starved := d.starved
		*d = descriptor{starved: starved}
	}
	r.report(op.Token, result(unix.Close(int(op.FD))))
}
