package transport

import (
	"lunar/iscsi/session"
	"lunar/lun"
)

// A task's owner handle is its connection, slab index, chunk and generation.
const (
	genBits    = 20
	genMask    = 1<<genBits - 1
	chunkShift = genBits
	chunkMask  = 7
	taskShift  = chunkShift + 3
	taskMask   = session.MaxTasks - 1
	connShift  = taskShift + 15
	connMask   = 1<<16 - 1
)

func (c *Conn) handle(t *task) uint64 {
	return lun.Owner(c.stack.reactor, uint64(c.index)<<connShift|uint64(t.s.Index())<<taskShift|uint64(t.generation&genMask))
}

// owner finds the task of a handle, nil when it is gone.
func (s *Stack) owner(h uint64) (*Conn, *task) {
	i := int(h >> connShift & connMask)
	if i >= len(s.conns) {
		return nil, nil
	}
	c := s.conns[i]
	n := int(h >> taskShift & taskMask)
	if n >= len(c.tasks) || c.tasks[n].generation&genMask != uint32(h&genMask) {
		return nil, nil
	}
	s.active = c
	return c, &c.tasks[n]
}
