package descriptor

import (
	"lunar/lun/blk"
	"lunar/reactor"

	"golang.org/x/sys/unix"
)

const (
	// slots is how many requests of one queue are with the kernel at a time; more
	// wait here, where they cost nothing.
	slots = 256

	// slotBits is the width of the slot in a token; the rest of the index is the
	// number of the queue.
	slotBits = 16

	// maxRetries bounds how often one operation is started again without progress
	// after EINTR or EAGAIN.
	maxRetries = 1000
)

// Loop starts operations; *reactor.Loop is one.
type Loop interface{ Submit(op reactor.Op) }

// Stages of a slot. Most requests have only the first.
const (
	// stageMain is the operation the request names.
	stageMain = iota
	// stageZeros writes zeros where the medium cannot zero a range.
	stageZeros
	// stageFlush makes a deallocation durable when every write has to be.
	stageFlush
)

// slot is one request with the kernel.
type slot struct {
	request    *blk.Request
	generation uint32
	retries    uint16
	stage      uint8
}

// Queue is the submission side of a medium on one reactor.
type Queue struct {
	m     *Medium
	loop  Loop
	kind  reactor.Kind
	index uint32

	slot [slots]slot
	free []uint32
	// waiting are the requests without a slot.
	waiting blk.Line
	running int
	// noZero is set when the medium turned out to lack the operation.
	noZero bool
}

// NewQueue returns a queue whose operations carry tokens of kind with
// index<<16 | slot. The owner hands completions of such a token to Complete with
// the low 16 bits of its index.
func (m *Medium) NewQueue(loop Loop, kind reactor.Kind, index uint32) *Queue {
	q := &Queue{m: m, loop: loop, kind: kind, index: index, free: make([]uint32, slots)}
	for i := range q.free {
		q.free[i] = uint32(slots - 1 - i)
	}
	return q
}

// Running is the number of requests submitted and not yet reported.
func (q *Queue) Running() int { return q.running }

// Submit starts the batch; what has no slot waits. Requests that end at once,
// because they cannot be served, are appended to done.
func (q *Queue) Submit(batch, done []*blk.Request) []*blk.Request {
	for _, r := range batch {
		r.Result, r.Progress = blk.Running, 0
		q.running++
		if len(q.free) == 0 {
			q.waiting.Join(r)
			continue
		}
		done = q.start(r, done)
	}
	return done
}

// start gives r a slot and its first operation, or ends it.
func (q *Queue) start(r *blk.Request, done []*blk.Request) []*blk.Request {
	if result := q.refuse(r); result != blk.Running {
		return q.report(r, result, done)
	}
	if r.Op == blk.Map {
		return q.report(r, q.m.mapped(r), done)
	}
	n := q.free[len(q.free)-1]
	q.free = q.free[:len(q.free)-1]
	s := &q.slot[n]
	*s = slot{request: r, generation: s.generation + 1}
	if r.Op == blk.Zero && q.noZero {
		s.stage = stageZeros
	}
	q.submit(n)
	return done
}

// refuse returns how a request ends that is not to be tried.
func (q *Queue) refuse(r *blk.Request) blk.Result {
	i, bytes := &q.m.cfg.Info, q.m.bytes.Load()
	switch {
	case q.m.lost.Load():
		return blk.NotReady
	case r.Op == blk.Sync && q.m.syncFailed.Load():
		return blk.MediumError
	case r.Op == blk.Sync:
		return blk.Running
	case r.Op < blk.Read || r.Op > blk.Map,
		r.Op != blk.Read && r.Op != blk.Map && i.ReadOnly,
		r.Op == blk.Discard && !i.Thin:
		return blk.Unsupported
	case r.Offset < 0 || r.Length < 0 || r.Offset > bytes || r.Length > bytes-r.Offset:
		// A write behind the end would make the file grow.
		return blk.MediumError
	case r.Length == 0:
		return blk.OK
	}
	return blk.Running
}

// submit starts the next operation of slot n.
func (q *Queue) submit(n uint32) {
	s := &q.slot[n]
	r := s.request
	op := reactor.Op{
		Token:  reactor.NewToken(q.kind, s.generation, q.index<<slotBits|n),
		FD:     int32(q.m.cfg.FD),
		Offset: r.Offset + r.Progress,
	}
	if q.m.cfg.Async {
		op.Flags |= reactor.Async
	}
	switch {
	case s.stage == stageFlush || r.Op == blk.Sync:
		op.Code, op.Offset = reactor.Sync, 0
	case s.stage == stageZeros:
		op.Code, op.Data = reactor.Write, q.m.zeros[:min(r.Length-r.Progress, int64(len(q.m.zeros)))]
		op.Flags |= q.dsync(false)
	case r.Op == blk.Read:
		op.Code, op.Data = reactor.Read, r.Data[r.Progress:]
	case r.Op == blk.Write:
		op.Code, op.Data = reactor.Write, r.Data[r.Progress:]
		op.Flags |= q.dsync(r.FUA)
	case r.Op == blk.Discard:
		op.Code, op.Length = reactor.Discard, r.Length
	case r.Op == blk.Zero:
		op.Code, op.Length = reactor.Zero, r.Length
	}
	q.loop.Submit(op)
}

// dsync is the flag of a write that must be durable when it is reported (SBC-3
// §4.15): every one without a volatile cache, those with FUA otherwise.
func (q *Queue) dsync(fua bool) reactor.Flag {
	if fua || q.m.cfg.SyncWrites {
		return reactor.DSync
	}
	return 0
}

// Complete takes the end of the operation in slot n and starts the next one of
// its request, or reports the request and gives the slot to one that waits.
func (q *Queue) Complete(n uint32, result int32, done []*blk.Request) []*blk.Request {
	s := &q.slot[n]
	r := s.request
	if r == nil {
		return done // nothing of ours runs there
	}
	end := q.advance(s, result)
	if end == blk.Running {
		q.submit(n)
		return done
	}
	s.request = nil
	q.free = append(q.free, n)
	done = q.report(r, end, done)
	for q.waiting.Len() > 0 && len(q.free) > 0 {
		done = q.start(q.waiting.Next(), done)
	}
	return done
}

func (q *Queue) report(r *blk.Request, result blk.Result, done []*blk.Request) []*blk.Request {
	q.running--
	r.Result = result
	return append(done, r)
}

// advance decides what an operation that ended means for its request: Running
// when the slot has another operation to start.
func (q *Queue) advance(s *slot, result int32) blk.Result {
	if result < 0 {
		return q.fail(s, unix.Errno(-result))
	}
	s.retries = 0
	r := s.request
	if s.stage == stageFlush || r.Op == blk.Sync {
		return blk.OK
	}
	if s.stage == stageMain && (r.Op == blk.Discard || r.Op == blk.Zero) {
		if q.m.cfg.SyncWrites {
			s.stage = stageFlush
			return blk.Running
		}
		return blk.OK
	}
	moved := int64(result)
	if q.m.cfg.Direct {
		// The rest must start at a block again, so a torn block is done over.
		moved &^= int64(q.m.cfg.Info.BlockBytes) - 1
	}
	if moved == 0 {
		// End of file inside the capacity, or a write of nothing: the file was cut
		// under us, and repeating would not end.
		return q.m.reconsider(r, blk.MediumError)
	}
	if r.Progress += moved; r.Progress < r.Length {
		return blk.Running
	}
	return blk.OK
}

// fail decides what an errno means for the request of s.
func (q *Queue) fail(s *slot, e unix.Errno) blk.Result {
	r := s.request
	if e == unix.EINTR || e == unix.EAGAIN {
		if s.retries++; s.retries <= maxRetries {
			return blk.Running
		}
		return blk.MediumError
	}
	if s.stage == stageMain && e == unix.EOPNOTSUPP && (r.Op == blk.Zero || r.Op == blk.Discard) {
		q.noZero = q.noZero || r.Op == blk.Zero
		s.stage = stageZeros
		return blk.Running
	}
	if q.lostPages(s, e) {
		q.m.syncFailed.Store(true)
	}
	return q.m.reconsider(r, resultOf(e))
}

// lostPages says whether a failure may have dropped data of requests that were
// reported OK. A flush tells of each lost page once, to whoever flushes first,
// and a write through the page cache with DSync is a flush too: what it covered
// is gone, so no later flush of this descriptor may be called good.
func (q *Queue) lostPages(s *slot, e unix.Errno) bool {
	if s.stage == stageFlush || s.request.Op == blk.Sync {
		return true
	}
	writes := s.request.Op == blk.Write || s.stage == stageZeros
	return writes && e == unix.EIO && !q.m.cfg.Direct && q.dsync(s.request.FUA) != 0
}

// resultOf maps an errno to what a unit can tell an initiator.
func resultOf(e unix.Errno) blk.Result {
	switch e {
	case unix.ENOSPC, unix.EDQUOT, unix.EFBIG:
		return blk.NoSpace
	case unix.ENODEV, unix.ENXIO, unix.ENOMEDIUM, unix.ENOLINK, unix.ESTALE, unix.ESHUTDOWN, unix.ENOTCONN:
		return blk.NotReady
	case unix.EOPNOTSUPP:
		return blk.Unsupported
	default:
		return blk.MediumError
	}
}
