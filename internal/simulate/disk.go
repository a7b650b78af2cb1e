package simulate

import (
	"encoding/binary"

	"lunar/lun/blk"
	"lunar/reactor"
)

// disk is a medium that sees everything: whose blocks come, in which order, how often,
// and what of it would survive a loss of power.
type disk struct {
	w      *world
	unit   int
	bytes  []byte
	state  []blockState
	model  model
	fd     int32
	queues []*queue
	// errors are requests that failed, broken how many are to fail.
	errors []diskError
	broken int
}

// blockState is what the medium knows of a block: the number of the command that wrote
// it last, how often it was written, and whether that is durable.
type blockState struct {
	id      uint32
	version int
	durable bool
}

// diskError is a range that could not be moved, from its submission on.
type diskError struct{ lba, blocks, moment int }

func newDisk(w *world, unit int, memory []byte) *disk {
	clear(memory)
	d := &disk{w: w, unit: unit, bytes: memory, state: make([]blockState, unitBlocks), fd: w.rings[0].OpenFile(0)}
	for i := range d.state {
		d.state[i].durable = true
	}
	d.model = newModel()
	return d
}

// Info implements blk.Backend.
func (d *disk) Info() blk.Info {
	return blk.Info{
		Bytes: unitBlocks * blockBytes, BlockBytes: blockBytes, PhysicalBytes: blockBytes,
		Thin: true, DiscardBytes: blockBytes, VolatileCache: true,
	}
}

// Describe implements blk.Backend.
func (d *disk) Describe() string { return "simulated" }

// Close implements blk.Backend.
func (d *disk) Close() error { return nil }

// fill writes the content of a block that a command put at an address: its number, and
// words that depend on number, address and place. Everywhere says that the content is
// the same at every address.
func fill(block []byte, id uint32, lba int) {
	clear(block[:8])
	binary.BigEndian.PutUint32(block, id)
	binary.BigEndian.PutUint32(block[4:], uint32(lba))
	x := uint64(id)<<32 | uint64(uint32(lba))
	for i := 8; i < len(block); i += 8 {
		binary.BigEndian.PutUint64(block[i:], x*0x9e3779b97f4a7c15+uint64(i))
	}
}

// everywhere is the address in blocks of WRITE SAME.
const everywhere = -1

// identify is the number of the command whose block this is. It is false for what no
// command can have put there.
func identify(block []byte, lba int) (id uint32, ok bool) {
	id = binary.BigEndian.Uint32(block)
	at := int(int32(binary.BigEndian.Uint32(block[4:])))
	if id == 0 {
		for i := 0; i < len(block); i += 8 {
			if binary.BigEndian.Uint64(block[i:]) != 0 {
				return 0, false
			}
		}
		return 0, true
	}
	x := uint64(id)<<32 | uint64(uint32(at))
	for i := 8; i < len(block); i += 8 {
		if binary.BigEndian.Uint64(block[i:]) != x*0x9e3779b97f4a7c15+uint64(i) {
			return 0, false
		}
	}
	return id, at == lba || at == everywhere
}

// move carries out the blocks from..to of a request.
func (d *disk) move(r *blk.Request, from, to int) {
	for i := from; i < to; i++ {
		lba := int(r.Offset)/blockBytes + i
		block := d.bytes[lba*blockBytes:][:blockBytes]
		switch r.Op {
		case blk.Read:
			copy(r.Data[i*blockBytes:], block)
		case blk.Write:
			d.write(r, lba, block, r.Data[i*blockBytes:][:blockBytes])
		case blk.Discard, blk.Zero:
			clear(block)
			s := &d.state[lba]
			*s = blockState{version: s.version + 1}
		case blk.Sync, blk.Map:
		}
	}
}

// write puts a block on the medium, after a look at whose it is.
func (d *disk) write(r *blk.Request, lba int, block, data []byte) {
	id, ok := identify(data, lba)
	if !ok || id == 0 || int(id) > len(d.w.ids) {
		d.w.fail("foreign bytes", "unit %d: block %d gets bytes that no command sent for it: %x", d.unit, lba, data[:16])
		return
	}
	t := d.w.ids[id-1]
	t.reaches(d, lba, binary.BigEndian.Uint32(block))
	copy(block, data)
	s := &d.state[lba]
	*s = blockState{id: id, version: s.version + 1, durable: r.FUA}
}

// queue is the disk on one core.
type queue struct {
	d     *disk
	loop  *reactor.Loop
	kind  reactor.Kind
	index uint32
	slots []flight
	free  []uint32
	count int
}

// flight is a request on its way: moved blocks of it went at once, the rest will when it
// ends.
type flight struct {
	r        *blk.Request
	moved    int
	moment   int
	failing  bool
	versions []int // of each block when a Sync began
}

func newQueue(d *disk, loop *reactor.Loop, kind reactor.Kind, index uint32) blk.Queue {
	q := &queue{d: d, loop: loop, kind: kind, index: index}
	d.queues = append(d.queues, q)
	return q
}

// Running implements blk.Queue.
func (q *queue) Running() int { return q.count }

// Submit implements blk.Queue.
func (q *queue) Submit(batch, done []*blk.Request) []*blk.Request {
	for _, r := range batch {
		f := q.begin(r)
		if q.d.w.plan.Settings.Slow == 0 {
			done = append(done, q.end(&f))
			continue
		}
		q.count++
		if len(q.free) == 0 {
			q.free = append(q.free, uint32(len(q.slots)))
			q.slots = append(q.slots, flight{})
		}
		slot := q.free[len(q.free)-1]
		q.free = q.free[:len(q.free)-1]
		q.slots[slot] = f
		q.loop.Submit(reactor.Op{Code: reactor.Sync, Token: reactor.NewToken(q.kind, 0, q.index<<16|slot), FD: q.d.fd})
	}
	return done
}

// Complete implements blk.Queue.
func (q *queue) Complete(slot uint32, _ int32, done []*blk.Request) []*blk.Request {
	f := q.slots[slot]
	q.slots[slot] = flight{}
	q.free = append(q.free, slot)
	q.count--
	return append(done, q.end(&f))
}

// begin looks at a request and moves a part of it, if the medium is one that tears.
func (q *queue) begin(r *blk.Request) flight {
	d := q.d
	d.w.moved = true
	f := flight{r: r, moment: d.w.now()}
	blocks := int(r.Length) / blockBytes
	d.w.say("   disk %d: %s lba=%d blocks=%d fua=%v", d.unit, opName(r.Op), r.Offset/blockBytes, blocks, r.FUA)
	switch r.Op {
	case blk.Write:
		d.arrange(r)
	case blk.Sync:
		for i := range d.state {
			f.versions = append(f.versions, d.state[i].version)
		}
		return f
	case blk.Map:
		return f
	case blk.Read, blk.Discard, blk.Zero:
	}
	if d.broken > 0 && !d.w.calm && d.w.dice.oneIn(2) {
		d.broken--
		f.failing = true
		d.errors = append(d.errors, diskError{int(r.Offset) / blockBytes, blocks, f.moment})
	}
	if d.w.plan.Settings.Torn != 0 {
		f.moved = d.w.dice.below(blocks + 1)
		d.move(r, 0, f.moved)
	}
	return f
}

// end carries out the rest of a request.
func (q *queue) end(f *flight) *blk.Request {
	d, r := q.d, f.r
	d.w.moved = true
	blocks := int(r.Length) / blockBytes
	d.w.say("   disk %d: %s lba=%d ends failing=%v", d.unit, opName(r.Op), r.Offset/blockBytes, f.failing)
	switch {
	case f.failing:
		r.Result, r.Progress = blk.MediumError, int64(f.moved*blockBytes)
		return r
	case r.Op == blk.Sync:
		for i := range d.state {
			if d.state[i].version == f.versions[i] {
				d.state[i].durable = true
			}
		}
	case r.Op == blk.Map:
		r.Progress = r.Length
	default:
		d.move(r, f.moved, blocks)
	}
	r.Result = blk.OK
	return r
}

// arrange looks at the order in which writes come (RFC 3720 §3.2.2.1, SAM-5 §8.5): one
// that is ORDERED passes nothing of its session, and nothing of it passes.
func (d *disk) arrange(r *blk.Request) {
	id := binary.BigEndian.Uint32(r.Data)
	if id == 0 || int(id) > len(d.w.ids) {
		return // move says so
	}
	t := d.w.ids[id-1]
	if t.concluded() {
		d.w.fail("late write", "unit %d: a write of %s begins though it is over: %s", d.unit, t, t.how)
	}
	t.submitted = true
	for _, q := range d.queues {
		for _, f := range q.slots {
			if f.r == nil || f.r.Op != blk.Write {
				continue
			}
			if u := d.w.ids[binary.BigEndian.Uint32(f.r.Data)-1]; u.excludes(t) {
				d.w.fail("order", "unit %d: %s and %s are with the medium at once", d.unit, u, t)
			}
		}
	}
	for _, u := range t.host.tasks {
		if u.submitted && u.excludes(t) && t.sn.Less(u.sn) {
			d.w.fail("order", "unit %d: %s comes behind %s", d.unit, t, u)
		}
	}
}

func opName(o blk.Op) string {
	return [...]string{blk.Read: "read", blk.Write: "write", blk.Sync: "sync", blk.Discard: "discard", blk.Zero: "zero", blk.Map: "map"}[o]
}
