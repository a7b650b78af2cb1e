// Package order puts the commands of a session in one order, whichever of its
// connections they come over and whichever cores those are on (RFC 3720 §3.2.2.1).
//
// Read sequencer.go: a connection offers what it received, and whoever finds nobody
// at it takes, in CmdSN order, all that is due, its own and that of others, and has
// it delivered. Nobody waits, nobody holds a lock.
//
// Owner: every reactor that has a connection of the session. The fields are words
// that all of them may write, but for those of whoever drains. Where there is only one
// reactor they are plain ones (words.go), and what comes in order goes past its place. A
// session that may have only one connection, and no other in its place, has none of
// this: session.window is its order.
//
// Sections covered: RFC 3720 §3.2.2.1 (command numbering, the window), §6.9 (a number
// that is given up).
package order
