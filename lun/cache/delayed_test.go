package cache

import (
	"testing"

	"lunar/lun/blk"
	"lunar/lun/ram"
)

// delayed is a medium whose requests are carried out and reported when the test
// says so, each in any order.
type delayed struct {
	*ram.Backend
	ram     *ram.Queue
	waiting []*blk.Request // not carried out yet
	over    []*blk.Request // carried out, not reported
}

func newDelayed(t testing.TB, n int, blockBytes uint32) *delayed {
	t.Helper()
	b, err := ram.New(ram.Config{Memory: make([]byte, n), BlockBytes: blockBytes})
	if err != nil {
		t.Fatal(err)
	}
	return &delayed{Backend: b, ram: b.NewQueue()}
}

func (d *delayed) Submit(batch, done []*blk.Request) []*blk.Request {
	d.waiting = append(d.waiting, batch...)
	return done
}

// Complete reports the request carried out in place slot. A negative result makes
// it a failure, though it did what it did.
func (d *delayed) Complete(slot uint32, result int32, done []*blk.Request) []*blk.Request {
	r := d.over[slot]
	d.over = append(d.over[:slot], d.over[slot+1:]...)
	if result < 0 {
		r.Result = blk.MediumError
	}
	return append(done, r)
}

func (d *delayed) Running() int { return len(d.waiting) + len(d.over) }

// carryOut does the waiting request in place i.
func (d *delayed) carryOut(i int) {
	r := d.waiting[i]
	d.waiting = append(d.waiting[:i], d.waiting[i+1:]...)
	d.ram.Submit([]*blk.Request{r}, nil)
	d.over = append(d.over, r)
}

// newCache puts a cache of the smallest size in front of a medium.
func newCache(t testing.TB, inner blk.Backend) *Backend {
	t.Helper()
	b, err := New(Config{Inner: inner, Memory: make([]byte, MinBytes)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}
