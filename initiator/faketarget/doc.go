// Package faketarget is a small iSCSI target for tests of initiators: one RAM disk
// of 512-byte blocks behind any target name, on a loopback port.
//
// It judges while it serves: whatever an initiator does that its agreed parameters
// forbid is a line of Faults. And it misbehaves on request: Config changes login
// answers, the command window, how data is cut, and any single reply. It shares
// wire layouts with the module and nothing else.
//
// Owner: one goroutine per connection; mu guards the disk and the faults. Sections
// covered: RFC 3720 §10 of a target's side at ErrorRecoveryLevel 0.
package faketarget
