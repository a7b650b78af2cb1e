// Package session is the full feature phase: numbering, tasks, data transfer
// plans, task management, text, logout, and every rule that says what a PDU may
// be and what answers it.
//
// Read conn.go first: Conn.Header takes a header and says where the data behind
// it goes, Conn.End takes the end of that PDU, Conn.NextReady yields the tasks
// that may start, and Conn.Emit writes the next PDU of a task. Nothing here does
// I/O, reads a clock or touches memory for payload; the transport carries out
// what is decided here.
//
// Owner: the reactor of the connection. A Task is a slab element with one owner
// at a time: this session while it receives and responds, the device server
// while it executes. States: the connection's S-states (states.go) and the
// task's life (task.go).
//
// Sections covered: RFC 3720 §3.2 (numbering, order), §10.3–10.11, §10.14–10.19, §6 at
// ErrorRecoveryLevel 0 to 2 (recovery.go says what that means, retain.go, snack.go,
// again.go, missing.go and orphan.go do it), appendix D; RFC 7143 §4.2.2.3 (fence.go), §4.2.3.4
// (terminate.go).
package session
