package ram

import (
	"fmt"

	"lunar/internal/buf"
	"lunar/lun/blk"
)

// pageBytes is the unit in which memory can be given back to the system, the
// smallest page of the systems we run on.
const pageBytes = 4096

// Config describes a medium in memory.
type Config struct {
	// Memory is page-aligned, zero, a multiple of BlockBytes, and outside the Go
	// heap when it is large.
	Memory []byte
	// BlockBytes is the logical block size, 512 or 4096.
	BlockBytes uint32
	// ReadOnly refuses every change.
	ReadOnly bool
	// Trim gives whole pages back to the system, after which they read as zeros.
	// Without it, or when it fails, they are cleared and stay allocated.
	Trim func([]byte) error
	// Free takes the memory back at Close; nil when the caller keeps it.
	Free func([]byte) error
}

// Backend is a medium in memory.
type Backend struct {
	cfg   Config
	pages pages
}

// New returns a medium in cfg.Memory.
func New(cfg Config) (*Backend, error) {
	n := len(cfg.Memory)
	switch {
	case cfg.BlockBytes != 512 && cfg.BlockBytes != 4096:
		return nil, fmt.Errorf("ram medium: block size is %d bytes; use 512 or 4096", cfg.BlockBytes)
	case n == 0 || n%int(cfg.BlockBytes) != 0:
		return nil, fmt.Errorf("ram medium: size is %d bytes; use a positive multiple of the block size, %d",
			n, cfg.BlockBytes)
	}
	return &Backend{cfg: cfg, pages: newPages(n)}, nil
}

// Info describes the medium. It is thin: a discard gives pages back.
func (b *Backend) Info() blk.Info {
	return blk.Info{
		Bytes:         int64(len(b.cfg.Memory)),
		BlockBytes:    b.cfg.BlockBytes,
		PhysicalBytes: b.cfg.BlockBytes,
		ReadOnly:      b.cfg.ReadOnly,
		Thin:          true,
		DiscardBytes:  pageBytes,
		// What ends the machine leaves nothing of it, and a copy is not interrupted.
		AtomicBytes: blk.MaxRequestBytes,
	}
}

// Usage implements blk.Meter: the store is the memory of this medium alone. A queue may
// change it meanwhile.
func (b *Backend) Usage() (blk.Usage, error) {
	size := int64(len(b.cfg.Memory))
	used := min(b.pages.allocated()*pageBytes, size)
	return blk.Usage{Used: used, Available: size - used, Known: true}, nil
}

// Describe names the medium in messages.
func (b *Backend) Describe() string { return fmt.Sprintf("ram %d bytes", len(b.cfg.Memory)) }

// Close gives the memory back.
func (b *Backend) Close() error {
	mem := b.cfg.Memory
	b.cfg.Memory = nil
	if mem == nil || b.cfg.Free == nil {
		return nil
	}
	if err := b.cfg.Free(mem); err != nil {
		return fmt.Errorf("free %d bytes of a ram medium: %w", len(mem), err)
	}
	return nil
}

// NewQueue returns a queue of the medium. There may be several, each on a reactor of
// its own: a read beside a write of the same block may then see some of both.
func (b *Backend) NewQueue() *Queue { return &Queue{b: b} }

// Queue serves requests at once.
type Queue struct {
	b *Backend
	// touched keeps the reads of touch from being dropped as useless.
	touched byte
}

// Submit serves the batch and appends all of it to done.
func (q *Queue) Submit(batch, done []*blk.Request) []*blk.Request {
	q.touch(batch)
	for _, r := range batch {
		r.Result = q.b.serve(r)
		done = append(done, r)
	}
	return done
}

// Complete has nothing to do: nothing ever runs.
func (q *Queue) Complete(_ uint32, _ int32, done []*blk.Request) []*blk.Request { return done }

// Running is always zero.
func (q *Queue) Running() int { return 0 }

// touch reads one byte of what each read will copy: the misses of the whole batch,
// of the cache and of address translation, are then under way at once instead of
// one after the other.
func (q *Queue) touch(batch []*blk.Request) {
	memory := q.b.cfg.Memory
	for _, r := range batch {
		if r.Op == blk.Read && uint64(r.Offset) < uint64(len(memory)) {
			q.touched += memory[r.Offset]
		}
	}
}

func (b *Backend) serve(r *blk.Request) blk.Result {
	if r.Op == blk.Sync {
		return blk.OK
	}
	if b.cfg.ReadOnly && r.Op != blk.Read && r.Op != blk.Map {
		return blk.Unsupported
	}
	size := int64(len(b.cfg.Memory))
	if r.Offset < 0 || r.Length < 0 || r.Offset > size || r.Length > size-r.Offset {
		return blk.MediumError
	}
	mem := b.cfg.Memory[r.Offset : r.Offset+r.Length]
	switch r.Op {
	case blk.Read:
		buf.Copy(r.Data, mem)
	case blk.Write:
		buf.Copy(mem, r.Data)
		b.pages.allocate(r.Offset, r.Offset+r.Length)
	case blk.Zero:
		clear(mem)
		b.pages.allocate(r.Offset, r.Offset+r.Length)
	case blk.Discard:
		b.discard(r.Offset, r.Offset+r.Length)
	case blk.Map:
		r.Progress, r.Hole = b.pages.run(r.Offset, r.Offset+r.Length)
	default:
		return blk.Unsupported
	}
	return blk.OK
}

// discard zeroes the bytes from..to, giving back the whole pages between them.
func (b *Backend) discard(from, to int64) {
	first, last := (from+pageBytes-1)&^(pageBytes-1), to&^(pageBytes-1)
	if b.cfg.Trim == nil || first >= last {
		clear(b.cfg.Memory[from:to])
		return
	}
	// Before the memory goes, so that a page which a write on another reactor fills
	// meanwhile is not called free.
	b.pages.free(first, last)
	if b.cfg.Trim(b.cfg.Memory[first:last]) != nil {
		clear(b.cfg.Memory[from:to])
		b.pages.allocate(first, last)
		return
	}
	clear(b.cfg.Memory[from:first])
	clear(b.cfg.Memory[last:to])
}
