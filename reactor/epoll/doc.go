// Package epoll carries out a reactor's operations where io_uring is refused:
// sockets when they are ready, files in a few workers.
//
// Owner: the goroutine that turns the loop owns everything but the workers,
// which meet it in a channel of jobs and a queue of results. Wake may be called
// from elsewhere. A descriptor has at most one Recv, one Send and one Accept in
// flight; another is refused with EBUSY. It is closed by a Close operation, so
// that the ring does not take its successor for it.
//
// Start with ring.go (a turn), then sockets.go and disk.go.
package epoll
