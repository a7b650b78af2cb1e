package ringtest

import (
	"syscall"

	"lunar/internal/buf"
	"lunar/reactor"
)

var limitCases = []testCase{
	{name: "NoBufferLeftWaits", run: noBufferLeft},
	{name: "CancelWhileWaitingForABuffer", run: cancelStarved},
	{name: "CloseWhileWaitingForABuffer", run: closeStarved},
	{name: "CloseWithAllInFlight", run: closeInFlight},
	{name: "TurnsDoNotAllocate", run: turnsDoNotAllocate},
}

// starve connects n peers more than there are buffers, has all of them write,
// and waits until every buffer is out.
func (r *rig) starve(n int) (listener int32, fds []int32, recvs []reactor.Token, held []reactor.Completion) {
	r.Helper()
	listener, fds, peers := r.connect(recvBuffers + n)
	for i, fd := range fds {
		recvs = append(recvs, r.submit(reactor.Op{Code: reactor.Recv, FD: fd}))
		peers[i].Write(r, []byte{byte(i)})
	}
	r.until("every buffer is out", func() bool { held = r.arrived(recvs); return len(held) >= recvBuffers })
	r.settle()
	if held = r.arrived(recvs); len(held) != recvBuffers {
		r.Fatalf("%d receptions with %d buffers", len(held), recvBuffers)
	}
	return listener, fds, recvs, held
}

// arrived are the receptions among tokens that have completed.
func (r *rig) arrived(tokens []reactor.Token) (done []reactor.Completion) {
	for _, token := range tokens {
		done = append(done, r.done[token]...)
	}
	return done
}

func noBufferLeft(r *rig) {
	const more = 5
	listener, fds, recvs, held := r.starve(more)
	seen := map[byte]bool{}
	for at := 0; at < recvBuffers+more; at++ {
		c := held[at]
		data := r.loop.Received(c)
		if len(data) != 1 || recvs[data[0]] != c.Token || seen[data[0]] {
			r.Fatalf("reception %d: %+v with %v", at, c, data)
		}
		seen[data[0]] = true
		r.loop.Recycle(c.Buffer)
		delete(r.done, c.Token)
		if at < more {
			r.until("the next in line", func() bool { return len(r.arrived(recvs)) == recvBuffers })
		}
		held = append(held[:at+1], r.arrived(recvs)...)
	}
	r.finish(append(fds, listener)...)
}

// waiting is a reception that has not completed.
func (r *rig) waiting(recvs []reactor.Token) int {
	for i, token := range recvs {
		if len(r.done[token]) == 0 {
			return i
		}
	}
	r.Fatal("no reception waits")
	return -1
}

func cancelStarved(r *rig) {
	listener, fds, recvs, held := r.starve(2)
	waiting := recvs[r.waiting(recvs)]
	r.do(reactor.Op{Code: reactor.Cancel, Target: waiting})
	if c := r.last(waiting); c.Result != -int32(syscall.ECANCELED) || c.Buffer != reactor.NoBuffer {
		r.Errorf("cancelled: %+v", c)
	}
	// The other one is not forgotten.
	r.done[waiting] = []reactor.Completion{{}}
	other := recvs[r.waiting(recvs)]
	r.loop.Recycle(held[0].Buffer)
	if c := r.last(other); c.Result != 1 {
		r.Errorf("served after the cancelled: %+v", c)
	}
	r.finish(append(fds, listener)...)
}

func closeStarved(r *rig) {
	listener, fds, recvs, held := r.starve(1)
	i := r.waiting(recvs)
	if c := r.do(reactor.Op{Code: reactor.Close, FD: fds[i]}); c.Result != 0 {
		r.Errorf("close: %+v", c)
	}
	if c := r.last(recvs[i]); c.Result != -int32(syscall.ECANCELED) {
		r.Errorf("in flight when closed: %+v", c)
	}
	r.loop.Recycle(held[0].Buffer)
	r.settle()
	fds = append(fds[:i], fds[i+1:]...)
	r.finish(append(fds, listener)...)
}

func closeInFlight(r *rig) {
	listener, fds, _ := r.connect(3)
	r.Shrink(r, fds[2])
	big := memory(r, 16<<20)
	r.submit(reactor.Op{Code: reactor.Recv, FD: fds[0]})
	r.submit(reactor.Op{Code: reactor.Recv, FD: fds[1], Data: big[:100]})
	// Nobody reads, so with a ring that sends all this never ends.
	r.submit(reactor.Op{Code: reactor.Send, FD: fds[2], Iov: []buf.Iovec{buf.IovecOf(big)}})
	file := r.File(r, make([]byte, fileBytes))
	for i := range 8 {
		r.submit(reactor.Op{Code: reactor.Read, FD: file, Data: big[i*fileBytes : (i+1)*fileBytes]})
	}
	r.settle()
	for range 8 {
		r.submit(reactor.Op{Code: reactor.Read, FD: file, Data: big[:fileBytes]})
	}
	r.start()
	// One more arrives, and the ring is closed before it was reported.
	r.Dial(r, listener)
	r.finish(append(fds, listener, file)...)
}

func turnsDoNotAllocate(r *rig) {
	file := r.File(r, make([]byte, fileBytes))
	data := memory(r, 16*512)
	token := r.token()
	n := allocations(func() {
		for i := range 16 {
			r.loop.Submit(reactor.Op{Token: token + reactor.Token(i), Code: reactor.Read, FD: file, Data: data[i*512 : (i+1)*512]})
		}
		for got := 0; got < 16; {
			done, err := r.loop.Turn()
			if err != nil {
				r.Fatal(err)
			}
			got += len(done)
		}
	})
	if n != 0 {
		r.Errorf("%v allocations per turn", n)
	}
	r.finish(file)
}
