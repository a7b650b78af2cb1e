package uring

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	abi "github.com/iceber/iouring-go/syscall"
	"golang.org/x/sys/unix"

	"lunar/internal/buf"
)

// queues are the two queues shared with the kernel. The kernel advances sqHead
// and cqTail, we advance sqTail and cqHead; the local copies run ahead of what
// has been published.
type queues struct {
	sqHead, sqTail, sqFlags *uint32
	cqHead, cqTail          *uint32
	sqes                    []sqe
	cqes                    []cqe
	// messages are the message headers of sends, one per submission entry. The
	// kernel has copied a header when it has taken the entry, so it lives no longer.
	messages []msghdr
	sqLocal  uint32
	cqLocal  uint32
	mapping  unsafe.Pointer
	mapped   uintptr
}

// mapQueues maps the queues of ring fd.
func mapQueues(fd int, p *abi.IOURingParams) (q queues, err error) {
	q.mapped = uintptr(p.CQOffset.Cqes) + uintptr(p.CQEntries)*unsafe.Sizeof(cqe{})
	withArray := p.Flags&setupNoSQArray == 0
	if withArray {
		q.mapped = max(q.mapped, uintptr(p.SQOffset.Array)+uintptr(p.SQEntries)*4)
	}
	if q.mapping, err = mapRing(fd, abi.IORING_OFF_SQ_RING, q.mapped); err != nil {
		return q, fmt.Errorf("map the queues: %w", err)
	}
	entries, err := mapRing(fd, abi.IORING_OFF_SQES, uintptr(p.SQEntries)*unsafe.Sizeof(sqe{}))
	if err != nil {
		return q, fmt.Errorf("map the submission entries: %w", err)
	}
	q.sqes = unsafe.Slice((*sqe)(entries), p.SQEntries)
	if q.messages, err = buf.AllocSlice[msghdr](int(p.SQEntries)); err != nil {
		return q, err
	}
	word := func(offset uint32) *uint32 { return (*uint32)(unsafe.Add(q.mapping, offset)) }
	q.sqHead, q.sqTail, q.sqFlags = word(p.SQOffset.Head), word(p.SQOffset.Tail), word(p.SQOffset.Flags)
	q.cqHead, q.cqTail = word(p.CQOffset.Head), word(p.CQOffset.Tail)
	q.cqes = unsafe.Slice((*cqe)(unsafe.Add(q.mapping, p.CQOffset.Cqes)), p.CQEntries)
	if withArray {
		// Entries are submitted in the order they lie, so the indirection is set
		// once and for all.
		for i := range p.SQEntries {
			*word(p.SQOffset.Array + 4*i) = i
		}
	}
	return q, nil
}

func mapRing(fd int, offset uint64, length uintptr) (unsafe.Pointer, error) {
	return unix.MmapPtr(fd, int64(offset), nil, length, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
}

// unmap gives back what mapQueues mapped, also when it failed half way.
func (q *queues) unmap() {
	if q.messages != nil {
		_ = buf.FreeSlice(q.messages)
	}
	if q.sqes != nil {
		_ = unix.MunmapPtr(unsafe.Pointer(unsafe.SliceData(q.sqes)), uintptr(len(q.sqes))*unsafe.Sizeof(sqe{}))
	}
	if q.mapping != nil {
		_ = unix.MunmapPtr(q.mapping, q.mapped)
	}
	*q = queues{}
}

// unsubmitted counts the entries that the kernel has not taken. It is asked of
// the kernel's own head, because an interrupted call does not say how many it
// took.
func (q *queues) unsubmitted() uint32 { return q.sqLocal - atomic.LoadUint32(q.sqHead) }

// full reports whether no submission entry is free.
func (q *queues) full() bool { return q.unsubmitted() == uint32(len(q.sqes)) }

// take is the next submission entry, cleared, and its number. The queue is not
// full.
func (q *queues) take() (*sqe, uint32) {
	i := q.sqLocal & uint32(len(q.sqes)-1)
	q.sqLocal++
	e := &q.sqes[i]
	e.Reset()
	return e, i
}

// publish shows the kernel every entry taken so far.
func (q *queues) publish() uint32 {
	atomic.StoreUint32(q.sqTail, q.sqLocal)
	return q.unsubmitted()
}

// asksForEntry reports whether completions wait that only appear when we enter.
func (q *queues) asksForEntry() bool {
	return atomic.LoadUint32(q.sqFlags)&(sqTaskrun|abi.IORING_SQ_CQ_OVERFLOW) != 0
}

// next copies the oldest completion and frees its place.
func (q *queues) next() (e cqe, ok bool) {
	if q.cqLocal == atomic.LoadUint32(q.cqTail) {
		return e, false
	}
	e = q.cqes[q.cqLocal&uint32(len(q.cqes)-1)]
	q.cqLocal++
	return e, true
}

// release lets the kernel reuse the places of completions copied so far.
func (q *queues) release() { atomic.StoreUint32(q.cqHead, q.cqLocal) }
