package protection

import (
	"testing"

	"lunar/lun/blk"
	"lunar/lun/ram"
	"lunar/scsi/pi"
)

// late is a queue that ends requests when it is told to, in any order: only then they have
// been done.
type late struct {
	inner   *ram.Queue
	running []*blk.Request
}

func (l *late) Submit(batch, done []*blk.Request) []*blk.Request {
	l.running = append(l.running, batch...)
	return done
}

// Complete ends the request in a place, or, with a result below zero, fails it.
func (l *late) Complete(place uint32, result int32, done []*blk.Request) []*blk.Request {
	r := l.running[place]
	l.running = append(l.running[:place], l.running[place+1:]...)
	if result < 0 {
		r.Result = blk.MediumError
		return append(done, r)
	}
	return l.inner.Submit([]*blk.Request{r}, done)
}

func (l *late) Running() int { return len(l.running) }

const (
	testBlock = 512
	testBytes = 32 * testBlock
)

// disk is a medium in memory with what stands on it beside the process.
type disk struct{ data, tuples []byte }

func newDisk() *disk {
	return &disk{make([]byte, testBytes), make([]byte, testBytes/testBlock*pi.Bytes)}
}

func memory(t testing.TB, b []byte) *ram.Backend {
	t.Helper()
	m, err := ram.New(ram.Config{Memory: b, BlockBytes: 512, Trim: func(p []byte) error { clear(p); return nil }})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// open starts a process on the disk.
func (d *disk) open(t testing.TB, f pi.Format, lasting bool) (b *Backend, q *Queue, data, tuples *late) {
	t.Helper()
	md := memory(t, d.data)
	// A medium is of whole blocks; what is behind the tuples is nobody's.
	padded := make([]byte, (len(d.tuples)+511)/512*512)
	copy(padded, d.tuples)
	d.tuples = padded
	mt := memory(t, padded)
	b, err := New(Config{Data: md, Tuples: mt, Memory: make([]byte, MemoryBytes), Lasting: lasting})
	if err != nil {
		t.Fatal(err)
	}
	b.Protect(f)
	data, tuples = &late{inner: md.NewQueue()}, &late{inner: mt.NewQueue()}
	return b, b.NewQueue(data, tuples), data, tuples
}
