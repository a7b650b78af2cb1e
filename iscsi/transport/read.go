package transport

import (
	"lunar/iscsi/session"
	"lunar/lun/blk"
	"lunar/scsi/sam"
)

// read starts a read whose extent is known.
func (c *Conn) read(t *task) {
	if t.s.In.Total > 0 && t.s.Extent.FUA && t.unit.Info().VolatileCache {
		// SBC-3 §5.10 FUA: what is read comes from the medium, so what is cached goes
		// there first.
		t.sync = blk.Request{Op: blk.Sync, Tag: c.handle(t) | syncChunk<<chunkShift}
		t.syncing = true
		t.moving++
		c.stack.local.Move(t.unit, &t.sync)
		return
	}
	c.progress(t)
}

// syncChunk stands in a tag for the flush before a read.
const syncChunk = chunkMask

// moved takes the end of a request of a task.
func (c *Conn) moved(t *task, i int) {
	t.moving--
	if i == syncChunk {
		t.syncing = false
		if t.sync.Result != blk.OK {
			k := chunk{Request: t.sync}
			c.failMedium(t, &k)
		}
		c.progress(t)
		return
	}
	k := &t.chunks[i]
	k.moving, k.done = false, true
	if t.s.Phase == session.Aborting {
		c.quiet(t)
		return
	}
	if t.s.Action != sam.ReadMedium {
		c.movedOut(t, uint8(i))
		return
	}
	if k.Result != blk.OK {
		c.failMedium(t, k)
	}
	c.progress(t)
}

// progressRead asks the medium for more pieces, and says how much is there in
// one line from the start.
func (c *Conn) progressRead(t *task) {
	if t.syncing {
		return
	}
	if c.phase == parked {
		// Nobody takes it; who does will read it again.
		if t.moving == 0 {
			c.dropData(t)
		}
		return
	}
	for i := range t.count {
		k := t.chunkAt(i)
		if !k.done {
			break
		}
		t.ready = max(t.ready, k.end())
	}
	total := t.s.In.Total
	for t.issued < total && t.count < maxChunks {
		// Pieces end where they would in a read from the start.
		if !c.readChunk(t, min(total-t.issued, chunkBytes-t.issued%chunkBytes)) {
			break
		}
	}
	if t.ready == total {
		// All of it is here, so GOOD stands and rides on the last Data-In.
		t.s.Status = sam.Good
		c.sess.Responded(t.s)
	}
	if t.ready > t.s.In.Sent || t.ready == total {
		c.enqueue(t)
	}
}

// readChunk asks the medium for the next piece. A connection that holds much
// already waits until some of it was sent.
func (c *Conn) readChunk(t *task, n uint32) bool {
	if c.readBytes+int(n) > c.stack.limits.ReadBytes && c.readBytes > 0 {
		c.stack.starve(c)
		return false
	}
	block := t.unit.Info().BlockBytes
	b := c.stack.borrow(int((n + block - 1) / block * block))
	if b == nil {
		c.stack.starve(c)
		return false
	}
	k := t.push(b, t.issued, n)
	k.read = int(n)
	t.issued += n
	c.readBytes += k.read
	c.move(t, t.count-1, reading)
	return true
}

// source is the memory of data-in at an offset, and how far it reaches.
func (t *task) source(offset uint32) (data []byte, end uint32) {
	if t.buffer != nil {
		return t.buffer.Bytes()[offset:t.s.In.Total], t.s.In.Total
	}
	k := t.chunkAt(0)
	return k.buf.Bytes()[offset-k.offset : k.bytes], k.end()
}
