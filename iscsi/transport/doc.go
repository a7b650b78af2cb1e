// Package transport moves one connection's bytes and carries out what its state
// machines decide: it is the only I/O of the protocol.
//
// Read stack.go first: a Stack is all connections of one reactor and is entered
// once per turn by Complete, Event and Flush. Then conn.go (the life of a
// connection), receive.go (bytes to PDUs to places), run.go (a delivered task),
// write.go and read.go (data of the medium), send.go and batch.go (PDUs to one send
// per connection and turn), keep.go and again.go (what is sent again), park.go, seek.go
// and orphan.go (commands that outlive their connection), abort.go, fastabort.go and
// fence.go (how tasks end, and in which order their initiator hears of it).
//
// Owner: one reactor. A buffer belongs to a task until it is part of a batch,
// then to the batch until its send has completed; while an operation of the ring
// or of a unit can still touch it, it is not given back.
//
// Sections covered: RFC 3720 §12.1 and §10.2.3 (digests on the wire), §6.7 and
// §6.6 as far as closing goes, §10.12 (first PDU rules), §7.1; RFC 7143 §4.2.2.3 and
// §4.2.3 as far as waiting goes.
package transport
