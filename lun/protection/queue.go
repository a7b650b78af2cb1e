package protection

import (
	"lunar/lun/blk"
	"lunar/scsi/pi"
)

// TuplesSlot in a slot of Complete says that the operation is one of the queue of the tuples.
const TuplesSlot = 1 << 15

// Queue is the submission side of both media.
type Queue struct {
	b            *Backend
	data, tuples blk.Queue

	flights [maxFlights]flight
	free    []uint32
	// waiting are the requests that have not begun.
	waiting blk.Line
	running int
	// dataBatch, tupleBatch and ended are used within one call.
	dataBatch, tupleBatch, ended []*blk.Request
}

// NewQueue returns the queue of the medium over a queue of each of its media. There is one
// at a time.
func (b *Backend) NewQueue(data, tuples blk.Queue) *Queue {
	q := &Queue{b: b, data: data, tuples: tuples, free: make([]uint32, maxFlights)}
	for i := range q.flights {
		q.free[i] = uint32(maxFlights - 1 - i)
		q.flights[i].memory = b.cfg.Memory[i*tupleBytes:][:tupleBytes:tupleBytes]
	}
	return q
}

// Running is the number of requests submitted and not yet reported.
func (q *Queue) Running() int { return q.running }

// Submit starts what may start; the rest waits.
func (q *Queue) Submit(batch, done []*blk.Request) []*blk.Request {
	for _, r := range batch {
		r.Result, r.Progress = blk.Running, 0
	}
	q.waiting.Join(batch...)
	q.running += len(batch)
	return q.pump(done)
}

// Complete takes the end of a ring operation of one of the media.
func (q *Queue) Complete(slot uint32, result int32, done []*blk.Request) []*blk.Request {
	var ended []*blk.Request
	if slot&TuplesSlot != 0 {
		ended = q.tuples.Complete(slot&^TuplesSlot, result, q.ended[:0])
	} else {
		ended = q.data.Complete(slot, result, q.ended[:0])
	}
	return q.pump(q.land(ended, done))
}

// pump starts what waits and hands over what flights ask of their media, until neither
// brings anything more: media that answer at once are asked again at once.
func (q *Queue) pump(done []*blk.Request) []*blk.Request {
	for {
		done = q.admit(done)
		if len(q.dataBatch)+len(q.tupleBatch) == 0 {
			return done
		}
		if len(q.dataBatch) > 0 {
			ended := q.data.Submit(q.dataBatch, q.ended[:0])
			q.dataBatch = q.dataBatch[:0]
			done = q.land(ended, done)
		}
		if len(q.tupleBatch) > 0 {
			ended := q.tuples.Submit(q.tupleBatch, q.ended[:0])
			q.tupleBatch = q.tupleBatch[:0]
			done = q.land(ended, done)
		}
	}
}

// admit starts what waits, in order: behind one that may not start nobody does, so that
// none waits for ever.
func (q *Queue) admit(done []*blk.Request) []*blk.Request {
	for q.waiting.Len() > 0 {
		r := q.waiting.First()
		if result := q.refuse(r); result != blk.Running {
			q.waiting.Next()
			done = q.report(r, result, done)
			continue
		}
		if len(q.free) == 0 || q.meets(r) {
			break
		}
		q.waiting.Next()
		n := q.free[len(q.free)-1]
		q.free = q.free[:len(q.free)-1]
		q.flights[n].begin(q, r, n)
	}
	return done
}

// refuse returns how a request ends that is not to be tried: nothing is to be done to one
// of the media when the other one would refuse.
func (q *Queue) refuse(r *blk.Request) blk.Result {
	i := q.b.cfg.Data.Info()
	switch {
	case r.Op == blk.Sync:
		return blk.Running
	case r.Op < blk.Read || r.Op > blk.Map,
		r.Op != blk.Read && r.Op != blk.Map && i.ReadOnly,
		r.Op == blk.Discard && !i.Thin,
		r.Tuples != nil && (r.Op != blk.Read && r.Op != blk.Write || q.b.format.Type == pi.Type0):
		return blk.Unsupported
	case r.Offset < 0 || r.Length < 0 || r.Offset > i.Bytes || r.Length > i.Bytes-r.Offset:
		return blk.MediumError
	case r.Length == 0:
		return blk.OK
	}
	return blk.Running
}

// meets says whether r touches blocks of a request under way, and one of the two changes
// them.
func (q *Queue) meets(r *blk.Request) bool {
	if r.Op == blk.Sync || r.Op == blk.Map || q.b.format.Type == pi.Type0 {
		return false
	}
	for i := range q.flights {
		o := q.flights[i].outer
		if o == nil || o.Op == blk.Sync || o.Op == blk.Map || o.Op == blk.Read && r.Op == blk.Read {
			continue
		}
		if r.Offset < o.Offset+o.Length && o.Offset < r.Offset+r.Length {
			return true
		}
	}
	return false
}

// land takes what one of the media ended.
func (q *Queue) land(ended, done []*blk.Request) []*blk.Request {
	for _, inner := range ended {
		f := &q.flights[inner.Tag]
		f.pending--
		if f.result == blk.OK && inner.Result != blk.OK {
			f.result = inner.Result
			f.progress = 0
			if inner == &f.data {
				f.progress = inner.Progress
			}
		}
		if f.pending > 0 || f.result == blk.OK && f.goOn(q) {
			continue
		}
		r := f.outer
		r.Progress = f.progress
		f.outer, f.data.Data, f.tuples.Data = nil, nil, nil
		q.free = append(q.free, uint32(inner.Tag))
		done = q.report(r, f.result, done)
	}
	clear(ended)
	q.ended = ended[:0]
	return done
}

func (q *Queue) report(r *blk.Request, result blk.Result, done []*blk.Request) []*blk.Request {
	q.running--
	r.Result = result
	return append(done, r)
}
