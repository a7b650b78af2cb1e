package uring

import (
	"fmt"
	"unsafe"

	abi "github.com/iceber/iouring-go/syscall"
	"golang.org/x/sys/unix"

	"lunar/reactor"
)

// mostIovecs is what one send can carry; the rest makes it a short one.
const mostIovecs = 1024

// start turns op into a submission.
func (r *Ring) start(op *reactor.Op) error {
	switch op.Code {
	case reactor.Accept, reactor.Recv:
		return r.startFlight(op)
	case reactor.Cancel:
		return r.startCancel(op)
	case reactor.Close:
		return r.startClose(op)
	case reactor.Shutdown:
		r.shutdown(op)
		return nil
	case reactor.Forget:
		r.sockets.at(op.FD).nonempty = false
		r.ready = append(r.ready, reactor.Completion{Token: op.Token, Buffer: reactor.NoBuffer})
		return nil
	default:
		return r.startPlain(op)
	}
}

// startPlain submits an operation that needs no record of its own.
func (r *Ring) startPlain(op *reactor.Op) error {
	e, number, err := r.entry()
	if err != nil {
		return err
	}
	if op.Code == reactor.Send {
		if !r.features.Extended {
			r.keepSend(op)
		}
		r.prepareSend(e, number, op)
	} else if !prepareFile(e, op) {
		return fmt.Errorf("unknown code %d", op.Code)
	}
	e.SetUserData(uint64(op.Token))
	return nil
}

// shutdown does not go through the ring: the kernel always hands that operation
// to a worker, which looks the descriptor up when it gets to it. By then the
// number may belong to the next connection.
func (r *Ring) shutdown(op *reactor.Op) {
	c := reactor.Completion{Token: op.Token, Buffer: reactor.NoBuffer}
	if err := unix.Shutdown(int(op.FD), unix.SHUT_RDWR); err != nil {
		c.Result = -int32(err.(unix.Errno))
	}
	r.ready = append(r.ready, c)
}

// keepSend keeps a send in mind only so that Close can cancel it by its token,
// where the kernel cannot cancel everything at once: a peer that does not read
// would otherwise hold it for ever.
func (r *Ring) keepSend(op *reactor.Op) {
	f := r.flights.add(op.Token)
	f.code, f.fd = op.Code, op.FD
	r.sockets.at(op.FD).flights++
}

func (r *Ring) prepareSend(e *sqe, number uint32, op *reactor.Op) {
	m := &r.q.messages[number]
	m.iov = uint64(uintptr(unsafe.Pointer(unsafe.SliceData(op.Iov))))
	m.iovLen = uint64(min(len(op.Iov), mostIovecs))
	e.PrepOperation(abi.IORING_OP_SENDMSG, op.FD, uint64(uintptr(unsafe.Pointer(m))), 1, 0)
	// Waiting for all spares a turn per buffer that the socket cannot take at once.
	e.SetOpFlags(unix.MSG_WAITALL | unix.MSG_NOSIGNAL)
}

// prepareFile fills in an operation on a file; it reports false when op is none.
func prepareFile(e *sqe, op *reactor.Op) bool {
	switch op.Code {
	case reactor.Read:
		e.PrepOperation(abi.IORING_OP_READ, op.FD, address(op.Data), uint32(len(op.Data)), uint64(op.Offset))
	case reactor.Write:
		e.PrepOperation(abi.IORING_OP_WRITE, op.FD, address(op.Data), uint32(len(op.Data)), uint64(op.Offset))
		if op.Flags&reactor.DSync != 0 {
			e.SetOpFlags(unix.RWF_DSYNC)
		}
	case reactor.Sync:
		e.PrepOperation(abi.IORING_OP_FSYNC, op.FD, 0, 0, 0)
		e.SetOpFlags(abi.IORING_FSYNC_DATASYNC)
	case reactor.Discard:
		e.PrepOperation(abi.IORING_OP_FALLOCATE, op.FD, uint64(op.Length), punchHole, uint64(op.Offset))
	case reactor.Zero:
		e.PrepOperation(abi.IORING_OP_FALLOCATE, op.FD, uint64(op.Length), zeroRange, uint64(op.Offset))
	default:
		return false
	}
	if op.Flags&reactor.Async != 0 {
		e.SetFlags(abi.IOSQE_FLAGS_ASYNC)
	}
	return true
}

// startFlight keeps an operation that may have to be submitted again, and
// submits it for the first time.
func (r *Ring) startFlight(op *reactor.Op) error {
	if op.Code == reactor.Accept {
		if err := r.letBlock(op.FD); err != nil {
			return err
		}
	}
	f := r.flights.add(op.Token)
	f.code, f.fd = op.Code, op.FD
	if len(op.Data) > 0 {
		f.data, f.length = address(op.Data), uint32(len(op.Data))
	} else if op.Code == reactor.Recv && !r.features.BufferRing {
		f.stage = polling
	}
	r.sockets.at(op.FD).flights++
	return r.submit(f)
}

// letBlock makes a listening socket wait for connections: on a non-blocking one
// accepting fails instead. A bad descriptor is left for the operation to report.
func (r *Ring) letBlock(fd int32) error {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil || flags&unix.O_NONBLOCK == 0 {
		return nil
	}
	if _, err = unix.FcntlInt(uintptr(fd), unix.F_SETFL, flags&^unix.O_NONBLOCK); err != nil {
		return fmt.Errorf("make listening descriptor %d blocking: %w", fd, err)
	}
	return nil
}

// startAgain submits the flights that the last turn left to be continued.
func (r *Ring) startAgain() error {
	for _, token := range r.again {
		if token == wakeToken {
			if err := r.listenForWake(); err != nil {
				return err
			}
			continue
		}
		if f := r.flights.find(token); f != nil {
			if err := r.submit(f); err != nil {
				return err
			}
		}
	}
	r.again = r.again[:0]
	return nil
}

// submit submits f as its stage demands.
func (r *Ring) submit(f *flight) error {
	if f.stage == readable {
		var ok bool
		if f.buffer, ok = r.bufs.choose(); !ok {
			f.stage = starved
			r.bufs.starve(f.token)
			return nil
		}
	}
	e, _, err := r.entry()
	if err != nil {
		return err
	}
	switch {
	case f.code == reactor.Accept:
		r.prepareAccept(e, f)
	case f.stage == polling:
		e.PrepOperation(abi.IORING_OP_POLL_ADD, f.fd, 0, 0, 0)
		e.SetOpFlags(unix.POLLIN)
	default:
		r.prepareRecv(e, f)
	}
	e.SetUserData(uint64(f.token))
	return nil
}

func (r *Ring) prepareAccept(e *sqe, f *flight) {
	e.PrepOperation(abi.IORING_OP_ACCEPT, f.fd, 0, 0, 0)
	e.SetOpFlags(unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK)
	if r.features.Extended {
		e.SetIoprio(acceptMultishot)
	}
}

func (r *Ring) prepareRecv(e *sqe, f *flight) {
	switch {
	case f.length > 0:
		e.PrepOperation(abi.IORING_OP_RECV, f.fd, f.data+uint64(f.filled), f.length-f.filled, 0)
		e.SetOpFlags(unix.MSG_WAITALL)
	case f.buffer >= 0:
		e.PrepOperation(abi.IORING_OP_RECV, f.fd, address(r.bufs.at(f.buffer)), uint32(r.bufs.bytes), 0)
		e.SetOpFlags(unix.MSG_DONTWAIT)
		return
	default:
		e.PrepOperation(abi.IORING_OP_RECV, f.fd, 0, uint32(r.bufs.bytes), 0)
		e.SetFlags(abi.IOSQE_FLAGS_BUFFER_SELECT)
		e.SetBufGroup(bufferGroup)
	}
	// An attempt on an empty socket is wasted, so wait first unless the last
	// completion said that more had already arrived.
	if r.features.Extended && !r.sockets.at(f.fd).nonempty {
		e.SetIoprio(recvPollFirst)
	}
}

// startCancel asks the kernel to end the target. A target that is not at the
// kernel now ends at once, and one that is will not be submitted again.
func (r *Ring) startCancel(op *reactor.Op) error {
	if f := r.flights.find(op.Target); f != nil {
		f.cancelled = true
		if f.stage == starved {
			r.ready = append(r.ready, r.conclude(f, -int32(unix.ECANCELED)))
		}
	}
	e, _, err := r.entry()
	if err != nil {
		return err
	}
	e.PrepOperation(abi.IORING_OP_ASYNC_CANCEL, -1, uint64(op.Target), 0, 0)
	e.SetUserData(uint64(op.Token))
	return nil
}

// startClose ends what is still in flight on the descriptor before it closes
// it: operations hold the file, so a listener, for instance, would keep its port.
func (r *Ring) startClose(op *reactor.Op) error {
	if s := r.sockets.at(op.FD); s.flights > 0 {
		if err := r.cancelFlightsOf(op.FD); err != nil {
			return err
		}
	}
	if r.features.Extended {
		e, _, err := r.entry()
		if err != nil {
			return err
		}
		e.PrepOperation(abi.IORING_OP_ASYNC_CANCEL, op.FD, 0, 0, 0)
		e.SetOpFlags(cancelFD | cancelAll)
		e.SetUserData(uint64(cancelToken))
	}
	e, _, err := r.entry()
	if err != nil {
		return err
	}
	r.sockets.at(op.FD).nonempty = false
	e.PrepOperation(abi.IORING_OP_CLOSE, op.FD, 0, 0, 0)
	e.SetUserData(uint64(op.Token))
	return nil
}

// cancelFlightsOf keeps flights on fd from being submitted again, when the
// number may already mean another file, and where the kernel cannot cancel by
// descriptor ends each by its token.
func (r *Ring) cancelFlightsOf(fd int32) error {
	for i := range r.flights.slots {
		f := &r.flights.slots[i]
		if !f.used || f.fd != fd {
			continue
		}
		f.cancelled = true
		if !r.features.Extended && f.stage != starved {
			if err := r.cancel(f.token, 0); err != nil {
				return err
			}
		}
	}
	for _, token := range r.bufs.starved[r.bufs.served:] {
		if f := r.flights.find(token); f != nil && f.fd == fd && f.stage == starved {
			r.ready = append(r.ready, r.conclude(f, -int32(unix.ECANCELED)))
		}
	}
	return nil
}

// cancel submits a cancellation of our own, whose result nobody is told.
func (r *Ring) cancel(target reactor.Token, flags uint32) error {
	e, _, err := r.entry()
	if err != nil {
		return fmt.Errorf("cancel: %w", err)
	}
	e.PrepOperation(abi.IORING_OP_ASYNC_CANCEL, -1, uint64(target), 0, 0)
	e.SetOpFlags(flags)
	e.SetUserData(uint64(cancelToken))
	return nil
}
