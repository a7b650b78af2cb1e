package transport

import (
	"lunar/internal/buf"
	"lunar/internal/invariant"
	"lunar/iscsi/session"
	"lunar/lun"
	"lunar/lun/blk"
	"lunar/scsi"
)

// maxChunks is how many pieces of one transfer are in memory at once; more only
// queue behind each other.
const maxChunks = 4

// chunkBytes is the largest piece.
const chunkBytes = blk.MaxRequestBytes

// MaxListBytes is the most parameter data of one command: both halves of the longest
// COMPARE AND WRITE. The pool of staged data has buffers of that size.
const MaxListBytes = scsi.MaxListBytes

// chunk is one piece of a transfer in memory, and its request to the medium.
type chunk struct {
	blk.Request
	buf *buf.Buf
	// offset and bytes are the range of the transfer.
	offset, bytes uint32
	// read is how much data-in it counts for in Conn.readBytes.
	read   int
	moving bool
	done   bool
	// written says of a piece that is verified that the write has ended, merged of one that
	// is ORed that what was there is in it.
	written, merged bool
}

func (k *chunk) end() uint32 { return k.offset + k.bytes }

// task is what a connection keeps for each slab element of its session.
type task struct {
	s          *session.Task
	generation uint32
	progress
	// chunks is a ring in transfer order; what is outside of it means nothing.
	chunks [maxChunks]chunk
}

// progress is how far a task has come: what starts anew with the next one.
type progress struct {
	unit *lun.Unit

	first  uint8
	count  uint8
	moving uint8
	// began: the unit's task set holds the command; asking: the unit has it now;
	// syncing: what is cached goes to the medium before a read asks it.
	// executing: what it has is an Execute. While the unit has a command, nothing of
	// it may be read here.
	began, asking, syncing, executing bool
	queued                            bool
	ended                             bool // said its last; over when it leaves the queue
	late                              bool // a function that no longer waits
	sync                              blk.Request

	// buffer is the memory of an Execute.
	buffer *buf.Buf
	// issued is how far a read was asked of the medium, ready how far it came.
	issued, ready uint32

	// functions counts the units a task management function waits for. waiter is
	// the first function that waits for this task to end, next the one behind.
	functions int
	// answer is what a function that asks is told.
	answer       *lun.Management
	waiter, next *task
	// kept is what is kept of its data-in (keep.go). rewound: its transfer went back into
	// that.
	kept    int32
	rewound bool
	// orphan is what a command was before it was reassigned, until it has begun anew.
	orphan *Orphan
	// found is the command that a function has found and that waits for a place here.
	found    *Orphan
	deadline int64
	waits    bool // counted in Conn.aborts

	// ending is what it waits for when it is aborted; told: its initiator hears of it;
	// lingers: it is over but for its place (fastabort.go).
	ending        ending
	told, lingers bool
	// tells: when it is quiet it has a status, TASK ABORTED.
	tells bool
	// held: a fence that stands holds its response up. fenced: a fence around it is up,
	// or asked for, with token if the directory knows it, and awaits that many answers.
	// passes: no fence holds it up (fence.go).
	held, fenced, passes bool
	awaits               uint8
	token                uint32
}

// chunkAt is the i-th piece in transfer order.
func (t *task) chunkAt(i uint8) *chunk { return &t.chunks[(t.first+i)%maxChunks] }

// tail is the offset behind the last piece.
func (t *task) tail() uint32 {
	if t.count == 0 {
		return 0
	}
	return t.chunkAt(t.count - 1).end()
}

// push adds a piece behind the last one.
func (t *task) push(b *buf.Buf, offset, bytes uint32) *chunk {
	k := t.chunkAt(t.count)
	t.count++
	k.buf, k.offset, k.bytes = b, offset, bytes
	k.read, k.moving, k.done, k.written, k.merged = 0, false, false, false, false
	return k
}

// pop takes the first piece off and returns its buffer.
func (t *task) pop() *buf.Buf {
	k := t.chunkAt(0)
	b := k.buf
	k.buf = nil
	t.first = (t.first + 1) % maxChunks
	t.count--
	return b
}

// dropData gives the memory back that nothing touches any more.
func (c *Conn) dropData(t *task) {
	for t.count > 0 {
		c.readBytes -= t.chunkAt(0).read
		release(t.pop())
	}
	release(t.buffer)
	t.buffer = nil
}

// motion is what the medium is asked for with a piece: to fill it, to take it, to be
// compared with it, or to be merged into it.
type motion uint8

const (
	reading motion = iota
	writing
	comparing
	merging
)

// move asks the medium for the request of the i-th piece. Only writing changes it: what a
// comparison or a merge says of a failure it says of a read.
func (c *Conn) move(t *task, i uint8, how motion) {
	i = (t.first + i) % maxChunks
	k := &t.chunks[i]
	block := int64(t.unit.Info().BlockBytes)
	n := int64(k.bytes)
	if how == reading {
		n = (n + block - 1) / block * block
	} else {
		invariant.Check(n%block == 0 || k.end() == t.s.Out.Total, "transport: a piece ends inside a block")
		n = n / block * block
	}
	if n == 0 {
		k.done = true
		return
	}
	e, op := &t.s.Extent, blk.Read
	if how == writing {
		op = blk.Write
	}
	k.Request = blk.Request{
		Op: op, FUA: e.FUA && op == blk.Write, Offset: e.Offset + int64(k.offset), Length: n,
		Data: k.buf.Bytes()[:n], Tag: c.handle(t) | uint64(i)<<chunkShift,
	}
	k.moving = true
	t.moving++
	switch how {
	case comparing:
		c.stack.local.Compare(t.unit, &k.Request)
	case merging:
		c.stack.local.Merge(t.unit, &k.Request)
	case reading, writing:
		c.stack.local.Move(t.unit, &k.Request)
	}
}

// enqueue lets a task say something when the turn ends.
func (c *Conn) enqueue(t *task) {
	if c.phase == parked || c.removing && t != c.logout {
		return
	}
	if !t.queued {
		t.queued = true
		c.queue = append(c.queue, t)
	}
	c.stack.touch(c)
}

// over ends a task: its response is in a batch, or it was aborted and is quiet.
// The unit forgets it, its memory is free, and functions that waited go on.
func (c *Conn) over(t *task) {
	if t.queued {
		for i, q := range c.queue {
			if q == t {
				c.queue = append(c.queue[:i], c.queue[i+1:]...)
				break
			}
		}
	}
	c.dropData(t)
	if t.kept != 0 {
		c.dropList(&t.kept)
	}
	c.textBytes -= len(t.s.Text)
	t.s.Text = nil
	if t.fenced {
		c.unfence(t)
	}
	if t.lingers {
		c.lingering--
	}
	if t.waits {
		c.aborts--
	}
	waiter, found := c.concede(t), t.found
	t.progress = progress{}
	t.generation++
	t.s.Owner = c.handle(t)
	if found != nil {
		c.crowded--
		c.inherit(found)
	}
	c.ready(waiter)
	c.logoutReady()
	switch {
	case c.phase == parked:
		c.shrink()
	case c.crowded > 0 && c.phase == fullFeature && c.logout == nil:
		c.settle()
	}
}

// concede has the unit forget a command, and returns the functions that waited for it.
func (c *Conn) concede(t *task) (waiter *task) {
	if t.began {
		c.stack.local.Finish(t.unit, &t.s.Command)
		t.began = false
	}
	waiter, t.waiter = t.waiter, nil
	return waiter
}

// ready has the functions answered that waited for a task.
func (c *Conn) ready(waiter *task) {
	for waiter != nil {
		w := waiter
		waiter, w.next = w.next, nil
		if w.s.Kind == session.KindManage && c.phase == fullFeature {
			c.respond(w)
		}
	}
}

// respond lets the response of a task go as soon as it may.
func (c *Conn) respond(t *task) {
	c.sess.Responded(t.s)
	c.enqueue(t)
	if c.phase == parked {
		c.stand(t)
	}
}
