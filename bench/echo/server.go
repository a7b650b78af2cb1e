package echo

import (
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"

	"lunar/internal/buf"
	"lunar/reactor"
	"lunar/reactor/host"
	"lunar/reactor/rings"
)

// Receive buffers, as many and as large as those of a target's reactor.
const (
	recvBytes   = 128 << 10
	recvBuffers = 64
)

// Config is one server.
type Config struct {
	// Ring is "auto", "uring" or "epoll"; Poll is how the reactor waits.
	Ring string
	Poll reactor.PollMode
	// Bytes is the size of the memory that is read and written.
	Bytes int64
	// Device, if it is not empty, is the path of a device or file of at least so many bytes:
	// what is to be read is read from there, past the page cache, into memory of 64 MiB at most,
	// before it is answered.
	Device string
}

// Server is a running echo.
type Server struct {
	addr string
	ring string
	loop *reactor.Loop

	stopping atomic.Bool
	done     chan struct{}
	err      error // before done is closed
}

// Start starts a server on a loopback port of the kernel's choice. Threads that it
// makes run where the calling thread may.
func Start(cfg Config) (*Server, error) {
	if cfg.Bytes < 1 || cfg.Bytes > 1<<40 {
		return nil, fmt.Errorf("echo: memory of %d bytes; give 1 byte to 1 TiB", cfg.Bytes)
	}
	s := &Server{done: make(chan struct{})}
	started := make(chan error, 1)
	go s.run(cfg, started)
	if err := <-started; err != nil {
		<-s.done
		return nil, err
	}
	return s, nil
}

// Addr is where the server listens, as "host:port".
func (s *Server) Addr() string { return s.addr }

// Ring is "uring" or "epoll".
func (s *Server) Ring() string { return s.ring }

// Stop ends the server and all its connections, and waits until they have.
func (s *Server) Stop() error {
	s.stopping.Store(true)
	s.loop.Wake()
	<-s.done
	return s.err
}

// run is the server's goroutine. The thread ends with it.
func (s *Server) run(cfg Config, started chan<- error) {
	defer close(s.done)
	runtime.LockOSThread()
	size := cfg.Bytes
	if cfg.Device != "" {
		size = min(size, deviceMemory)
	}
	memory, err := touched(size)
	if err != nil {
		started <- err
		return
	}
	recv, err := buf.Alloc(recvBytes * recvBuffers)
	if err != nil {
		started <- errors.Join(err, buf.Free(memory))
		return
	}
	device, err := openDevice(cfg.Device)
	if err != nil {
		started <- errors.Join(err, buf.Free(memory), buf.Free(recv))
		return
	}
	defer func() { _ = device.Close() }() // it was only read
	listener, err := s.open(cfg, recv)
	started <- err
	if err != nil {
		_, _ = buf.Free(memory), buf.Free(recv) // the error above is the one to report
		return
	}
	t := &turns{loop: s.loop, memory: memory, size: int(cfg.Bytes), device: device.descriptor()}
	err = t.serve(listener, &s.stopping)
	// Memory goes only when the kernel has let go of it.
	if cerr := s.loop.Close(); cerr != nil {
		s.err = errors.Join(err, cerr)
		return
	}
	s.err = errors.Join(err, t.free(), host.CloseFD(listener), buf.Free(memory), buf.Free(recv))
}

// touched maps memory and writes to every page: reading pages that were never
// written would show the kernel's one page of zeros, which is always in the cache.
func touched(n int64) ([]byte, error) {
	memory, err := buf.Alloc(int(n))
	if err != nil {
		return nil, fmt.Errorf("echo: memory of %d bytes, give a smaller size: %w", n, err)
	}
	for i := 0; i < len(memory); i += 4096 {
		memory[i] = 1
	}
	return memory, nil
}

// open makes the ring, the loop and the listening socket.
func (s *Server) open(cfg Config, recv []byte) (listener int32, err error) {
	ring, _, err := rings.New(cfg.Ring, recv, recvBytes)
	if err != nil {
		return 0, fmt.Errorf("echo: %w", err)
	}
	s.ring = ring.Name()
	s.loop, err = reactor.NewLoop(reactor.Config{Ring: ring, Poll: cfg.Poll, RecvBytes: recvBytes, RecvBuffers: recv})
	if err != nil {
		return 0, errors.Join(err, ring.Close())
	}
	listener, s.addr, err = host.Listen("127.0.0.1:0", false)
	if err != nil {
		return 0, errors.Join(err, s.loop.Close())
	}
	return listener, nil
}
