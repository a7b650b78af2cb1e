package bench

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"lunar/initiator"
	"lunar/initiator/drive"
	"lunar/scsi/sam"
)

// Opcodes of the load (SBC-3 §5).
const (
	opRead16  = 0x88
	opWrite16 = 0x8a
)

// job is the load of one session. It belongs to the loop's goroutine while requests
// are in progress.
type job struct {
	session    port
	loop       *drive.Loop
	lun        sam.LUN
	blockBytes int // logical block
	unitBytes  int // of one operation
	unitBlocks uint64
	first      int64
	units      int64 // operations fit from unit first on

	slots  []slot
	rng    uint64
	mix    Mix
	cursor int64
	ledger *ledger // of Verify, or nil

	// pick chooses the next operation; it is false when there is none.
	pick func(*slot) bool
	// base is the loop's time at which the phase began. stop, counted from it, ends
	// the phase; 0 is never. What starts before measure is not counted; the gauge sets
	// it when it begins.
	base, stop, measure time.Duration
	pace                pace
	hist                *hdrhistogram.Histogram // of all jobs of the run
	ops                 uint64
	busy                int
	idle                chan struct{}
	err                 error
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
		unitBlocks: uint64(o.BlockBytes / blockBytes),
		mix:        o.Mix, rng: stamp{seed: o.Seed, lba: uint64(index)}.start(),
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
		binary.BigEndian.PutUint32(sl.cdb[10:], uint32(j.unitBlocks))
	}
	return j
}

// run keeps every slot busy until pick or the clock says that it is over, and waits
// for the last request.
func (j *job) run(pick func(*slot) bool, stop time.Duration) error {
	j.pick, j.stop = pick, stop
	j.idle = make(chan struct{})
	// One more than is busy, so that no request ending early closes idle.
	j.busy = len(j.slots) + 1
	if err := j.loop.Call(j.begin); err != nil {
		return err
	}
	select {
	case <-j.idle:
		return j.err
	case <-j.loop.Done():
		// A loop that fails leaves slots that wait for their time behind.
		return errors.Join(j.err, j.loop.Err())
	}
}

func (j *job) begin() {
	for i := range j.slots {
		j.slots[i].next()
	}
	j.session.Flush()
	j.leave()
}

func (j *job) leave() {
	j.busy--
	if j.busy == 0 {
		close(j.idle)
	}
}

// now is when this turn's replies had been received, since base.
func (j *job) now() time.Duration { return j.loop.Now() - j.base }

// next starts the slot's next operation, lets it wait until that is due, or retires
// the slot.
func (sl *slot) next() {
	j := sl.j
	begun := j.now()
	if j.err != nil || j.stop > 0 && begun >= j.stop {
		j.leave()
		return
	}
	if j.pace.interval > 0 {
		var due bool
		if begun, due = j.pace.take(sl, begun); !due {
			return
		}
	}
	sl.start(begun)
}

// start starts an operation whose time counts from begun.
func (sl *slot) start(begun time.Duration) {
	j := sl.j
	if !j.pick(sl) {
		j.leave()
		return
	}
	sl.begun = begun
	if err := j.session.Submit(sl.prepare()); err != nil {
		j.fail(err)
		j.leave()
	}
}

// prepare writes the request of the operation that pick chose.
func (sl *slot) prepare() *initiator.Request {
	j := sl.j
	binary.BigEndian.PutUint64(sl.cdb[2:], uint64(j.first+sl.unit)*j.unitBlocks)
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
		record(j.hist, j.now()-sl.begun)
		j.ops++
	}
	if j.ledger != nil && j.err == nil {
		j.ledger.done(sl)
	}
	sl.next()
}

// fail ends the job as soon as what is in progress has ended.
func (j *job) fail(err error) {
	j.err = errors.Join(j.err, err)
	for range j.pace.parked {
		j.leave()
	}
	j.pace.parked = j.pace.parked[:0]
}

// random is a number below n.
func (j *job) random(n int64) int64 {
	j.rng = step(j.rng)
	below, _ := bits.Mul64(j.rng, uint64(n))
	return int64(below)
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
