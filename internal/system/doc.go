// Package system tests the built daemon with initiators nobody here wrote:
// libiscsi, QEMU, and libiscsi's conformance suite. It runs with the build tag
// system, on loopback, each daemon on a port of its own.
//
// Read system_test.go first: serve starts a daemon and waits for its ready line.
package system
