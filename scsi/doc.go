// Package scsi is the device server of one logical unit: it decodes a CDB,
// checks it against everything the standards ask, and either answers it, or says
// which bytes of the medium have to move.
//
// Owner: a Device belongs to the home reactor of its unit and is called by that
// reactor only. It does no I/O, reads no clock, takes no lock and starts no
// goroutine; what a medium or a transport has to do is a value it returns.
//
// A newcomer reads opcodes.go first, the table with one row per command in its three
// parts, then device.go, which walks a command through that row. Each family of commands
// is one file beside them: inquiry, vpd, mode, modeselect, log, capacity, rw, verify,
// compare, atomic, writesame, unmap, lbastatus, sync, start, sanitize, luns, alua,
// supported, sense, copy, format, protected, and with ROD tokens (rodtoken) populate, writetoken,
// rodresults.
// Persistent reservations are persist.go (state), persistout.go and register.go (what changes
// it), persistin.go (what shows it). What a command makes of the state is a draft (draft.go)
// that may have to be durable first (state.go); what goes on over the whole medium is an
// operation (operation.go).
//
// The life of a command:
//
//	Begin    decode and all checks     → Complete, ReadMedium, WriteMedium,
//	                                     CompareMedium or Execute
//	Execute  parameter list is present → finished, or a Program of medium steps
//	Next     one step at a time        → blk operations for the unit to run
//	Kept, Preempted, Counted, Concluded: what a Program asked for that is no step
//
// Sections covered: SAM-5 §5.14 (unit attentions); SPC-4 §4.5 (sense), §6
// (INQUIRY, MODE SENSE, REPORT LUNS, REQUEST SENSE, TEST UNIT READY, REPORT
// SUPPORTED …), §7.5 and §7.8 (mode and VPD pages); SBC-3 §5 (block commands),
// §6 (block mode and VPD pages).
package scsi
