// Package auth is authentication by CHAP in the login phase: what a target demands
// of an initiator, and the exchange that proves it.
//
// Read algorithm.go first: one row per hash function, the place where one is added.
// A Policy says who may come with which secret and what we answer to one who wants
// to know us too; a CHAP takes the keys of one request after the other, writes our
// keys, and ends in a user's name or a Verdict. It is pure: random bytes and
// the key of the node are inputs (Node).
//
// Nothing tells a wrong secret from an unknown user: the same work is done for
// both, and the same verdict answers.
//
// Owner: the reactor of the connection. States: a list of algorithms is awaited,
// then the proof, then done. Sections covered: RFC 3720 §8.2, §11.1.4, RFC 1994
// (the response value), RFC 7143 §12.1.3.
package auth
