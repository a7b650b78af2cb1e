package ringtest

import (
	"io"
	"net"
	"runtime"
	"sync/atomic"
	"testing"

	"lunar/internal/buf"
	"lunar/reactor"
	"lunar/reactor/host"
)

// Sizes of the echo: a request is a header, a reply a header and a block.
const (
	echoHeader = 48
	echoBlock  = 4096
	echoReply  = echoHeader + echoBlock
	// echoBatch is the most replies of one send.
	echoBatch = 512

	echoRecvBytes   = 16 << 10
	echoRecvBuffers = 64
)

// BenchmarkEcho answers requests of 48 bytes with replies of 48 + 4096 bytes
// over loopback. One operation is one request; the client keeps depth requests
// under way on each of conns connections and uses the standard library.
func BenchmarkEcho(b *testing.B, open func(recv []byte, recvBytes int) (reactor.Ring, error)) {
	for _, load := range []struct {
		name         string
		conns, depth int
	}{{"1x1", 1, 1}, {"1x32", 1, 32}, {"4x16", 4, 16}} {
		b.Run(load.name, func(b *testing.B) {
			fd, addr, err := host.Listen("127.0.0.1:0", false)
			if err != nil {
				b.Fatal(err)
			}
			defer host.CloseFD(fd)
			stop, done := serveEcho(b, fd, open)
			defer func() { stop(); <-done }()
			runEcho(b, addr, load.conns, load.depth)
		})
	}
}

// runEcho is the client.
func runEcho(b *testing.B, addr string, conns, depth int) {
	peers := make([]net.Conn, conns)
	for i := range peers {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		peers[i] = c
	}
	requests, replies := make([]byte, depth*echoHeader), make([]byte, depth*echoReply)
	b.ReportAllocs()
	b.SetBytes(echoReply)
	b.ResetTimer()
	for n := 0; n < b.N; n += conns * depth {
		for _, c := range peers {
			if _, err := c.Write(requests); err != nil {
				b.Fatal(err)
			}
		}
		for _, c := range peers {
			if _, err := io.ReadFull(c, replies); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.StopTimer()
}

// serveEcho starts a server on its own thread; stop has it end, done says that
// it has.
func serveEcho(b *testing.B, listener int32, open func([]byte, int) (reactor.Ring, error)) (stop func(), done chan struct{}) {
	recv := memory(b, echoRecvBytes*echoRecvBuffers)
	var stopping atomic.Bool
	loops := make(chan *reactor.Loop)
	done = make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		loop, err := openEcho(recv, open)
		if err != nil {
			b.Error(err)
			close(loops)
			return
		}
		loops <- loop
		s := echoServer{loop: loop, conns: map[int32]*echoConn{}, block: memory(b, echoReply)}
		if err := s.serve(listener, &stopping); err != nil {
			b.Error(err)
		}
		if err := loop.Close(); err != nil {
			b.Error(err)
		}
		for fd := range s.conns {
			host.CloseFD(fd)
		}
	}()
	loop, ok := <-loops
	if !ok {
		b.FailNow()
	}
	return func() { stopping.Store(true); loop.Wake() }, done
}

// openEcho makes the ring and the loop of a server, on its thread.
func openEcho(recv []byte, open func([]byte, int) (reactor.Ring, error)) (*reactor.Loop, error) {
	ring, err := open(recv, echoRecvBytes)
	if err != nil {
		return nil, err
	}
	return reactor.NewLoop(reactor.Config{Ring: ring, RecvBytes: echoRecvBytes, RecvBuffers: recv})
}

// echoServer is the smallest user of a loop: it counts the bytes of requests.
type echoServer struct {
	loop  *reactor.Loop
	conns map[int32]*echoConn
	block []byte
}

// echoConn is one connection: bytes received of a request, and replies owed.
type echoConn struct {
	iov     []buf.Iovec
	partial int
	owed    int
	rest    []buf.Iovec // of a send under way
	sending bool
}

// Kinds of token; the index is the descriptor.
const (
	echoAccept reactor.Kind = iota + 1
	echoRecv
	echoSend
)

func (s *echoServer) serve(listener int32, stopping *atomic.Bool) error {
	s.loop.Submit(reactor.Op{Token: reactor.NewToken(echoAccept, 0, 0), Code: reactor.Accept, FD: listener})
	for !stopping.Load() {
		done, err := s.loop.Turn()
		if err != nil {
			return err
		}
		for _, c := range done {
			s.completed(c)
		}
	}
	return nil
}

func (s *echoServer) completed(c reactor.Completion) {
	fd := int32(c.Token.Index())
	switch c.Token.Kind() {
	case echoAccept:
		if c.Result >= 0 {
			s.conns[c.Result] = &echoConn{iov: make([]buf.Iovec, 0, 2*echoBatch)}
			host.Unpace(c.Result)
			s.recv(c.Result)
		}
	case echoRecv:
		if c.Result <= 0 {
			return
		}
		conn := s.conns[fd]
		conn.partial += int(c.Result)
		conn.owed += conn.partial / echoHeader
		conn.partial %= echoHeader
		s.loop.Recycle(c.Buffer)
		s.recv(fd)
		s.send(fd, conn)
	case echoSend:
		conn := s.conns[fd]
		conn.sent(c.Result)
		s.send(fd, conn)
	}
}

func (s *echoServer) recv(fd int32) {
	s.loop.Submit(reactor.Op{Token: reactor.NewToken(echoRecv, 0, uint32(fd)), Code: reactor.Recv, FD: fd})
}

// sent drops what was sent.
func (c *echoConn) sent(n int32) {
	c.sending = false
	if n < 0 {
		c.rest, c.owed = nil, 0
		return
	}
	c.rest = buf.Drop(c.rest, int(n))
}

// send sends the rest, or all replies owed, unless a send is under way.
func (s *echoServer) send(fd int32, c *echoConn) {
	if c.sending || len(c.rest) == 0 && c.owed == 0 {
		return
	}
	if len(c.rest) == 0 {
		c.rest = c.iov[:0]
		for ; c.owed > 0 && len(c.rest) < 2*echoBatch; c.owed-- {
			c.rest = append(c.rest, buf.IovecOf(s.block[:echoHeader]), buf.IovecOf(s.block[echoHeader:]))
		}
	}
	c.sending = true
	s.loop.Submit(reactor.Op{Token: reactor.NewToken(echoSend, 0, uint32(fd)), Code: reactor.Send, FD: fd, Iov: c.rest})
}
