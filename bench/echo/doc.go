// Package echo is the machine's limit for a load: a server that answers requests of
// the sizes of READ and WRITE and does nothing else. It keeps no numbers, checks no
// rule of a protocol and knows no unit; what is left is the reactor, loopback TCP
// and one touch of the memory.
//
// A request is a header of 48 bytes, behind it the data of a write; a reply is a
// header with the same tag, behind it the data of a read. All replies that a turn
// brings to a connection leave in one send.
//
// Owner: a Server's goroutine, locked to its thread, owns the loop, the memory and
// every connection; Stop and Addr may be called from elsewhere. A newcomer reads
// wire.go, then conn.go (bytes become replies), then server.go (the turn).
package echo
