// Package null is a medium that reads zeros and drops writes. It measures
// everything but the medium.
//
// Owner: a Backend has no state that changes; a Queue belongs to one reactor.
//
// Sections covered: none of a standard; package blk is the contract.
package null
