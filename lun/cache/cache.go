package cache

import (
	"fmt"
	"sync/atomic"

	"lunar/lun/blk"
)

const (
	// PageBytes is the unit of the cache: aligned ranges of this size are kept or
	// not as a whole.
	PageBytes = 4096
	// MinBytes is the smallest cache. With less, what is on its way in or out is
	// no longer small beside what is held.
	MinBytes = 1 << 20
)

// Config describes a cache.
type Config struct {
	// Inner is the medium behind; it is closed with the cache.
	Inner blk.Backend
	// Memory is what the cache holds data in: a multiple of PageBytes, at least
	// MinBytes, and outside the Go heap when it is large.
	Memory []byte
	// Free takes the memory back at Close; nil when the caller keeps it.
	Free func([]byte) error
}

// Backend is a medium with a read cache in front of it.
type Backend struct {
	cfg          Config
	info         blk.Info
	pages        *pages
	hits, misses atomic.Uint64
}

// New puts a cache in front of cfg.Inner. When it fails, medium and memory stay
// the caller's.
func New(cfg Config) (*Backend, error) {
	if n := len(cfg.Memory); n < MinBytes || n%PageBytes != 0 {
		return nil, fmt.Errorf("cache: size is %d bytes; use a multiple of %d of at least %d", n, PageBytes, MinBytes)
	}
	b := &Backend{cfg: cfg, info: cfg.Inner.Info()}
	b.info.CacheBytes = int64(len(cfg.Memory))
	p, err := newPages(cfg.Memory, (b.info.Bytes+PageBytes-1)/PageBytes)
	if err != nil {
		return nil, fmt.Errorf("cache of %d bytes: %w", len(cfg.Memory), err)
	}
	b.pages = p
	return b, nil
}

// Info describes the medium behind, and that there is a cache before it: one for reads
// changes nothing else of it.
func (b *Backend) Info() blk.Info { return b.info }

// Describe names the medium and the cache in messages.
func (b *Backend) Describe() string {
	return fmt.Sprintf("%s, cache %d bytes", b.cfg.Inner.Describe(), len(b.cfg.Memory))
}

// Counters are the reads answered from the cache, and those that went to the
// medium. It may be called from any goroutine.
func (b *Backend) Counters() (hits, misses uint64) { return b.hits.Load(), b.misses.Load() }

// Close ends the cache, closes the medium and gives the memory back.
func (b *Backend) Close() error {
	mem := b.cfg.Memory
	if mem == nil {
		return nil
	}
	b.cfg.Memory = nil
	b.pages.close()
	err := b.cfg.Inner.Close()
	if b.cfg.Free == nil {
		return err
	}
	if ferr := b.cfg.Free(mem); ferr != nil && err == nil {
		err = fmt.Errorf("free %d bytes of a cache: %w", len(mem), ferr)
	}
	return err
}
