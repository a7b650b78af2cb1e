package bench

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"lunar/initiator"
	"lunar/scsi/sam"
)

// Opcodes of the load (SBC-3 §5).
const (
	opRead16  = 0x88
	opWrite16 = 0x8a
)

// job is the load of one session. Everything but ops belongs to the session's
// reader goroutine while requests are in progress.
type job struct {
	session    port
	lun        sam.LUN
	blockBytes int // logical block
	unitBytes  int // of one operation
	first      int64
	units      int64 // operations fit from unit first on

	slots  []slot
	rng    uint64
	mix    Mix
	cursor int64
	ledger *ledger // of Verify, or nil

	// pick chooses the next operation; it is false when there is none.
	pick func(*slot) bool
	// stop, in time since base, ends a phase; 0 is never. What starts before
	// measure is not counted.
	base          time.Time
	stop, measure time.Duration
	hist          *hdrhistogram.Histogram
	ops           atomic.Uint64
	busy          int
	idle          chan struct{}
	err           error
}

// slot is one place in the queue: a request that is used again and again.
type slot struct {
	req   initiator.Request
	cdb   [16]byte
	buf   []byte
	j     *job
	unit  int64
	write bool
	begun time.Duration
}

func newJob(s port, lun sam.LUN, blockBytes int, o *Options, index int) *job {
	j := &job{
		session: s, lun: lun, blockBytes: blockBytes, unitBytes: o.BlockBytes,
		mix: o.Mix, rng: stamp{seed: o.Seed, lba: uint64(index)}.start(), base: time.Now(), hist: newHistogram(),
	}
	j.slots = make([]slot, o.Depth)
	memory := make([]byte, o.Depth*o.BlockBytes)
	for i := range j.slots {
		sl := &j.slots[i]
		sl.j = j
		sl.buf = memory[i*o.BlockBytes : (i+1)*o.BlockBytes : (i+1)*o.BlockBytes]
		sl.req.LUN = j.lun
		sl.req.Attribute = sam.Simple
		sl.req.CDB = sl.cdb[:]
		sl.req.Done = sl.done
	}
	return j
}

// run keeps every slot busy until pick or the clock says that it is over, and waits
// for the last request.
func (j *job) run(pick func(*slot) bool, measure, stop time.Duration) error {
	j.pick, j.measure, j.stop = pick, measure, stop
	j.idle = make(chan struct{})
	// One more than is busy, so that no request ending early closes idle.
	j.busy = len(j.slots) + 1
	// The first requests start under Done's rule too: one goroutine at a time. A
	// slot that ends at once would otherwise race with the slots still starting.
	start := &initiator.Request{Done: func(*initiator.Request) { j.begin() }}
	start.LUN, start.CDB = j.lun, make([]byte, 6) // TEST UNIT READY
	if err := j.session.Submit(start); err != nil {
		return err
	}
	j.session.Flush()
	<-j.idle
	return j.err
}

func (j *job) begin() {
	for i := range j.slots {
		j.slots[i].next()
	}
	j.leave()
}

func (j *job) leave() {
	j.busy--
	if j.busy == 0 {
		close(j.idle)
	}
}

// next starts the slot's next operation, or retires the slot.
func (sl *slot) next() {
	j := sl.j
	now := time.Since(j.base)
	if j.err != nil || j.stop > 0 && now >= j.stop || !j.pick(sl) {
		j.leave()
		return
	}
	sl.begun = now
	if err := j.session.Submit(sl.prepare()); err != nil {
		j.fail(err)
		j.leave()
	}
}

// prepare writes the request of the operation that pick chose.
func (sl *slot) prepare() *initiator.Request {
	j := sl.j
	byteOffset := (j.first + sl.unit) * int64(j.unitBytes)
	binary.BigEndian.PutUint64(sl.cdb[2:], uint64(byteOffset)/uint64(j.blockBytes))
	binary.BigEndian.PutUint32(sl.cdb[10:], uint32(j.unitBytes/j.blockBytes))
	if sl.write {
		sl.cdb[0] = opWrite16
		sl.req.Out, sl.req.In = sl.buf, nil
	} else {
		sl.cdb[0] = opRead16
		sl.req.Out, sl.req.In = nil, sl.buf
	}
	return &sl.req
}

// done takes the end of an operation and goes on with the next.
func (sl *slot) done(r *initiator.Request) {
	j := sl.j
	if err := r.Err; err != nil {
		j.fail(err)
	} else if r.Result.Status != sam.Good {
		j.fail(fmt.Errorf("bench: block %d: %w", binary.BigEndian.Uint64(sl.cdb[2:]), r.Result.Error(sl.cdb[0])))
	} else if sl.begun >= j.measure {
		record(j.hist, time.Since(j.base)-sl.begun)
		j.ops.Add(1)
	}
	if j.ledger != nil && j.err == nil {
		j.ledger.done(sl)
	}
	sl.next()
}

func (j *job) fail(err error) { j.err = errors.Join(j.err, err) }

// random is the next number below n.
func (j *job) random(n int64) int64 {
	j.rng = step(j.rng)
	return int64(j.rng >> 1 % uint64(n))
}

// pickMix chooses by the mix.
func (j *job) pickMix(sl *slot) bool {
	sl.write = j.mix.ReadPercent < 100 && j.random(100) >= int64(j.mix.ReadPercent)
	if j.mix.Random {
		sl.unit = j.random(j.units)
		return true
	}
	sl.unit = j.cursor
	if j.cursor++; j.cursor == j.units {
		j.cursor = 0
	}
	return true
}
