// Package buf is the memory of the data path: page-aligned, outside the Go
// heap, reference counted, lent to the kernel by address.
//
// Owner: a pool and its buffers belong to one reactor. A buffer is the kernel's
// from submission until the operation's own completion, cancelled or not.
package buf
