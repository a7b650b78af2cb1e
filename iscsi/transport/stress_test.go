package transport

import (
	"fmt"
	"testing"

	"lunar/internal/buf"
	"lunar/iscsi/pdu"
	"lunar/lun/blk"
	"lunar/scsi/sam"
)

// transfer is a command of a driver that is not answered yet.
type transfer struct {
	write   bool
	data    []byte // what goes out, or what must come in
	got     []byte
	aborted bool
}

// driver keeps commands of one client under way and judges every answer.
type driver struct {
	c     *client
	base  int // first block of its range
	model []byte
	busy  map[pdu.ITT]*transfer
	// touched marks blocks of commands under way, so that none overlap.
	touched []bool
	ranges  map[pdu.ITT][2]int
	ended   int
	tmf     map[pdu.ITT]pdu.ITT // functions under way, by what they abort
}

func newDriver(c *client, base, blocks int) *driver {
	d := &driver{
		c: c, base: base, model: make([]byte, blocks*512), busy: map[pdu.ITT]*transfer{},
		touched: make([]bool, blocks), ranges: map[pdu.ITT][2]int{}, tmf: map[pdu.ITT]pdu.ITT{},
	}
	copy(d.model, c.w.medium[base*512:])
	return d
}

// start sends one command on blocks nobody else uses.
func (d *driver) start(most int) {
	w := d.c.w
	n := 1 + w.rand.IntN(most)
	at := w.rand.IntN(len(d.touched) - n + 1)
	for _, used := range d.touched[at : at+n] {
		if used {
			return
		}
	}
	x := &transfer{write: w.rand.IntN(2) == 0}
	var itt pdu.ITT
	if x.write {
		x.data = w.bytesOf(n * 512)
		immediate := min(len(x.data), []int{0, 512, 4096, 8192}[w.rand.IntN(4)])
		itt = d.c.write10(d.base+at, n, x.data[:immediate], true)
	} else {
		x.data = d.model[at*512 : (at+n)*512]
		itt = d.c.read10(d.base+at, n)
	}
	for i := at; i < at+n; i++ {
		d.touched[i] = true
	}
	d.busy[itt], d.ranges[itt] = x, [2]int{at, n}
}

func (d *driver) end(itt pdu.ITT) {
	x, r := d.busy[itt], d.ranges[itt]
	at, n := r[0]*512, r[1]*512
	if x.write && !x.aborted {
		copy(d.model[at:], x.data)
	}
	if x.aborted {
		// Whatever of it reached the medium is what is there now.
		copy(d.model[at:at+n], d.c.w.medium[d.base*512+at:])
	}
	for i := r[0]; i < r[0]+r[1]; i++ {
		d.touched[i] = false
	}
	delete(d.busy, itt)
	delete(d.ranges, itt)
	d.ended++
}

// hear judges the answers that came.
func (d *driver) hear() {
	w := d.c.w
	w.Helper()
	for _, a := range d.c.drain() {
		x := d.busy[a.h.ITT()]
		switch a.h.Opcode() {
		case pdu.OpR2T:
			if x != nil {
				d.c.answerR2T(&a, x.data, 8192*(1+w.rand.IntN(20)))
			}
		case pdu.OpDataIn:
			if x == nil {
				w.Fatalf("Data-In of task %d, which has ended", a.h.ITT())
			}
			x.got = append(x.got, a.data...)
			if a.h.Flags()&pdu.DataStatus != 0 {
				if string(x.got) != string(x.data) && !x.aborted {
					w.Fatalf("task %d read something else", a.h.ITT())
				}
				d.end(a.h.ITT())
			}
		case pdu.OpSCSIResponse:
			if x == nil || statusOf(&a) != sam.Good {
				w.Fatalf("task %d: status %d", a.h.ITT(), statusOf(&a))
			}
			d.end(a.h.ITT())
		case pdu.OpTaskResponse:
			ref := d.tmf[a.h.ITT()]
			delete(d.tmf, a.h.ITT())
			if x := d.busy[ref]; x != nil {
				if r := pdu.AsTaskResponse(&a.h).Result(); r != pdu.FunctionComplete {
					w.Fatalf("abort of live task %d: result %d", ref, r)
				}
				x.aborted = true
				d.end(ref)
			}
		default:
			w.Fatalf("unexpected %v", a.h.Opcode())
		}
	}
}

// abort gives up the oldest command.
func (d *driver) abort() {
	if len(d.tmf) == 2 {
		return
	}
	oldest := pdu.ITT(pdu.NoTag)
	for itt, x := range d.busy {
		if !x.aborted {
			oldest = min(oldest, itt)
		}
	}
	if x := d.busy[oldest]; x != nil {
		x.aborted = true
		d.tmf[d.c.manage(sam.AbortTask, oldest, d.c.cmdSN-1)] = oldest
	}
}

// TestStress has several connections read and write at random while the stream is
// cut anywhere, the medium answers in any order, memory is short and commands are
// aborted. Every byte read is judged, and everything concludes.
func TestStress(t *testing.T) {
	seeds := 24
	if testing.Short() {
		seeds = 6
	}
	for seed := range seeds {
		o := options{seed: uint64(seed), slow: seed%2 == 0, cut: seed%3 == 0}
		if seed%4 < 2 {
			// One buffer that holds a piece, for all connections.
			o.staged = []buf.Class{{Bytes: blk.MaxRequestBytes, Count: 1 + seed%3}}
		}
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { stress(t, o, seed) })
	}
}

func stress(t *testing.T, o options, seed int) {
	w := newWorld(t, o)
	copy(w.medium, w.bytesOf(unitBytes))
	const each = 2048
	var all []*driver
	for i := range 3 {
		keys := []string{fmt.Sprintf("MaxBurstLength=%d", []int{9000, 20000, 262144}[w.rand.IntN(3)]), "MaxOutstandingR2T=4"}
		if w.rand.IntN(2) == 0 {
			keys = append(keys, "HeaderDigest=CRC32C")
		}
		if w.rand.IntN(2) == 0 {
			keys = append(keys, "DataDigest=CRC32C")
		}
		all = append(all, newDriver(w.login(keys...), i*each, each))
	}
	for range 400 {
		for _, d := range all {
			if len(d.busy) < 8 {
				d.start([]int{1, 8, 40, 700}[w.rand.IntN(4)])
			}
			if seed%5 > 2 && w.rand.IntN(20) == 0 {
				d.abort()
			}
			d.hear()
		}
		w.turn()
	}
	for range 100_000 {
		left := 0
		for _, d := range all {
			d.hear()
			left += len(d.busy)
		}
		if left == 0 {
			break
		}
		w.turn()
	}
	for i, d := range all {
		if len(d.busy) > 0 || d.ended < 15 {
			t.Fatalf("connection %d: %d commands left, %d ended", i, len(d.busy), d.ended)
		}
		if string(w.medium[d.base*512:][:len(d.model)]) != string(d.model) {
			t.Fatalf("connection %d: the medium holds something else", i)
		}
	}
}

// TestConn_LostAtAnyMoment cuts connections in the middle of random work.
func TestConn_LostAtAnyMoment(t *testing.T) {
	for seed := range 60 {
		w := newWorld(t, options{seed: uint64(seed), slow: seed%2 == 0, cut: seed%3 == 0})
		d := newDriver(w.login("DataDigest=CRC32C"), 0, 4096)
		for range 5 + w.rand.IntN(60) {
			d.start(700)
			w.turn()
			d.hear()
		}
		if seed%2 == 0 {
			d.c.peer.Reset()
		} else {
			d.c.peer.Close()
		}
		w.settle()
		w.checkEnd()
		if t.Failed() {
			t.Fatal("seed", seed)
		}
	}
}

// conversation plays one of everything and returns every byte the target sent.
func conversation(t *testing.T, o options, keys ...string) string {
	w := newWorld(t, o)
	c := w.login(append(keys, "InitialR2T=No", "FirstBurstLength=4096", "MaxBurstLength=65536")...)
	data := make([]byte, 160<<10)
	for i := range data {
		data[i] = byte(i * 7 >> 3)
	}
	itt := c.write10(0, len(data)/512, data[:1024], false)
	w.settle()
	c.dataOut(itt, pdu.NoTag, 0, 1024, data[1024:4096], true)
	for range 4 {
		for _, a := range c.answers() {
			if a.h.Opcode() == pdu.OpR2T {
				c.answerR2T(&a, data, 40<<10)
			}
		}
	}
	c.check(0, data)
	h := c.request(pdu.OpNOPOut, true)
	pdu.AsNOPOut(h).SetTTT(pdu.NoTag)
	c.send(h, data[:777])
	w.settle()
	c.command([]byte{0x12, 0, 0, 0, 255, 0}, pdu.FlagFinal|pdu.CommandRead, 255, nil)
	w.settle()
	c.send(c.request(0x1c, false), data[:13])
	w.settle()
	c.manage(sam.LogicalUnitReset, pdu.NoTag, 0)
	w.settle()
	c.logout()
	w.settle()
	if !c.peer.Ended() {
		t.Fatal("the conversation has no end")
	}
	return string(c.peer.Read())
}

// TestChunks_ChangeNothing: however the stream is cut, in either direction, the
// target says the same bytes.
func TestChunks_ChangeNothing(t *testing.T) {
	for _, keys := range [][]string{nil, {"HeaderDigest=CRC32C", "DataDigest=CRC32C"}, {"DataDigest=CRC32C"}} {
		want := conversation(t, options{}, keys...)
		for seed := range uint64(12) {
			if got := conversation(t, options{seed: seed, cut: true, slow: seed%2 == 0}, keys...); got != want {
				t.Fatalf("seed %d: the answers differ (%d and %d bytes)", seed, len(got), len(want))
			}
		}
	}
}
