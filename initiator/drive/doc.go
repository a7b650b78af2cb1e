// Package drive moves the bytes of many connections on one thread: a reactor's loop
// receives for its clients and sends what they queued.
//
//	loop, err := drive.Start(drive.Config{Ring: "auto", Poll: reactor.Sleep, Links: 4})
//	link := loop.Link(fd, client)
//	link.Start(nil)
//	err = loop.Stop()
//
// A Client is a protocol spoken over one connection; it knows no socket. Received
// bytes are handed to it where they lie, large data is received straight into the
// place it names, and whatever it queued in a turn leaves in one send: small pieces
// copied into an Outbox, large ones from where they lie.
//
// Owner: the loop's goroutine, locked to its thread, owns the ring, every link and
// every client's calls. Link.Flush, Link.HangUp, Loop.Call and Loop.Stop may be
// called from elsewhere: they leave a message and ring the bell. A newcomer reads
// link.go (what a client is), then outbox.go (what it sends), turn.go (the turn) and
// loop.go.
package drive
