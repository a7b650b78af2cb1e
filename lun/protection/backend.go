package protection

import (
	"errors"
	"fmt"

	"lunar/lun/blk"
	"lunar/scsi/pi"
)

// tupleBytes is the protection information that is in memory for a request at once: that of
// the longest Read or Write of the shortest blocks.
const tupleBytes = blk.MaxRequestBytes / 512 * pi.Bytes

// MemoryBytes is how much memory a Backend needs.
const MemoryBytes = (maxFlights + 1) * tupleBytes

// Config describes a medium that is to have protection information.
type Config struct {
	// Data is the medium, Tuples the one beside it, of pi.Bytes at least for each block of
	// Data. Both are closed with the Backend.
	Data, Tuples blk.Backend
	// Memory is MemoryBytes of zeros outside the Go heap.
	Memory []byte
	// Free takes the memory back at Close; nil when the caller keeps it.
	Free func([]byte) error
	// Lasting says that both media are there after the process has ended, however it did.
	Lasting bool
}

// Backend is a medium with protection information.
type Backend struct {
	cfg    Config
	format pi.Format
	block  int64
}

// New puts protection information beside the blocks of cfg.Data. When it fails, media and
// memory stay the caller's.
func New(cfg Config) (*Backend, error) {
	if len(cfg.Memory) < MemoryBytes {
		return nil, fmt.Errorf("protection information: %d bytes of memory; give %d", len(cfg.Memory), MemoryBytes)
	}
	i := cfg.Data.Info()
	if have, need := cfg.Tuples.Info().Bytes, int64(i.Blocks())*pi.Bytes; have < need {
		return nil, fmt.Errorf("protection information of %s: %s has %d bytes and not %d; give it that size",
			cfg.Data.Describe(), cfg.Tuples.Describe(), have, need)
	}
	return &Backend{cfg: cfg, block: int64(i.BlockBytes)}, nil
}

// Protect says how the unit is formatted: without protection information until it is told.
// Nothing that changes or reads blocks is under way, unless a FORMAT UNIT did not wait for it
// (HEAD OF QUEUE), whose blocks say nothing in the end. It is called at the unit's home, or
// before there is a queue.
func (b *Backend) Protect(f pi.Format) { b.format = f }

// Info describes the medium.
func (b *Backend) Info() blk.Info {
	i := b.cfg.Data.Info()
	i.Protected = true
	i.VolatileCache = i.VolatileCache || b.cfg.Tuples.Info().VolatileCache
	i.AtomicBytes = min(i.AtomicBytes, blk.MaxProtectedBytes)
	if b.cfg.Lasting {
		i.AtomicBytes = 0 // two media are not written as one
	}
	return i
}

// Describe names the medium in messages.
func (b *Backend) Describe() string { return b.cfg.Data.Describe() + ", protection information" }

// Close closes both media and gives the memory back.
func (b *Backend) Close() error {
	mem := b.cfg.Memory
	if mem == nil {
		return nil
	}
	b.cfg.Memory = nil
	err := errors.Join(b.cfg.Data.Close(), b.cfg.Tuples.Close())
	if b.cfg.Free != nil {
		err = errors.Join(err, b.cfg.Free(mem))
	}
	return err
}
