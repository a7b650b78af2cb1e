package ringtest

import (
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"lunar/reactor"
	"lunar/reactor/host"
)

// Kernel is the World of a ring over real sockets and files, on loopback.
type Kernel struct {
	ring  reactor.Ring
	fds   int
	bound map[int32]string
	files map[int32]*os.File
	conns []*net.TCPConn
}

// NewKernel counts what is open before the ring is made by open.
func NewKernel(t testing.TB, open func() (reactor.Ring, error)) *Kernel {
	t.Helper()
	warmUp(t)
	k := &Kernel{fds: openFDs(t), bound: map[int32]string{}, files: map[int32]*os.File{}}
	ring, err := open()
	if err != nil {
		t.Fatal(err)
	}
	k.ring = ring
	return k
}

// warmUp has the Go runtime open the descriptors it keeps, before they are counted.
func warmUp(t testing.TB) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
}

func openFDs(t testing.TB) int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// Ring is the ring under test.
func (k *Kernel) Ring() reactor.Ring { return k.ring }

// Clock is the machine's.
func (k *Kernel) Clock() func() int64 { return nil }

// Listen listens on a free port of loopback.
func (k *Kernel) Listen(t testing.TB) int32 {
	t.Helper()
	fd, bound, err := host.Listen("127.0.0.1:0", false)
	if err != nil {
		t.Fatal(err)
	}
	k.bound[fd] = bound
	return fd
}

// Dial connects to listener.
func (k *Kernel) Dial(t testing.TB, listener int32) Peer {
	t.Helper()
	c, err := net.Dial("tcp", k.bound[listener])
	if err != nil {
		t.Fatal(err)
	}
	k.conns = append(k.conns, c.(*net.TCPConn))
	return &kernelPeer{conn: c.(*net.TCPConn)}
}

// Shrink leaves the socket room for a few kilobytes.
func (k *Kernel) Shrink(t testing.TB, fd int32) {
	t.Helper()
	if err := syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_SNDBUF, 4096); err != nil {
		t.Fatal(err)
	}
}

// File opens a new file.
func (k *Kernel) File(t testing.TB, content []byte) int32 {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	fd, err := syscall.Open(name, syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	k.bound[int32(fd)] = name
	return int32(fd)
}

// Content reads the file by its name.
func (k *Kernel) Content(t testing.TB, fd int32) []byte {
	t.Helper()
	b, err := os.ReadFile(k.bound[fd])
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// CloseFD closes fd.
func (k *Kernel) CloseFD(t testing.TB, fd int32) {
	t.Helper()
	if err := host.CloseFD(fd); err != nil {
		t.Error(err)
	}
}

// CheckClosed closes the peers and counts again.
func (k *Kernel) CheckClosed(t testing.TB) {
	t.Helper()
	for _, c := range k.conns {
		c.Close()
	}
	if now := openFDs(t); now != k.fds {
		t.Errorf("%d descriptors are open, %d were before", now, k.fds)
	}
	for _, addr := range k.bound {
		if filepath.IsAbs(addr) {
			continue
		}
		fd, _, err := host.Listen(addr, false)
		if err != nil {
			t.Errorf("the address is still in use: %v", err)
			continue
		}
		k.CloseFD(t, fd)
	}
}

// kernelPeer reads in the background from the first Read on.
type kernelPeer struct {
	conn *net.TCPConn
	once sync.Once
	mu   sync.Mutex
	got  []byte
}

func (p *kernelPeer) Write(t testing.TB, b []byte) {
	t.Helper()
	if _, err := p.conn.Write(b); err != nil {
		t.Fatal(err)
	}
}

func (p *kernelPeer) Read() []byte {
	p.once.Do(func() { go p.read() })
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.got
}

// read ends when the connection does.
func (p *kernelPeer) read() {
	b := make([]byte, 64<<10)
	for {
		n, err := p.conn.Read(b)
		p.mu.Lock()
		p.got = append(p.got, b[:n]...)
		p.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (p *kernelPeer) Close() { p.conn.Close() }

func (p *kernelPeer) Reset() {
	// Closing without lingering aborts the connection.
	_ = p.conn.SetLinger(0)
	p.conn.Close()
}
