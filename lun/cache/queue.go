package cache

import "lunar/lun/blk"

// flight is a request with the medium: the one that was submitted, and the one
// that goes on in its place. The submitter's keeps its tag; the other's is the
// place of the flight.
type flight struct {
	inner blk.Request
	outer *blk.Request
	// stamp is the sum of the generations of a read when it was submitted.
	stamp uint64
	// fills says that the read may be kept, changes that a change has begun.
	fills, changes bool
}

// maxBlocks is how many blocks a request can touch.
const maxBlocks = blk.MaxRequestBytes/PageBytes + 1

// Queue is the submission side of a cache and of the medium behind it.
type Queue struct {
	b     *Backend
	inner blk.Queue
	// flights grows to as many as were ever under way; free are those that are
	// not.
	flights []*flight
	free    []uint32
	// batch, ended and found are used within one call.
	batch, ended []*blk.Request
	found        [maxBlocks]uint32
}

// NewQueue returns the queue of the cache in front of inner, which is a queue of
// the medium behind. There is one at a time.
func (b *Backend) NewQueue(inner blk.Queue) *Queue { return &Queue{b: b, inner: inner} }

// Running is the number of requests submitted and not yet reported: those that
// the cache answers never run.
func (q *Queue) Running() int { return q.inner.Running() }

// Submit answers reads that are cached as a whole, and hands everything else to
// the medium in the order of the batch.
func (q *Queue) Submit(batch, done []*blk.Request) []*blk.Request {
	for _, r := range batch {
		if r.Op == blk.Read && q.serve(r) {
			done = append(done, r)
			continue
		}
		// Here and not when the batch goes out: a read behind a write of the same
		// batch must see that the write has begun.
		q.batch = append(q.batch, q.launch(r))
	}
	if len(q.batch) == 0 {
		return done
	}
	ended := q.inner.Submit(q.batch, q.ended[:0])
	clear(q.batch)
	q.batch = q.batch[:0]
	return q.land(ended, done)
}

// Complete takes the end of a ring operation of the medium.
func (q *Queue) Complete(slot uint32, result int32, done []*blk.Request) []*blk.Request {
	return q.land(q.inner.Complete(slot, result, q.ended[:0]), done)
}

// touched is the range of blocks that hold a byte of r; nothing for a request
// that is not on the medium, which the medium refuses.
func (q *Queue) touched(r *blk.Request) (from, to int64) {
	size := q.b.info.Bytes
	if r.Offset < 0 || r.Length <= 0 || r.Offset > size || r.Length > size-r.Offset {
		return 0, 0
	}
	return r.Offset / PageBytes, (r.Offset + r.Length + PageBytes - 1) / PageBytes
}

// whole is the range of blocks that r holds as a whole.
func (q *Queue) whole(r *blk.Request) (from, to int64) {
	if from, to = q.touched(r); from == to {
		return 0, 0
	}
	from, to = (r.Offset+PageBytes-1)/PageBytes, (r.Offset+r.Length)/PageBytes
	return from, max(from, to)
}

// serve answers a read when every block of it is cached.
func (q *Queue) serve(r *blk.Request) bool {
	from, to := q.touched(r)
	if from == to || to-from > maxBlocks {
		return false
	}
	p := q.b.pages
	found := q.found[:to-from]
	for i := range found {
		n, ok := p.find(from + int64(i))
		if !ok {
			q.b.misses.Add(1)
			return false
		}
		found[i] = n
	}
	// The first block is entered where the request begins.
	skip, data := r.Offset%PageBytes, r.Data
	for _, n := range found {
		data = data[copy(data, p.page(n)[skip:]):]
		skip = 0
	}
	q.b.hits.Add(1)
	r.Result = blk.OK
	return true
}

// launch makes the request that goes to the medium for r.
func (q *Queue) launch(r *blk.Request) *blk.Request {
	if len(q.free) == 0 {
		q.free = append(q.free, uint32(len(q.flights)))
		q.flights = append(q.flights, new(flight))
	}
	n := q.free[len(q.free)-1]
	q.free = q.free[:len(q.free)-1]
	f := q.flights[n]
	*f = flight{inner: *r, outer: r}
	f.inner.Tag = uint64(n)
	gens := &q.b.pages.gens
	switch r.Op {
	case blk.Read:
		from, to := q.whole(r)
		f.stamp, f.fills = gens.sum(from, to)
		f.fills = f.fills && from < to
	case blk.Write, blk.Discard, blk.Zero:
		gens.begin(q.touched(r))
		f.changes = true
	default:
		// Sync and Map change nothing and leave nothing to keep.
	}
	return &f.inner
}

// land takes what the medium ended and reports the requests behind it.
func (q *Queue) land(ended, done []*blk.Request) []*blk.Request {
	for _, inner := range ended {
		f := q.flights[inner.Tag]
		r := f.outer
		r.Result, r.Progress, r.Hole, r.Anchored = inner.Result, inner.Progress, inner.Hole, inner.Anchored
		switch {
		case f.changes:
			q.b.pages.gens.end(q.touched(r))
		case f.fills && r.Result == blk.OK:
			q.fill(f)
		}
		q.free = append(q.free, uint32(inner.Tag))
		f.outer, f.inner.Data = nil, nil
		done = append(done, r)
	}
	clear(ended)
	q.ended = ended[:0]
	return done
}

// fill offers what a read brought, unless something changed since it was
// submitted: then nobody knows whether it came before or after that.
func (q *Queue) fill(f *flight) {
	r, p := f.outer, q.b.pages
	from, to := q.whole(r)
	if stamp, settled := p.gens.sum(from, to); !settled || stamp != f.stamp {
		return
	}
	for b := from; b < to; b++ {
		at := b*PageBytes - r.Offset
		p.store(b, r.Data[at:at+PageBytes])
	}
}
