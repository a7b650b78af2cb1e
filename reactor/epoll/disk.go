package epoll

import (
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"lunar/internal/buf"
	"lunar/internal/queue"
	"lunar/reactor"
)

const (
	defaultWorkers = 4
	// mostRunning bounds what is handed to the workers and not yet reaped, so that
	// neither the channel nor the queue of results is ever full.
	mostRunning = 1024
)

// disk runs file operations, which cannot be waited for, in workers that block.
type disk struct {
	jobs    chan reactor.Op
	results *queue.MPSC[outcome]
	workers sync.WaitGroup
	// backlog are operations not yet handed to the workers.
	backlog []reactor.Op
	running int
}

// outcome is what a worker has to say.
type outcome struct {
	token  reactor.Token
	result int32
}

// open starts the workers; each calls published after every result.
func (d *disk) open(workers int, published func()) {
	if workers <= 0 {
		workers = defaultWorkers
	}
	d.jobs = make(chan reactor.Op, mostRunning)
	d.results = queue.New[outcome](mostRunning)
	for range workers {
		d.workers.Go(func() {
			for op := range d.jobs {
				d.results.Push(outcome{op.Token, do(&op)})
				published()
			}
		})
	}
}

// add takes op over, until dispatch.
func (d *disk) add(op *reactor.Op) { d.backlog = append(d.backlog, *op) }

// dispatch hands operations to the workers as far as there is room.
func (d *disk) dispatch() {
	n := min(len(d.backlog), mostRunning-d.running)
	if n == 0 {
		return
	}
	for i := range n {
		d.jobs <- d.backlog[i]
	}
	d.running += n
	left := copy(d.backlog, d.backlog[n:])
	clear(d.backlog[left:])
	d.backlog = d.backlog[:left]
}

// withdraw takes back an operation that no worker has.
func (d *disk) withdraw(token reactor.Token) bool {
	for i := range d.backlog {
		if d.backlog[i].Token == token {
			d.backlog = append(d.backlog[:i], d.backlog[i+1:]...)
			return true
		}
	}
	return false
}

// reap reports what the workers have finished.
func (d *disk) reap(r *Ring) {
	for {
		o, ok := d.results.Pop()
		if !ok {
			return
		}
		d.running--
		r.report(o.token, o.result)
	}
}

// close waits for the operations that workers have.
func (d *disk) close() {
	close(d.jobs)
	d.workers.Wait()
	d.backlog = nil
}

// do carries out one operation on a file and blocks meanwhile.
func do(op *reactor.Op) int32 {
	for {
		n, errno := attempt(op)
		switch errno {
		case 0:
			return int32(n)
		case unix.EINTR:
		default:
			return -int32(errno)
		}
	}
}

func attempt(op *reactor.Op) (uintptr, syscall.Errno) {
	fd, data := uintptr(op.FD), uintptr(unsafe.Pointer(unsafe.SliceData(op.Data)))
	var n uintptr
	var errno syscall.Errno
	switch op.Code {
	case reactor.Read:
		n, _, errno = syscall.Syscall6(unix.SYS_PREAD64, fd, data, uintptr(len(op.Data)), uintptr(op.Offset), 0, 0)
	case reactor.Write:
		if op.Flags&reactor.DSync != 0 {
			iov := buf.IovecOf(op.Data)
			n, _, errno = syscall.Syscall6(unix.SYS_PWRITEV2, fd, uintptr(unsafe.Pointer(&iov)), 1, uintptr(op.Offset), 0, unix.RWF_DSYNC)
			break
		}
		n, _, errno = syscall.Syscall6(unix.SYS_PWRITE64, fd, data, uintptr(len(op.Data)), uintptr(op.Offset), 0, 0)
	case reactor.Sync:
		_, _, errno = syscall.Syscall(unix.SYS_FDATASYNC, fd, 0, 0)
	case reactor.Discard:
		errno = allocate(op, unix.FALLOC_FL_PUNCH_HOLE)
	default:
		errno = allocate(op, unix.FALLOC_FL_ZERO_RANGE)
	}
	return n, errno
}

// allocate changes a range and leaves the size of the file as it is.
func allocate(op *reactor.Op, mode uint32) syscall.Errno {
	_, _, errno := syscall.Syscall6(unix.SYS_FALLOCATE, uintptr(op.FD), uintptr(mode|unix.FALLOC_FL_KEEP_SIZE),
		uintptr(op.Offset), uintptr(op.Length), 0, 0)
	return errno
}
