// Package reactor is the per-core loop: submit, complete, timers, buffers.
//
// Owner: one goroutine, locked to its thread and pinned to its core, owns a
// Loop and everything reached from it. It knows sockets, files and memory and
// nothing of what travels in them.
package reactor
