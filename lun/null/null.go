package null

import (
	"fmt"

	"lunar/lun/blk"
)

// Backend is a medium without a store.
type Backend struct{ info blk.Info }

// New returns a medium of the given capacity, a multiple of blockBytes (512 or
// 4096).
func New(bytes int64, blockBytes uint32) (*Backend, error) {
	if blockBytes != 512 && blockBytes != 4096 {
		return nil, fmt.Errorf("null medium: block size is %d bytes; use 512 or 4096", blockBytes)
	}
	if bytes <= 0 || bytes%int64(blockBytes) != 0 {
		return nil, fmt.Errorf("null medium: size is %d bytes; use a positive multiple of the block size, %d",
			bytes, blockBytes)
	}
	// Thin with any granularity: a range that reads as zeros anyway can be
	// discarded at no cost.
	return &Backend{blk.Info{
		Bytes: bytes, BlockBytes: blockBytes, PhysicalBytes: blockBytes,
		Thin: true, DiscardBytes: blockBytes,
	}}, nil
}

// Info describes the medium.
func (b *Backend) Info() blk.Info { return b.info }

// Describe names the medium in messages.
func (b *Backend) Describe() string { return fmt.Sprintf("null %d bytes", b.info.Bytes) }

// Close has nothing to give back.
func (b *Backend) Close() error { return nil }

// NewQueue returns a queue of the medium.
func (b *Backend) NewQueue() *Queue { return &Queue{b.info.Bytes} }

// Queue ends every request at once.
type Queue struct{ bytes int64 }

// Submit ends the batch and appends all of it to done.
func (q *Queue) Submit(batch, done []*blk.Request) []*blk.Request {
	for _, r := range batch {
		r.Result = q.serve(r)
		done = append(done, r)
	}
	return done
}

func (q *Queue) serve(r *blk.Request) blk.Result {
	if r.Op < blk.Read || r.Op > blk.Map {
		return blk.Unsupported
	}
	if r.Op == blk.Sync {
		return blk.OK
	}
	if r.Offset < 0 || r.Length < 0 || r.Offset > q.bytes || r.Length > q.bytes-r.Offset {
		return blk.MediumError
	}
	switch r.Op {
	case blk.Read:
		clear(r.Data)
	case blk.Map:
		// Nothing is ever stored, so every block is deallocated.
		r.Progress, r.Hole = r.Length, true
	default:
		// What is written is forgotten.
	}
	return blk.OK
}

// Complete has nothing to do: nothing ever runs.
func (q *Queue) Complete(_ uint32, _ int32, done []*blk.Request) []*blk.Request { return done }

// Running is always zero.
func (q *Queue) Running() int { return 0 }
