// Package invariant states what the program itself guarantees. A failed check
// is our mistake, never the peer's and never the machine's.
//
// Checks are compiled in by the build tag "invariants" and vanish otherwise, so
// a condition must be cheap to leave out: no side effects, and costly ones are
// written as "if invariant.Enabled".
//
// Start with Check; it is all there is.
package invariant
