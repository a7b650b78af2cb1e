// Package fake is a ring without a kernel: sockets and files in memory, time
// that passes only when the loop sleeps. The same operations always give the
// same completions, so a run can be repeated.
//
// Owner: one goroutine, the one that turns the loop and plays the peers; only
// Wake may be called from elsewhere. A loop on this ring needs Ring.Clock.
//
// Start with ring.go (a turn and the controls of a test), then sockets.go and
// files.go.
package fake
