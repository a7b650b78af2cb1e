package ringtest

import (
	"bytes"
	"syscall"

	"lunar/internal/buf"
	"lunar/reactor"
)

// pieces cuts p into pieces of growing size.
func pieces(p []byte) []buf.Iovec {
	var iov []buf.Iovec
	for n := 1; len(p) > 0; n++ {
		n := min(n, len(p))
		iov = append(iov, buf.IovecOf(p[:n]))
		p = p[n:]
	}
	return iov
}

// sendAll sends all of iov, continuing after each short send, and counts sends.
func (r *rig) sendAll(fd int32, iov []buf.Iovec) (sends int) {
	r.Helper()
	for len(iov) > 0 {
		c := r.do(reactor.Op{Code: reactor.Send, FD: fd, Iov: iov})
		if c.Result <= 0 {
			r.Fatalf("send: %+v", c)
		}
		sends++
		iov = buf.Drop(iov, int(c.Result))
	}
	return sends
}

func sendMany(r *rig) {
	listener, fds, peers := r.connect(1)
	want := memory(r, 50000)
	copy(want, pattern(len(want)))
	r.sendAll(fds[0], pieces(want))
	r.outside("all that was sent", func() bool { return len(peers[0].Read()) >= len(want) })
	if !bytes.Equal(peers[0].Read(), want) {
		r.Error("the data was sent changed")
	}
	r.finish(append(fds, listener)...)
}

func sendShort(r *rig) {
	listener, fds, peers := r.connect(1)
	r.Shrink(r, fds[0])
	want := memory(r, 2<<20)
	copy(want, pattern(len(want)))
	peers[0].Read()
	// More pieces than one send can carry.
	r.sendAll(fds[0], pieces(want[:1<<20]))
	send := r.submit(reactor.Op{Code: reactor.Send, FD: fds[0], Iov: []buf.Iovec{buf.IovecOf(want[1<<20:])}})
	first := r.last(send).Result
	if first <= 0 {
		r.Fatalf("send: %d", first)
	}
	if rest := want[1<<20+int(first):]; len(rest) > 0 {
		r.sendAll(fds[0], []buf.Iovec{buf.IovecOf(rest)})
	}
	r.outside("all that was sent", func() bool { return len(peers[0].Read()) >= len(want) })
	if !bytes.Equal(peers[0].Read(), want) {
		r.Error("the data was sent changed")
	}
	r.finish(append(fds, listener)...)
}

func sendToTheGone(r *rig) {
	listener, fds, peers := r.connect(1)
	peers[0].Reset()
	r.do(reactor.Op{Code: reactor.Recv, FD: fds[0]})
	data := memory(r, 100)
	c := r.do(reactor.Op{Code: reactor.Send, FD: fds[0], Iov: []buf.Iovec{buf.IovecOf(data)}})
	if c.Result != -int32(syscall.EPIPE) && c.Result != -int32(syscall.ECONNRESET) {
		r.Errorf("got %+v, want EPIPE", c)
	}
	r.finish(append(fds, listener)...)
}
