// Package ram is a medium in memory: it forgets everything at the end of the
// process and is as fast as a copy.
//
// Owner: the memory is the caller's and is lent to the Backend until Close. A Queue
// belongs to one reactor; of the Backend they share the memory and, by atomic words,
// which pages of it are allocated.
//
// Every request ends in Submit. There is no cache in front of the memory, so
// Sync has nothing to do and FUA nothing to add.
//
// Sections covered: none of a standard; package blk is the contract.
package ram
