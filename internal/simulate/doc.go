// Package simulate runs a whole target and its initiators in one goroutine, in virtual
// time, out of one seed: what the seed does not decide does not happen. What finds a
// fault finds it again.
//
// A seed draws a [Plan]: keys, sizes, faults, and what the initiators do. [Run] plays it:
// in each step the dice let a core turn, bytes move on a connection, or an initiator go
// on. Every PDU of the target, every write of a medium and every read of an initiator is
// judged when it happens, and at the end all that was lent must have come back.
//
// Read plan.go first, then world.go (a step), host.go and link.go (an initiator and a
// connection), task.go (a command and what may answer it), disk.go (the medium, which
// sees everything) and model.go (what a read may return). stream.go judges what the target
// says before anything of it is lost, transfer.go the data-in and solicit.go the R2Ts among
// it; arrive.go is what an initiator makes of the rest. repair.go brings back what is lost
// (recovery level 1), loss.go and reassign.go go on behind a lost connection (level 2).
// settle.go looks at the end, and shrink.go makes a failing plan small.
//
// Owner: one goroutine owns a run with all its cores. A [Memory] serves one run after
// the other. Judges share layouts with the target, no judgement.
package simulate
