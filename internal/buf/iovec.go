package buf

import "unsafe"

// Iovec is one piece of memory as the kernel reads it (struct iovec). The
// memory must be off-heap or stay referenced elsewhere: an Iovec keeps nothing
// alive.
type Iovec struct {
	Base, Len uint64
}

// IovecOf describes b. Memory on a goroutine's stack moves, so b must be
// off-heap or a heap object that stays referenced.
func IovecOf(b []byte) Iovec {
	return Iovec{Base: uint64(uintptr(unsafe.Pointer(unsafe.SliceData(b)))), Len: uint64(len(b))}
}

// Advance drops the first n bytes, n ≤ Len, after a send that took only part.
func (v *Iovec) Advance(n int) {
	v.Base += uint64(n)
	v.Len -= uint64(n)
}

// Drop is iov without its first n bytes, n ≤ all of it: what a send of n bytes
// left over. It advances the first element that stays.
func Drop(iov []Iovec, n int) []Iovec {
	left := uint64(n)
	for len(iov) > 0 && left >= iov[0].Len {
		left -= iov[0].Len
		iov = iov[1:]
	}
	if left > 0 {
		iov[0].Advance(int(left))
	}
	return iov
}

// Bytes is the memory that v describes; nil when v is empty. It is for those
// who stand in for the kernel; the memory must still be alive.
func (v *Iovec) Bytes() []byte {
	if v.Len == 0 {
		return nil
	}
	// The number is read back as the pointer it was made from. It is no
	// arithmetic on a Go pointer, so there is no object for it to leave.
	return unsafe.Slice(*(**byte)(unsafe.Pointer(&v.Base)), v.Len)
}
