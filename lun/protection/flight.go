package protection

import (
	"lunar/lun/blk"
	"lunar/scsi/pi"
)

// maxFlights is how many requests are under way at a time.
const maxFlights = 64

// stage is what a flight has asked its media for last.
type stage uint8

const (
	// stageBoth: both media are read, or flushed.
	stageBoth stage = iota
	// stageAlone: the data alone.
	stageAlone
	// stageForget: the blocks say nothing in their protection information any more.
	stageForget
	// stageData: then the data changes.
	stageData
	// stageStore: then their protection information is written.
	stageStore
)

// flight is a request under way, and what it asks of each medium.
type flight struct {
	outer        *blk.Request
	data, tuples blk.Request
	// memory holds protection information as it is stored.
	memory  []byte
	stage   stage
	pending uint8
	result  blk.Result
	// progress is what the request is told, or how many bytes of its blocks have their
	// protection information already.
	progress, stored int64
}

// begin starts a request that may start, in place n.
func (f *flight) begin(q *Queue, r *blk.Request, n uint32) {
	f.outer, f.pending, f.result, f.progress, f.stored = r, 0, blk.OK, 0, 0
	f.data, f.tuples = *r, blk.Request{}
	f.data.Tag, f.data.Tuples, f.data.Bare = uint64(n), nil, false
	switch {
	case r.Op == blk.Map || q.b.format.Type == pi.Type0 && r.Op != blk.Sync:
		f.stage = stageAlone
		f.askData(q)
	case r.Op == blk.Sync:
		f.stage = stageBoth
		f.askData(q)
		f.askTuples(q, blk.Sync, nil)
	case r.Op == blk.Read:
		f.stage = stageBoth
		f.askData(q)
		f.askTuples(q, blk.Read, f.place())
	case q.b.cfg.Lasting || f.forgets():
		f.stage = stageForget
		f.forget(q)
	default:
		f.stage = stageData
		f.askData(q)
	}
}

// forgets says that the blocks of the request say nothing in their protection information
// when it has ended.
func (f *flight) forgets() bool { return f.outer.Op == blk.Discard || f.outer.Bare }

// place is where the protection information of the request is read to.
func (f *flight) place() []byte {
	if f.outer.Tuples != nil {
		return f.outer.Tuples
	}
	return f.memory
}

func (f *flight) askData(q *Queue) {
	f.pending++
	q.dataBatch = append(q.dataBatch, &f.data)
}

// askTuples asks for op on the protection information of the blocks from f.stored on, as
// far as they have room in memory; without memory of all of them.
func (f *flight) askTuples(q *Queue, op blk.Op, memory []byte) {
	r := f.outer
	n := (r.Length - f.stored) / q.b.block * pi.Bytes
	if memory != nil {
		n = min(n, int64(len(memory)))
		memory = memory[:n]
	}
	f.tuples = blk.Request{
		Op: op, FUA: r.FUA && op == blk.Write, Tag: f.data.Tag,
		Offset: (r.Offset + f.stored) / q.b.block * pi.Bytes, Length: n, Data: memory,
	}
	f.pending++
	q.tupleBatch = append(q.tupleBatch, &f.tuples)
}

// forget has the blocks say nothing: zeros, as it is stored.
func (f *flight) forget(q *Queue) {
	zeros := q.b.cfg.Memory[maxFlights*tupleBytes:][:tupleBytes]
	switch n := f.outer.Length / q.b.block * pi.Bytes; {
	case n <= tupleBytes && !f.forgets():
		// Soon it is written again: no hole is worth it.
		f.askTuples(q, blk.Write, zeros)
	case q.b.cfg.Tuples.Info().Thin:
		f.askTuples(q, blk.Discard, nil)
	default:
		f.askTuples(q, blk.Zero, nil)
	}
}

// goOn takes the end of a stage that succeeded. It is false when that was the last one.
func (f *flight) goOn(q *Queue) bool {
	switch f.stage {
	case stageBoth:
		if f.outer.Op == blk.Read {
			f.check(q.b)
		}
		return false
	case stageAlone:
		f.progress, f.outer.Hole, f.outer.Anchored = f.data.Progress, f.data.Hole, f.data.Anchored
		return false
	case stageForget:
		f.stage = stageData
		f.askData(q)
		return true
	case stageData:
		if f.forgets() {
			return false
		}
		f.stage = stageStore
	case stageStore:
		f.stored += f.tuples.Length / pi.Bytes * q.b.block
	}
	if f.stored == f.outer.Length {
		return false
	}
	f.store(q)
	return true
}

// store writes the protection information of what was written, of a long Zero a part.
func (f *flight) store(q *Queue) {
	b, r := q.b, f.outer
	blocks := min((r.Length-f.stored)/b.block, int64(len(f.memory)/pi.Bytes))
	part := f.memory[:blocks*pi.Bytes]
	switch {
	case r.Tuples != nil:
		copy(part, r.Tuples[f.stored/b.block*pi.Bytes:])
	case r.Op == blk.Write:
		b.format.Generate(part, r.Data[f.stored:], int(b.block), uint64((r.Offset+f.stored)/b.block))
	default:
		b.format.GenerateZeros(part, uint64((r.Offset+f.stored)/b.block))
	}
	pi.Invert(part)
	f.askTuples(q, blk.Write, part)
}

// check ends a read: with what its protection information says of its data, or, where it is
// asked for, by handing it over.
func (f *flight) check(b *Backend) {
	r, tuples := f.outer, f.tuples.Data
	pi.Invert(tuples)
	if r.Tuples != nil {
		return
	}
	e := b.format.Plain(uint64(r.Offset / b.block))
	block, wrong := e.Verify(tuples, r.Data, int(b.block))
	switch wrong {
	case pi.Guard:
		f.result = blk.WrongGuard
	case pi.Reference:
		f.result = blk.WrongReferenceTag
	case pi.Application:
		f.result = blk.WrongApplicationTag
	default:
		return
	}
	f.progress = int64(block) * b.block
}
