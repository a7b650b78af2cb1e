package ringtest

import (
	"bytes"
	"syscall"

	"lunar/reactor"
)

var socketCases = []testCase{
	{name: "AcceptReportsEachConnection", run: acceptEach},
	{name: "RecvChoosesABuffer", run: recvChosen},
	{name: "RecvFillsData", run: recvFills},
	{name: "RecvMixedStreamKeepsOrder", run: recvMixed},
	{name: "EndOfStream", run: endOfStream},
	{name: "ResetIsAnError", run: resetIsAnError},
	{name: "SendManyPieces", run: sendMany},
	{name: "SendShort", run: sendShort},
	{name: "SendToTheGoneFails", run: sendToTheGone},
	{name: "ShutdownEndsBothSides", run: shutdownEnds},
	{name: "ShutdownStaysWithItsSocket", run: shutdownStays, times: 100},
	{name: "CloseEndsWhatIsInFlight", run: closeEnds},
	{name: "ForgetLetsGo", run: forgetLetsGo},
	{name: "CancelRecv", run: cancelRecv},
	{name: "CancelAccept", run: cancelAccept},
	{name: "CancelNothing", run: cancelNothing},
}

func acceptEach(r *rig) {
	listener, fds, _ := r.connect(5)
	seen := map[int32]bool{}
	for _, fd := range fds {
		if seen[fd] {
			r.Errorf("descriptor %d was reported twice", fd)
		}
		seen[fd] = true
	}
	r.finish(append(fds, listener)...)
}

func recvChosen(r *rig) {
	listener, fds, peers := r.connect(1)
	recv := r.submit(reactor.Op{Code: reactor.Recv, FD: fds[0]})
	r.start()
	peers[0].Write(r, []byte("hello"))
	c := r.last(recv)
	if got := string(r.loop.Received(c)); got != "hello" || c.Buffer < 0 {
		r.Errorf("received %q with %+v", got, c)
	}
	r.loop.Recycle(c.Buffer)
	// More than the buffers hold together, so that each is used again.
	want := pattern(3 * recvBuffers * recvBytes)
	var got []byte
	for at := 0; len(got) < len(want); {
		if at < len(want) {
			peers[0].Write(r, want[at:at+recvBytes])
			at += recvBytes
		}
		c := r.do(reactor.Op{Code: reactor.Recv, FD: fds[0]})
		if c.Result <= 0 {
			r.Fatalf("after %d bytes: %+v", len(got), c)
		}
		got = append(got, r.loop.Received(c)...)
		r.loop.Recycle(c.Buffer)
	}
	if !bytes.Equal(got, want) {
		r.Error("the stream arrived changed")
	}
	r.finish(append(fds, listener)...)
}

// forgetLetsGo: a socket that was let go lives on, reports nothing, and can be taken
// up again.
func forgetLetsGo(r *rig) {
	listener, fds, peers := r.connect(1)
	receive := func(want string) {
		c := r.do(reactor.Op{Code: reactor.Recv, FD: fds[0]})
		if got := string(r.loop.Received(c)); got != want {
			r.Fatalf("received %q with %+v, want %q", got, c, want)
		}
		r.loop.Recycle(c.Buffer)
	}
	peers[0].Write(r, []byte("before"))
	receive("before")
	if c := r.do(reactor.Op{Code: reactor.Forget, FD: fds[0]}); c.Result != 0 {
		r.Errorf("forgetting: %+v", c)
	}
	peers[0].Write(r, []byte("after"))
	r.settle()
	for token, all := range r.done {
		if len(all) > 0 {
			r.Errorf("reported of a forgotten socket under %#x: %+v", token, all)
		}
	}
	receive("after")
	if c := r.do(reactor.Op{Code: reactor.Forget, FD: 1 << 20}); c.Result != 0 {
		r.Errorf("forgetting what was never known: %+v", c)
	}
	r.finish(append(fds, listener)...)
}

// pattern is n bytes in which a displaced piece shows.
func pattern(n int) []byte {
	p := make([]byte, n)
	state := uint32(1)
	for i := range p {
		state = state*1664525 + 1013904223
		p[i] = byte(state >> 24)
	}
	return p
}

func recvFills(r *rig) {
	listener, fds, peers := r.connect(1)
	data, want := memory(r, 10000), pattern(12000)
	recv := r.submit(reactor.Op{Code: reactor.Recv, FD: fds[0], Data: data})
	for at := 0; at < len(want); at += 3000 {
		r.settle()
		peers[0].Write(r, want[at:at+3000])
	}
	if c := r.last(recv); c.Result != 10000 || c.Buffer != reactor.NoBuffer {
		r.Errorf("got %+v, want 10000 bytes", c)
	}
	if !bytes.Equal(data, want[:10000]) {
		r.Error("the data arrived changed")
	}
	if c := r.do(reactor.Op{Code: reactor.Recv, FD: fds[0], Data: data[:2000]}); c.Result != 2000 || !bytes.Equal(data[:2000], want[10000:]) {
		r.Errorf("the rest: %+v", c)
	}
	r.finish(append(fds, listener)...)
}

func recvMixed(r *rig) {
	listener, fds, peers := r.connect(1)
	want, data := pattern(32000), memory(r, 1000)
	for at := 0; at < len(want); at += 4000 {
		peers[0].Write(r, want[at:at+4000])
	}
	peers[0].Close()
	var got []byte
	for turn := 0; ; turn++ {
		op := reactor.Op{Code: reactor.Recv, FD: fds[0]}
		if turn%2 == 1 {
			op.Data = data
		}
		c := r.do(op)
		if c.Result < 0 {
			r.Fatalf("after %d bytes: %+v", len(got), c)
		}
		if c.Result == 0 {
			break
		}
		if op.Data != nil {
			got = append(got, data[:c.Result]...)
			continue
		}
		got = append(got, r.loop.Received(c)...)
		r.loop.Recycle(c.Buffer)
	}
	if !bytes.Equal(got, want) {
		r.Errorf("%d bytes arrived of %d, or changed", len(got), len(want))
	}
	r.finish(append(fds, listener)...)
}

func endOfStream(r *rig) {
	listener, fds, peers := r.connect(2)
	chosen := r.submit(reactor.Op{Code: reactor.Recv, FD: fds[0]})
	data := memory(r, 100)
	filling := r.submit(reactor.Op{Code: reactor.Recv, FD: fds[1], Data: data})
	r.start()
	peers[1].Write(r, []byte("part"))
	r.settle()
	peers[0].Close()
	peers[1].Close()
	if c := r.last(chosen); c.Result != 0 || c.Buffer != reactor.NoBuffer {
		r.Errorf("end of stream: %+v", c)
	}
	if c := r.last(filling); c.Result != 4 || string(data[:4]) != "part" {
		r.Errorf("short at end of stream: %+v, %q", c, data[:4])
	}
	for _, op := range []reactor.Op{{FD: fds[0]}, {FD: fds[1]}, {FD: fds[1], Data: data}} {
		op.Code = reactor.Recv
		if c := r.do(op); c.Result != 0 {
			r.Errorf("after the end: %+v", c)
		}
	}
	r.finish(append(fds, listener)...)
}

func resetIsAnError(r *rig) {
	listener, fds, peers := r.connect(1)
	recv := r.submit(reactor.Op{Code: reactor.Recv, FD: fds[0]})
	r.start()
	peers[0].Reset()
	if c := r.last(recv); c.Result != -int32(syscall.ECONNRESET) || c.Buffer != reactor.NoBuffer {
		r.Errorf("got %+v, want ECONNRESET", c)
	}
	r.finish(append(fds, listener)...)
}

func shutdownEnds(r *rig) {
	listener, fds, _ := r.connect(1)
	recv := r.submit(reactor.Op{Code: reactor.Recv, FD: fds[0]})
	r.start()
	if c := r.do(reactor.Op{Code: reactor.Shutdown, FD: fds[0]}); c.Result != 0 {
		r.Errorf("shutdown: %+v", c)
	}
	if c := r.last(recv); c.Result != 0 {
		r.Errorf("after shutdown: %+v", c)
	}
	if c := r.do(reactor.Op{Code: reactor.Close, FD: fds[0]}); c.Result != 0 {
		r.Errorf("close: %+v", c)
	}
	r.finish(listener)
}

// shutdownStays ends one connection just before the next one is accepted, as a
// busy target does: the next one gets the descriptor's number again and must not
// be shut down in place of the first. On a new ring, the kernel has no worker
// yet, so what it hands to one happens late.
func shutdownStays(r *rig) {
	listener := r.Listen(r)
	accept := r.submit(reactor.Op{Code: reactor.Accept, FD: listener})
	r.Dial(r, listener)
	old := r.next(accept).Result
	r.submit(reactor.Op{Code: reactor.Shutdown, FD: old})
	r.submit(reactor.Op{Code: reactor.Close, FD: old})
	r.start()
	peer := r.Dial(r, listener)
	fd := r.next(accept).Result
	for range 3 {
		recv := r.submit(reactor.Op{Code: reactor.Recv, FD: fd})
		r.start()
		peer.Write(r, []byte("still here"))
		c := r.last(recv)
		if c.Result <= 0 {
			r.Fatalf("descriptor %d was shut down with the connection before it: %+v", fd, c)
		}
		r.loop.Recycle(c.Buffer)
	}
	r.finish(fd, listener)
}

func closeEnds(r *rig) {
	listener, fds, _ := r.connect(2)
	chosen := r.submit(reactor.Op{Code: reactor.Recv, FD: fds[0]})
	filling := r.submit(reactor.Op{Code: reactor.Recv, FD: fds[1], Data: memory(r, 100)})
	r.start()
	for _, fd := range fds {
		if c := r.do(reactor.Op{Code: reactor.Close, FD: fd}); c.Result != 0 {
			r.Errorf("close: %+v", c)
		}
	}
	for _, token := range []reactor.Token{chosen, filling} {
		if c := r.last(token); c.Result != -int32(syscall.ECANCELED) {
			r.Errorf("in flight when closed: %+v", c)
		}
	}
	// The numbers are used again, and nothing of the old connections sticks to them.
	again, peer := r.Listen(r), Peer(nil)
	accept := r.submit(reactor.Op{Code: reactor.Accept, FD: again})
	peer = r.Dial(r, again)
	fd := r.next(accept).Result
	peer.Write(r, []byte("anew"))
	if c := r.do(reactor.Op{Code: reactor.Recv, FD: fd}); string(r.loop.Received(c)) != "anew" {
		r.Errorf("on a number used again: %+v", c)
	}
	r.finish(listener, again, fd)
}

func cancelRecv(r *rig) {
	listener, fds, peers := r.connect(2)
	data := memory(r, 100)
	chosen := r.submit(reactor.Op{Code: reactor.Recv, FD: fds[0]})
	filling := r.submit(reactor.Op{Code: reactor.Recv, FD: fds[1], Data: data})
	r.start()
	peers[1].Write(r, []byte("part"))
	r.settle()
	for _, target := range []reactor.Token{chosen, filling} {
		r.do(reactor.Op{Code: reactor.Cancel, Target: target})
	}
	if c := r.last(chosen); c.Result != -int32(syscall.ECANCELED) || c.Buffer != reactor.NoBuffer {
		r.Errorf("cancelled: %+v", c)
	}
	if c := r.last(filling); c.Result != 4 && c.Result != -int32(syscall.ECANCELED) {
		r.Errorf("cancelled with a part received: %+v", c)
	}
	// The connection itself is as it was.
	peers[0].Write(r, []byte("still"))
	if c := r.do(reactor.Op{Code: reactor.Recv, FD: fds[0]}); string(r.loop.Received(c)) != "still" {
		r.Errorf("after a cancelled reception: %+v", c)
	}
	r.finish(append(fds, listener)...)
}

func cancelAccept(r *rig) {
	listener := r.Listen(r)
	accept := r.submit(reactor.Op{Code: reactor.Accept, FD: listener})
	r.start()
	r.do(reactor.Op{Code: reactor.Cancel, Target: accept})
	if c := r.last(accept); c.Result != -int32(syscall.ECANCELED) {
		r.Errorf("cancelled: %+v", c)
	}
	r.finish(listener)
}

func cancelNothing(r *rig) {
	r.do(reactor.Op{Code: reactor.Cancel, Target: 12345})
	r.finish()
}
