// Package buf is the memory of the data path: page-aligned, outside the Go
// heap, reference counted, lent to the kernel by address.
//
// Owner: a pool and its buffers belong to one reactor. A buffer is the kernel's
// from submission until the operation's own completion, cancelled or not. The
// garbage collector neither sees nor moves this memory, which is why its
// address may be kept in a plain number (Iovec) and why it must hold no Go
// pointers (AllocSlice).
//
// Start with Pool and Buf; Alloc and AllocSlice are for slabs made at start.
package buf
