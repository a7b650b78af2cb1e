package epoll

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"lunar/reactor"
)

const (
	// acceptsPerTry bounds the connections one listener brings in a turn.
	acceptsPerTry = 64
	// mostIovecs is what one send can carry; the rest makes it a short one.
	mostIovecs = 1024
)

// message is struct msghdr, and a piece of memory for the kernel to find it in.
type message struct {
	name       uint64
	nameLen    uint32
	_          uint32
	iov        uint64
	iovLen     uint64
	control    uint64
	controlLen uint64
	flags      int32
	_          int32
}

// finish ends the operation of p.
func (r *Ring) finish(p *pending, result int32) {
	r.report(p.op.Token, result)
	*p = pending{}
}

// accept takes waiting connections; beyond the bound the rest is for next turn.
func (r *Ring) accept(fd int32, d *descriptor) {
	token := d.accept.op.Token
	for range acceptsPerTry {
		s, _, errno := syscall.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd), 0, 0, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0, 0)
		switch errno {
		case 0:
			r.ready = append(r.ready, reactor.Completion{Token: token, Result: int32(s), Buffer: reactor.NoBuffer, More: true})
			if r.room(int32(s)) {
				*r.at(int32(s)) = descriptor{}
			}
		case unix.EINTR, unix.ECONNABORTED:
			// A peer that gave up before it was accepted is no error of the listener.
		case unix.EAGAIN:
			r.at(fd).readable = false
			return
		default:
			r.finish(&r.at(fd).accept, -int32(errno))
			return
		}
	}
	r.again = append(r.again, fd)
}

// receive takes what has arrived.
func (r *Ring) receive(fd int32, d *descriptor) {
	if len(d.recv.op.Data) == 0 {
		r.receiveChosen(fd, d)
		return
	}
	p := &d.recv
	for p.filled < len(p.op.Data) {
		n, errno := d.take(fd, p.op.Data[p.filled:])
		switch {
		case errno == unix.EAGAIN:
			return
		case errno != 0 && p.filled == 0:
			r.finish(p, -int32(errno))
			return
		case n <= 0:
			r.finish(p, int32(p.filled))
			return
		}
		p.filled += n
		if !d.readable && p.filled < len(p.op.Data) {
			return
		}
	}
	r.finish(p, int32(p.filled))
}

// receiveChosen receives into a free buffer, or has the descriptor wait for one.
func (r *Ring) receiveChosen(fd int32, d *descriptor) {
	if len(r.free) == 0 {
		if !d.starved {
			d.starved = true
			r.starved = append(r.starved, fd)
		}
		return
	}
	last := len(r.free) - 1
	buffer := r.free[last]
	at := int(buffer) * r.recvBytes
	n, errno := d.take(fd, r.recv[at:at+r.recvBytes])
	switch {
	case errno == unix.EAGAIN:
	case errno != 0:
		r.finish(&d.recv, -int32(errno))
	case n == 0:
		r.finish(&d.recv, 0)
	default:
		r.free = r.free[:last]
		r.ready = append(r.ready, reactor.Completion{Token: d.recv.op.Token, Result: int32(n), Buffer: buffer})
		d.recv = pending{}
	}
}

// take receives into b. Less than b holds means that the socket is empty, and
// the kernel will say when it no longer is; only at the end of the stream there
// is nothing more to say.
func (d *descriptor) take(fd int32, b []byte) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), unix.MSG_DONTWAIT, 0, 0)
		if errno == unix.EINTR {
			continue
		}
		if errno == unix.EAGAIN || errno == 0 && int(n) < len(b) && !d.ended {
			d.readable = false
		}
		return int(n), errno
	}
}

// send sends what the socket takes.
func (r *Ring) send(fd int32, d *descriptor) {
	iov := d.send.op.Iov
	r.message = message{
		iov:    uint64(uintptr(unsafe.Pointer(unsafe.SliceData(iov)))),
		iovLen: uint64(min(len(iov), mostIovecs)),
	}
	for {
		n, _, errno := syscall.RawSyscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&r.message)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		switch errno {
		case 0:
			r.finish(&d.send, int32(n))
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			d.writable = false
		default:
			r.finish(&d.send, -int32(errno))
		}
		return
	}
}
