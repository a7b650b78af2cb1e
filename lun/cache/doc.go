// Package cache is a read cache in front of any medium: blocks of 4 KiB in
// memory of its own, so that a read of what was read before costs a copy.
//
// Owner: the memory is the caller's and is lent to the Backend until Close. A
// Backend and its Queue belong to the home reactor of the unit; only Counters
// may be called from elsewhere.
//
// Which blocks are worth their place is decided by ristretto, on a goroutine of
// its own and some time after it was asked. It holds numbers of pages, never
// data, and what it no longer wants comes back through a mailbox that the owner
// drains: a page changes its block only in the owner's hands. Whether a page may
// be served does not depend on ristretto at all. The page says which block it
// holds and in which generation, and a write, discard or zeroing advances the
// generation of its range before it is submitted and again when it ended.
//
// Writes go through and are not kept: durability is that of the medium behind
// (SBC-3 §4.15). Read Backend, then Queue, then generations.
//
// Sections covered: none of a standard; package blk is the contract.
package cache
