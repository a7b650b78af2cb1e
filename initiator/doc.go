// Package initiator speaks the other side of the protocol: it logs in to an iSCSI
// target, runs SCSI commands on it and reads and writes its logical units.
//
//	session, err := initiator.Dial(ctx, initiator.Config{
//		Portal: "192.0.2.1:3260", Target: "iqn.2026-01.example:disk"})
//	disk, err := initiator.OpenDisk(ctx, session, 0)
//	n, err := disk.ReadAt(block, 0)
//	err = session.Logout(ctx)
//
// # What becomes of errors
//
// A Session is one connection at ErrorRecoveryLevel 0 unless Config asks for more.
// There, whatever cannot be trusted (a gap in StatSN or DataSN, a wrong digest, data
// outside a command) ends it, and every command in progress ends with the reason: the
// caller decides what to repeat. Config offers what the protocol has against that:
//
//   - Reconnect logs in again and repeats what is idempotent (level 0).
//   - RecoveryLevel 1 asks again for what was lost or damaged on the way, and sends
//     commands again that never arrived.
//   - RecoveryLevel 2 takes the commands of a lost connection to another one. With
//     Connections several serve at once, and Add and Remove change how many.
//
// Every request ends: with its result, its context, or an error that says why. One that
// may have been carried out or not is a *LostError. Counters tells what was done.
//
// # Two ways to run commands
//
// Do runs one command and waits. Submit is the asynchronous path underneath: the
// caller owns Requests and is called back on the goroutine that receives; it
// allocates nothing. What one batch of callbacks submits leaves in one system call.
//
// A session is correct by default and can misbehave on request: Config.Mangle drops,
// repeats, damages and reorders what is sent, Config.MangleIn loses and damages what is
// received, and Conn is a bare connection that sends whatever a test makes up.
//
// # For those who change it
//
// The protocol of a session knows no socket. Its bytes are moved by a drive for each
// connection: two goroutines of its own (pump.go), or with Config.Loop a thread that
// many share and that may poll (package drive). Session numbers commands and ends them;
// link is one connection, with its StatSN, digests and outgoing bytes (link.go,
// receive.go, send.go, response.go). What is missing is asked for in snack.go and, by a
// timer, probe.go; holes.go knows what is missing of data. repair.go, recover.go and
// orphan.go are the one goroutine that brings lost connections back. fastabort.go is what
// becomes of data when a function ends many commands.
//
// The package shares wire layouts with the target of this module but no judgement:
// its negotiation and sequencing are its own, so that a rule misread in one is not
// misread in the other. Of package auth it uses the table of CHAP algorithms and the
// check of secrets; the exchange is its own (chap.go).
//
// Owner: mu of the session guards tasks, window, numbers and outgoing bytes of all its
// connections; the goroutine of a task's drive alone ends it, and the repair's when that
// has stopped. Sections covered: RFC 3720 §3.2.2 (numbering), §5 (login), §6 (recovery),
// §8.2 (CHAP), §10 (PDUs), §12 (keys), of the initiator's side.
package initiator
