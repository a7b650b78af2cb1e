package buf

import (
	"errors"
	"fmt"

	"lunar/internal/invariant"

	"golang.org/x/sys/unix"
)

// Class is one size of buffer: Count buffers of Bytes each.
type Class struct{ Bytes, Count int }

// Pool lends buffers of a few sizes from one mapping. It belongs to one
// reactor, so it needs no lock, and an empty pool is no error: the caller waits
// until something is released.
type Pool struct {
	memory  []byte
	classes []class
	bytes   int
	free    int
	// poison is set when invariants are checked.
	poison bool
}

// class holds the buffers of one size; free is a stack, so that the buffer used
// last, which is the one still in the cache, is used next. Those behind the first cut were
// never lent: what describes them is not touched either, as it is a page for every 85 of them.
type class struct {
	bufs   []Buf
	free   []int32
	bytes  int
	cut    int
	memory []byte
}

// NewPool maps the memory of all classes, which must ascend in size. Buffers
// start on page boundaries even where a class is no multiple of a page. The
// memory is taken when it is first touched.
func NewPool(classes ...Class) (*Pool, error) {
	mapped, previous := 0, 0
	for _, c := range classes {
		if c.Bytes <= previous || c.Count <= 0 {
			return nil, fmt.Errorf("buf: pool: class of %d × %d bytes: classes must ascend and hold something", c.Count, c.Bytes)
		}
		mapped, previous = mapped+c.Count*stride(c.Bytes), c.Bytes
	}
	if mapped == 0 {
		return nil, errors.New("buf: pool: no classes")
	}
	memory, err := Alloc(mapped)
	if err != nil {
		return nil, fmt.Errorf("buf: pool: %w", err)
	}
	// Huge pages save address translation; a kernel without them serves as well.
	_ = unix.Madvise(memory, unix.MADV_HUGEPAGE)
	p := &Pool{memory: memory, classes: make([]class, len(classes)), poison: invariant.Enabled}
	for i, c := range classes {
		memory = p.carve(i, c, memory)
	}
	p.free = p.bytes
	return p, nil
}

// carve takes the memory of one class off the front and returns what is left.
func (p *Pool) carve(number int, c Class, memory []byte) []byte {
	cl := &p.classes[number]
	cl.bytes = c.Bytes
	cl.bufs = make([]Buf, c.Count)
	cl.free = make([]int32, 0, c.Count)
	all := stride(c.Bytes) * c.Count
	cl.memory = memory[:all]
	p.bytes += c.Bytes * c.Count
	return memory[all:]
}

// next cuts a buffer that was never lent. There is one.
func (c *class) next(p *Pool, number int) {
	at := c.cut * stride(c.bytes)
	c.bufs[c.cut] = Buf{data: c.memory[at:][:c.bytes:c.bytes], pool: p, class: int32(number), index: int32(c.cut)}
	c.free = append(c.free, int32(c.cut))
	c.cut++
}

func stride(n int) int { return (n + pageBytes - 1) &^ (pageBytes - 1) }

// Get lends a buffer of at least n bytes: of the smallest class that holds n
// and has one free. It returns nil when there is none, and also when n exceeds
// the largest class.
func (p *Pool) Get(n int) *Buf {
	for i := range p.classes {
		c := &p.classes[i]
		if c.bytes < n {
			continue
		}
		if len(c.free) == 0 {
			if c.cut == len(c.bufs) {
				continue
			}
			c.next(p, i)
		}
		last := len(c.free) - 1
		b := &c.bufs[c.free[last]]
		c.free = c.free[:last]
		if p.poison && b.generation > 0 {
			invariant.Check(intact(b.data), "buf: written after its last release")
		}
		b.refs = 1
		p.free -= c.bytes
		return b
	}
	return nil
}

// put takes b back; its last reference is gone.
func (p *Pool) put(b *Buf) {
	c := &p.classes[b.class]
	c.free = append(c.free, b.index)
	p.free += c.bytes
}

// Classes is how many classes there are.
func (p *Pool) Classes() int { return len(p.classes) }

// Class is the number of the smallest class that holds n bytes, -1 when none does.
func (p *Pool) Class(n int) int {
	for i := range p.classes {
		if p.classes[i].bytes >= n {
			return i
		}
	}
	return -1
}

// Count is how many buffers a class has, and how many of them are not lent.
func (p *Pool) Count(class int) (all, free int) {
	c := &p.classes[class]
	return len(c.bufs), len(c.bufs) - c.cut + len(c.free)
}

// Free is the number of bytes that are not lent.
func (p *Pool) Free() int { return p.free }

// Bytes is the total over all classes.
func (p *Pool) Bytes() int { return p.bytes }

// Close unmaps the memory. While buffers are lent it does nothing and says so,
// because a holder or the kernel may still write to them.
func (p *Pool) Close() error {
	if p.free != p.bytes {
		return fmt.Errorf("buf: close pool: %d of %d bytes are still lent", p.bytes-p.free, p.bytes)
	}
	memory := p.memory
	*p = Pool{}
	return Free(memory)
}
