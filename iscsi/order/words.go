package order

import "sync/atomic"

// sole says that one core alone writes. What several would do to a word at once it does
// by a plain write: an atomic one makes even a lone processor wait until all before it
// is out, which for the seven of a command is more than the rest of its order costs.
type sole bool

// word is the state of a slot.
type word struct{ v uint64 }

func (w *word) load() uint64 { return atomic.LoadUint64(&w.v) }

func (w *word) store(v uint64, s sole) {
	if s {
		w.v = v
		return
	}
	atomic.StoreUint64(&w.v, v)
}

func (w *word) swap(old, v uint64, s sole) bool {
	if !s {
		return atomic.CompareAndSwapUint64(&w.v, old, v)
	}
	if w.v != old {
		return false
	}
	w.v = v
	return true
}

// number is a CmdSN.
type number struct{ v uint32 }

func (n *number) load() uint32 { return atomic.LoadUint32(&n.v) }

func (n *number) store(v uint32, s sole) {
	if s {
		n.v = v
		return
	}
	atomic.StoreUint32(&n.v, v)
}

func (n *number) increase(s sole) {
	if s {
		n.v++
		return
	}
	atomic.AddUint32(&n.v, 1)
}

// count is how many of something there are.
type count struct{ v int32 }

func (c *count) load() int32 { return atomic.LoadInt32(&c.v) }

func (c *count) add(n int32, s sole) int32 {
	if s {
		c.v += n
		return c.v
	}
	return atomic.AddInt32(&c.v, n)
}

// reset makes a count zero that is n, and says whether it was.
func (c *count) reset(n int32, s sole) bool {
	if !s {
		return atomic.CompareAndSwapInt32(&c.v, n, 0)
	}
	if c.v != n {
		return false
	}
	c.v = 0
	return true
}
