package simulate

import (
	"errors"

	"lunar/engine"
	"lunar/internal/buf"
	"lunar/lun/blk"
)

// Memory is what a run stands on and gives back full: mapping it anew would cost more
// than a run. It serves one run after the other, in one goroutine.
type Memory struct {
	// ample and scarce are the two sizes of memory.
	ample, scarce []coreMemory
	// before is the last run of either, which leaves its memory for sends.
	before map[*coreMemory]*engine.Assembly
	media  [][]byte
}

// coreMemory is the memory of a core.
type coreMemory struct {
	unasked, staged, programs *buf.Pool
	recv                      []byte
	recvBytes, recvCount      int
}

const (
	maxCores = 3
	maxUnits = 2
	// maxCommands is how many commands may come on one core: those of all connections
	// there can be, twice because what is reinstated overlaps.
	maxCommands = 600
)

// NewMemory maps the memory of runs.
func NewMemory() (*Memory, error) {
	m := &Memory{before: map[*coreMemory]*engine.Assembly{}}
	for range maxUnits {
		m.media = append(m.media, make([]byte, unitBlocks*blockBytes))
	}
	for range maxCores {
		a, err := newCoreMemory(4096, 8,
			[]buf.Class{{Bytes: 4096, Count: 64}, {Bytes: 64 << 10, Count: 32}, {Bytes: blk.MaxRequestBytes, Count: 64}}, 4)
		s, serr := newCoreMemory(512, 2,
			[]buf.Class{{Bytes: 4096, Count: 2}, {Bytes: blk.MaxRequestBytes, Count: 1}}, 1)
		if err = errors.Join(err, serr); err != nil {
			return nil, err
		}
		m.ample, m.scarce = append(m.ample, a), append(m.scarce, s)
	}
	return m, nil
}

func newCoreMemory(recvBytes, recvCount int, staged []buf.Class, programs int) (c coreMemory, err error) {
	c.recvBytes, c.recvCount, c.recv = recvBytes, recvCount, make([]byte, recvBytes*recvCount)
	// A connection that joins a session reserves the longest first burst there is.
	unasked := []buf.Class{{Bytes: 4096, Count: maxCommands}, {Bytes: 8192, Count: maxCommands}, {Bytes: 64 << 10, Count: maxCommands}}
	if c.unasked, err = buf.NewPool(unasked...); err != nil {
		return c, err
	}
	if c.staged, err = buf.NewPool(staged...); err != nil {
		return c, err
	}
	c.programs, err = buf.NewPool(buf.Class{Bytes: blk.MaxRequestBytes, Count: programs})
	return c, err
}

// of is the memory of the cores of a run.
func (m *Memory) of(s *Settings) []coreMemory {
	if s.Scarce != 0 {
		return m.scarce[:s.Cores]
	}
	return m.ample[:s.Cores]
}

// inherit is the run whose memory for sends a core may take.
func (m *Memory) inherit(c *coreMemory) *engine.Assembly { return m.before[c] }

// leave notes the run that stood on the memory of cores.
func (m *Memory) leave(cores []coreMemory, a *engine.Assembly) {
	for i := range cores {
		m.before[&cores[i]] = a
	}
}
