package lun

import (
	"testing"

	"lunar/internal/buf"
	"lunar/lun/blk"
	"lunar/scsi"
)

const (
	testBytes = 8 << 20
	testBlock = 512
	// home is where the unit of a world lives, away another reactor.
	home, away = 0, 1
)

// disk is a medium in memory. While it holds, requests wait for the test.
type disk struct {
	mem  []byte
	free map[int64]bool // blocks that are deallocated
	hold bool
	held []*blk.Request
	// refuse says how a request ends that is not to succeed; Running serves it.
	refuse func(r *blk.Request) blk.Result
	served map[blk.Op]int
}

func newDisk() *disk {
	d := &disk{mem: make([]byte, testBytes), free: map[int64]bool{}, served: map[blk.Op]int{}}
	for i := range d.mem[:1<<16] {
		d.mem[i] = byte(i>>9)*3 | 1
	}
	d.repeat(1 << 16)
	return d
}

// repeat lays out the first n bytes again and again.
func (d *disk) repeat(n int) {
	for ; n < len(d.mem); n *= 2 {
		copy(d.mem[n:], d.mem[:n])
	}
}

func (d *disk) Info() blk.Info {
	return blk.Info{
		Bytes: testBytes, BlockBytes: testBlock, PhysicalBytes: testBlock,
		Thin: true, DiscardBytes: testBlock, VolatileCache: true,
	}
}
func (d *disk) Describe() string { return "disk of a test" }
func (d *disk) Close() error     { return nil }
func (d *disk) Running() int     { return len(d.held) }

func (d *disk) Submit(batch, done []*blk.Request) []*blk.Request {
	for _, r := range batch {
		if d.hold {
			d.held = append(d.held, r)
			continue
		}
		done = append(done, d.serve(r))
	}
	return done
}

// Complete ends the held request in slot.
func (d *disk) Complete(slot uint32, _ int32, done []*blk.Request) []*blk.Request {
	r := d.held[slot]
	d.held = append(d.held[:slot], d.held[slot+1:]...)
	return append(done, d.serve(r))
}

func (d *disk) serve(r *blk.Request) *blk.Request {
	d.served[r.Op]++
	if d.refuse != nil {
		if r.Result = d.refuse(r); r.Result != blk.Running {
			return r
		}
	}
	r.Result = blk.OK
	mem := d.mem[r.Offset : r.Offset+r.Length]
	switch r.Op {
	case blk.Read:
		copy(r.Data, mem)
	case blk.Write:
		copy(mem, r.Data)
	case blk.Zero:
		clear(mem)
	case blk.Discard:
		clear(mem)
		for at := r.Offset; at < r.Offset+r.Length; at += testBlock {
			d.free[at] = true
		}
	case blk.Map:
		r.Hole = d.free[r.Offset]
		for r.Progress < r.Length && d.free[r.Offset+r.Progress] == r.Hole {
			r.Progress += testBlock
		}
	}
	return r
}

// world is two reactors, one unit at home on the first, and the messages between
// them, which arrive when the test says so.
type world struct {
	t      reporter
	locals [2]*Local
	pools  [2]*buf.Pool
	unit   *Unit
	disk   *disk
	// pipes holds the messages under way by sender and receiver: those of one
	// sender stay in order, as in a mailbox.
	pipes [2][2][]Message
	// events are those of both reactors so far, by the owner they are for.
	events map[uint64][]Event
}

// reporter is a *testing.T or a *rapid.T.
type reporter interface {
	Helper()
	Fatalf(format string, args ...any)
}

type post struct {
	w    *world
	from int
}

func (p post) Post(to int, m Message) {
	p.w.pipes[p.from][to] = append(p.w.pipes[p.from][to], m)
}

func newWorld(t testing.TB) *world { return newWorldOf(t, scsi.Config{}) }

// newWorldOf is a world whose device server is made of cfg.
func newWorldOf(t testing.TB, cfg scsi.Config) *world {
	t.Helper()
	w := &world{t: t, disk: newDisk(), events: map[uint64][]Event{}}
	for r := range w.locals {
		p, err := buf.NewPool(buf.Class{Bytes: blk.MaxRequestBytes, Count: 8})
		if err != nil {
			t.Fatal(err)
		}
		w.pools[r] = p
		t.Cleanup(func() {
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		})
		w.locals[r] = NewLocal(r, p, post{w, r})
	}
	cfg.Info = w.disk.Info()
	w.unit = NewUnit(home, scsi.New(cfg), w.disk)
	w.locals[home].Attach(w.unit, func(uint32) blk.Queue { return w.disk })
	return w
}

// pass delivers the oldest message from one reactor to another; false if none.
func (w *world) pass(from, to int) bool {
	p := w.pipes[from][to]
	if len(p) == 0 {
		return false
	}
	w.pipes[from][to] = p[1:]
	w.locals[to].Receive(p[0])
	return true
}

// turn ends the turn of one reactor and keeps its events.
func (w *world) turn(r int) (worked bool) {
	w.locals[r].Work()
	for {
		again := w.locals[r].Flush()
		for _, e := range w.locals[r].Events() {
			again = true
			owner := e.ownerOf()
			if OwnerReactor(owner) != r {
				w.t.Fatalf("event %+v came to reactor %d", e, r)
			}
			w.events[owner] = append(w.events[owner], e)
		}
		if !again {
			return worked || w.locals[r].Idles()
		}
		worked = true
	}
}

func (e *Event) ownerOf() uint64 {
	switch e.Kind {
	case Begun, Executed:
		return e.Command.Owner
	case Moved:
		return e.Request.Tag
	case Managed:
		return e.Management.Owner
	}
	return e.Owner
}

// settle lets everything happen that can without the medium's help.
func (w *world) settle() {
	for again := true; again; {
		again = false
		for from := range w.pipes {
			for to := range w.pipes[from] {
				for w.pass(from, to) {
					again = true
				}
			}
			again = w.turn(from) || again
		}
		again = again || w.underWay()
	}
}

// underWay says whether messages wait to be passed.
func (w *world) underWay() bool {
	for from := range w.pipes {
		for to := range w.pipes[from] {
			if len(w.pipes[from][to]) > 0 {
				return true
			}
		}
	}
	return false
}

// take returns the events of an owner so far and forgets them.
func (w *world) take(owner uint64) []Event {
	all := w.events[owner]
	delete(w.events, owner)
	return all
}

// want settles and checks which kinds of events an owner has got.
func (w *world) want(owner uint64, kinds ...EventKind) []Event {
	w.t.Helper()
	w.settle()
	all := w.take(owner)
	ok := len(all) == len(kinds)
	for i := 0; ok && i < len(kinds); i++ {
		ok = all[i].Kind == kinds[i]
	}
	if !ok {
		w.t.Fatalf("owner %#x got %+v, want kinds %v", owner, all, kinds)
	}
	return all
}

// idle checks that nothing is under way and everything lent is back.
func (w *world) idle() {
	w.t.Helper()
	w.settle()
	l := w.locals[home]
	if n := l.Running(); n != 0 || len(l.freeSteps) != maxLocalSteps || len(l.programs)+len(l.compares) != 0 {
		w.t.Fatalf("%d running, %d slots free, %d programs and %d comparisons waiting",
			n, len(l.freeSteps), len(l.programs), len(l.compares))
	}
	for r, p := range w.pools {
		if p.Free() != p.Bytes() {
			w.t.Fatalf("reactor %d: %d of %d bytes are lent", r, p.Bytes()-p.Free(), p.Bytes())
		}
	}
	if s := &w.unit.sides[home].tasks; s.count != 0 || len(s.free) != len(s.entries) || len(s.functions) != 0 {
		w.t.Fatalf("task set holds %d commands, %d functions", s.count, len(s.functions))
	}
	for owner, e := range w.events {
		w.t.Fatalf("owner %#x got %+v, which nobody expected", owner, e)
	}
}
