package buf

import "lunar/internal/invariant"

// poisonByte fills released memory when invariants are checked. It is neither
// zero nor a common pattern, so data that shows it was read after its release.
const poisonByte = 0xA5

// Buf is one buffer of a pool. It is lent with one reference; whoever passes it
// on to a second holder, the kernel included, retains it first.
type Buf struct {
	data       []byte
	pool       *Pool
	class      int32
	index      int32
	refs       int32
	generation uint32
}

// Bytes is the whole capacity, page aligned. Its content is whatever the last
// holder left.
func (b *Buf) Bytes() []byte { return b.data }

// Generation counts how often the buffer was given back. A holder that notes it
// can tell later whether the buffer is still the one it was lent.
func (b *Buf) Generation() uint32 { return b.generation }

// Retain adds a reference.
func (b *Buf) Retain() {
	invariant.Check(b.refs > 0, "buf: retained after its last release")
	b.refs++
}

// Release drops a reference; the last one returns the buffer to its pool. A
// release too many is an invariant violation; without checks it is ignored, so
// that one mistake cannot lend the same memory twice.
func (b *Buf) Release() {
	invariant.Check(b.refs > 0, "buf: released more often than retained")
	if b.refs <= 0 {
		return
	}
	b.refs--
	if b.refs > 0 {
		return
	}
	b.generation++
	if b.pool.poison {
		fill(b.data)
	}
	b.pool.put(b)
}

func fill(p []byte) {
	for i := range p {
		p[i] = poisonByte
	}
}

// intact reports whether nobody wrote to p since it was filled.
func intact(p []byte) bool {
	for _, c := range p {
		if c != poisonByte {
			return false
		}
	}
	return true
}
