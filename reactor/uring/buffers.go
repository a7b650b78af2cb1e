package uring

import (
	"errors"
	"fmt"
	"math/bits"
	"sync/atomic"
	"unsafe"

	abi "github.com/iceber/iouring-go/syscall"

	"lunar/internal/buf"
	"lunar/internal/invariant"
	"lunar/reactor"
)

const (
	// bufferGroup is the kernel's name for our receive buffers.
	bufferGroup = 1
	// mostBuffers is what a buffer ring can hold.
	mostBuffers = 1 << 15
)

// buffers are the receive buffers: lent to the kernel in a ring from which it
// picks when data arrives, or, where the kernel has no such ring, kept in a list
// from which we pick when it says that data has arrived.
type buffers struct {
	memory []byte
	bytes  int
	// ring is nil without kernel support; tail counts what was ever put there.
	ring []bufferEntry
	tail uint16
	// list holds the free buffers when there is no ring.
	list []int32
	free int
	// starved are receptions waiting for a buffer, oldest first from served on.
	starved []reactor.Token
	served  int
}

// newBuffers cuts memory into buffers.
func newBuffers(memory []byte, bytes int) (buffers, error) {
	if bytes < 0 || bytes == 0 && len(memory) > 0 || bytes > 0 && len(memory)%bytes != 0 {
		return buffers{}, fmt.Errorf("%d bytes are no whole number of receive buffers of %d", len(memory), bytes)
	}
	b := buffers{memory: memory, bytes: bytes}
	if b.count() > mostBuffers {
		return buffers{}, fmt.Errorf("%d receive buffers: at most %d", b.count(), mostBuffers)
	}
	return b, nil
}

func (b *buffers) count() int {
	if b.bytes == 0 {
		return 0
	}
	return len(b.memory) / b.bytes
}

// register lends all buffers to the kernel, or keeps them listed when it has no
// buffer rings or withRing is false. It reports whether there is a ring.
func (b *buffers) register(fd int, withRing bool) (bool, error) {
	if b.count() == 0 {
		return false, nil
	}
	if withRing {
		if err := b.registerRing(fd); err != nil && !errors.Is(err, errNoBufferRing) {
			return false, err
		}
	}
	for i := range b.count() {
		b.put(int32(i))
	}
	b.publish()
	return b.ring != nil, nil
}

// errNoBufferRing says that the kernel refused the ring, so we choose ourselves.
var errNoBufferRing = errors.New("no buffer ring")

func (b *buffers) registerRing(fd int) error {
	entries := 1 << bits.Len(uint(b.count()-1))
	ring, err := buf.AllocSlice[bufferEntry](entries)
	if err != nil {
		return err
	}
	request := &bufferRing{
		address: uint64(uintptr(unsafe.Pointer(unsafe.SliceData(ring)))),
		entries: uint32(entries), group: bufferGroup,
	}
	if err := abi.IOURingRegister(fd, registerBufferRing, unsafe.Pointer(request), 1); err != nil {
		return errors.Join(errNoBufferRing, buf.FreeSlice(ring))
	}
	b.ring = ring
	return nil
}

// unmap frees the ring of buffers; the kernel no longer uses it.
func (b *buffers) unmap() {
	if b.ring != nil {
		_ = buf.FreeSlice(b.ring)
		b.ring = nil
	}
}

// at is the memory of one buffer.
func (b *buffers) at(number int32) []byte {
	return b.memory[int(number)*b.bytes : (int(number)+1)*b.bytes]
}

// put makes a buffer free; in a ring it is the kernel's after publish.
func (b *buffers) put(number int32) {
	b.free++
	invariant.Check(b.free <= b.count(), "uring: a receive buffer was given back twice")
	if b.ring == nil {
		b.list = append(b.list, number)
		return
	}
	// Field by field: the tail lies over the rest of entry 0.
	e := &b.ring[int(b.tail)&(len(b.ring)-1)]
	e.address, e.length, e.id = address(b.at(number)), uint32(b.bytes), uint16(number)
	b.tail++
}

// publish shows the kernel what was put. The tail shares four bytes with the
// number of entry 0, and only four bytes can be stored at once in Go.
func (b *buffers) publish() {
	if b.ring == nil {
		return
	}
	first := &b.ring[0]
	atomic.StoreUint32((*uint32)(unsafe.Pointer(&first.id)), uint32(first.id)|uint32(b.tail)<<16)
}

// choose takes a free buffer from the list.
func (b *buffers) choose() (int32, bool) {
	if len(b.list) == 0 {
		return reactor.NoBuffer, false
	}
	number := b.list[len(b.list)-1]
	b.list = b.list[:len(b.list)-1]
	b.free--
	return number, true
}

// starve queues a reception that found no buffer.
func (b *buffers) starve(token reactor.Token) {
	if b.served > 0 && len(b.starved) == cap(b.starved) {
		// The places of those already served are used again before the queue grows.
		b.starved = b.starved[:copy(b.starved, b.starved[b.served:])]
		b.served = 0
	}
	b.starved = append(b.starved, token)
}

// serve takes the reception that has waited longest, when a buffer is free
// beyond those that the last granted ones will take.
func (b *buffers) serve(granted int) (reactor.Token, bool) {
	if b.served == len(b.starved) {
		b.starved, b.served = b.starved[:0], 0
		return 0, false
	}
	if granted >= b.free {
		return 0, false
	}
	token := b.starved[b.served]
	b.served++
	return token, true
}
