// Package host is what a target asks of its machine outside the reactor's turn:
// listening sockets, local sockets and their peers, addresses, processors, descriptors.
//
// Owner: none; every function stands alone. They may block for a moment and
// allocate, so they are called at start, at stop and once per connection.
//
// Start with Listen; PinThread and CPUs place the reactors.
package host
