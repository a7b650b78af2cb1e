// Package initiator speaks the other side of the protocol: it logs in to an iSCSI
// target, runs SCSI commands on it and reads and writes its logical units.
//
//	session, err := initiator.Dial(ctx, initiator.Config{
//		Portal: "192.0.2.1:3260", Target: "iqn.2026-01.example:disk"})
//	disk, err := initiator.OpenDisk(ctx, session, 0)
//	n, err := disk.ReadAt(block, 0)
//	err = session.Logout(ctx)
//
// A Session is one connection at ErrorRecoveryLevel 0: whatever cannot be trusted
// (a gap in StatSN or DataSN, a wrong digest, data outside a command) ends it, and
// every command in progress ends with the reason. It is correct by default and can
// misbehave on request: Config.Mangle drops, repeats, damages and reorders what is
// sent, and Conn is a bare connection that sends whatever a test makes up.
//
// Do runs one command and waits. Submit is the asynchronous path underneath: the
// caller owns Requests and is called back on the goroutine that receives; it
// allocates nothing. What one batch of callbacks submits leaves in one system call.
//
// The protocol of a session knows no socket. Its bytes are moved by a drive: two
// goroutines of its own (pump.go), or with Config.Loop a thread that many sessions
// share and that may poll (package drive).
//
// The package shares wire layouts with the target of this module but no judgement:
// its negotiation and sequencing are its own, so that a rule misread in one is not
// misread in the other. Of package auth it uses the table of CHAP algorithms and the
// check of secrets; the exchange is its own (chap.go).
//
// Owner: mu guards a session's tasks, window and outgoing bytes; the drive's
// goroutine alone ends tasks. Sections covered: RFC 3720 §3.2.2 (numbering), §5
// (login), §8.2 (CHAP), §10 (PDUs), §12 (keys), of the initiator's side.
package initiator
