// Package sam holds the words that every SCSI standard shares: logical unit
// numbers, task attributes, status codes, sense data, task management
// functions, and Command, the one structure that crosses from a transport to a
// device server and back.
//
// Owner: a Command belongs to the reactor of the connection that carried it. It
// is lent to the home reactor of its logical unit by message and comes back by
// message; nothing in this package is ever shared.
//
// Sections covered: SAM-5 §4 (logical unit numbers), §5 (commands, status), §7
// (task management); SPC-4 §4.5 (sense data). The package imports only the
// standard library and does no I/O.
package sam
