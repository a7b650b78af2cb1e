// Package reactor is the per-core loop: submit, complete, timers, buffers.
//
// Owner: one goroutine, locked to its thread and pinned to its core, owns a
// Loop and everything reached from it; only Wake may be called from elsewhere.
// It knows sockets, files and memory and nothing of what travels in them.
//
// A newcomer reads op.go first: the operations, their completions and the Ring
// that carries them out. Then loop.go: what one turn is. sleep.go holds the only
// protocol here that two cores take part in. The rings are in uring, epoll and
// fake, ringtest holds the suite that all three pass, and host does what a
// target asks of its machine outside the turn.
package reactor
