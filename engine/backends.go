package engine

import (
	"errors"
	"fmt"
	"time"

	"lunar/internal/buf"
	"lunar/lun/blk"
	"lunar/lun/block"
	"lunar/lun/cache"
	"lunar/lun/descriptor"
	"lunar/lun/file"
	"lunar/lun/null"
	"lunar/lun/ram"
	"lunar/reactor"
)

// lockWait is how long a file or device may still be held by a predecessor that was killed:
// its last disk operation has to end first.
const lockWait = 3 * time.Second

// medium is a backend and how a reactor gets its queue.
type medium struct {
	blk.Backend
	queue func(loop *reactor.Loop, index uint32) blk.Queue
	// shared says that several reactors may each have a queue.
	shared bool
	// store is the medium itself, behind a cache if there is one.
	store blk.Backend
}

// openMedium opens the backend of a logical unit, behind a cache and with protection
// information when it has them.
func openMedium(l Unit) (medium, error) {
	m, err := openBackend(l)
	if err != nil {
		return medium{}, err
	}
	m.store = m.Backend
	if l.Cache > 0 {
		c, err := openCache(m, l.Cache)
		if err != nil {
			return medium{}, errors.Join(err, m.Close())
		}
		m = c
	}
	if !l.Protects {
		return m, nil
	}
	p, err := openProtected(m, l)
	if err != nil {
		return medium{}, errors.Join(err, m.Close())
	}
	return p, nil
}

// openCache puts a cache of n bytes in front of a medium.
func openCache(m medium, n int64) (medium, error) {
	memory, err := buf.Alloc(int(n))
	if err != nil {
		return medium{}, fmt.Errorf("cache of %d bytes: %w; give a smaller cache=", n, err)
	}
	b, err := cache.New(cache.Config{Inner: m.Backend, Memory: memory, Free: buf.Free})
	if err != nil {
		return medium{}, errors.Join(err, buf.Free(memory))
	}
	// A cache has one queue: its bookkeeping is the home's alone.
	return medium{Backend: b, store: m.store, queue: func(loop *reactor.Loop, index uint32) blk.Queue {
		return b.NewQueue(m.queue(loop, index))
	}}, nil
}

// openBackend opens the medium itself: one line for each kind.
func openBackend(l Unit) (medium, error) {
	switch l.Medium {
	case RAM:
		return openRAM(l)
	case Null:
		b, err := null.New(l.Bytes, l.BlockBytes)
		if err != nil {
			return medium{}, err
		}
		return medium{Backend: b, queue: func(*reactor.Loop, uint32) blk.Queue { return b.NewQueue() }, shared: true}, nil
	case File:
		return openFile(l)
	case Block:
		return openBlock(l)
	}
	return medium{}, fmt.Errorf("unknown medium %q", l.Medium)
}

func openRAM(l Unit) (medium, error) {
	m, err := buf.Alloc(int(l.Bytes))
	if err != nil {
		return medium{}, fmt.Errorf("ram of %d bytes: %w; give a smaller size", l.Bytes, err)
	}
	b, err := ram.New(ram.Config{Memory: m, BlockBytes: l.BlockBytes, Trim: buf.Trim, Free: buf.Free})
	if err != nil {
		return medium{}, err
	}
	return medium{Backend: b, queue: func(*reactor.Loop, uint32) blk.Queue { return b.NewQueue() }, shared: true}, nil
}

func openFile(l Unit) (medium, error) {
	if err := strayTuples(l); err != nil {
		return medium{}, err
	}
	mode := map[string]file.Mode{"auto": file.Auto, "on": file.On, "off": file.Off}[l.Direct]
	b, err := file.Open(file.Config{
		Path: l.Path, Bytes: l.Bytes, BlockBytes: l.BlockBytes, Direct: mode, SyncWrites: l.Sync,
		Create: l.Bytes > 0, LockWait: lockWait,
	})
	if err != nil {
		return medium{}, err
	}
	return onDescriptor(b, b.NewQueue), nil
}

func openBlock(l Unit) (medium, error) {
	b, err := block.Open(block.Config{Path: l.Path, BlockBytes: l.BlockBytes, SyncWrites: l.Sync, LockWait: lockWait})
	if err != nil {
		return medium{}, err
	}
	return onDescriptor(b, b.NewQueue), nil
}

// onDescriptor is a medium whose queues start operations of the loop.
func onDescriptor(b blk.Backend, queue func(descriptor.Loop, reactor.Kind, uint32) *descriptor.Queue) medium {
	return medium{Backend: b, shared: true, queue: func(loop *reactor.Loop, index uint32) blk.Queue { return queue(loop, kindDisk, index) }}
}
