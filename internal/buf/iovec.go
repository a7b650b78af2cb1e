package buf

import "unsafe"

// Iovec is one piece of memory as the kernel reads it (struct iovec). The
// memory must be off-heap or stay referenced elsewhere: an Iovec keeps nothing
// alive.
type Iovec struct {
	Base, Len uint64
}

// IovecOf describes b.
func IovecOf(b []byte) Iovec {
	return Iovec{Base: uint64(uintptr(unsafe.Pointer(unsafe.SliceData(b)))), Len: uint64(len(b))}
}

// Advance drops the first n bytes, n ≤ Len, after a send that took only part.
func (v *Iovec) Advance(n int) {
	v.Base += uint64(n)
	v.Len -= uint64(n)
}
