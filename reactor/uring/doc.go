// Package uring carries out a reactor's operations on io_uring.
//
// Owner: the goroutine that made the ring, locked to its thread; the kernel
// refuses others (single issuer). Only Wake may be called from elsewhere.
//
// The kernel's structures come from github.com/iceber/iouring-go/syscall, and
// abi.go adds what came later. A newcomer reads ring.go (a turn), then start.go
// (an operation becomes a submission) and finish.go (a completion becomes a
// result). Most operations need no record here: the token travels as user data.
// Those that the ring itself may have to submit again (accepting, and receiving)
// are kept in flights.go until they report for the last time.
//
// What the kernel lacks is found out by asking it, never by its version:
// setup.go holds the ladder, and Probe says which step carries.
package uring
