package echo

import (
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lunar/reactor"
	"lunar/reactor/rings"
)

// each runs do on every ring that this machine has.
func each(t *testing.T, do func(*testing.T, *Server)) {
	for _, ring := range rings.Available() {
		t.Run(ring, func(t *testing.T) {
			s, err := Start(Config{Ring: ring, Poll: reactor.Sleep, Bytes: 1 << 20})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := s.Stop(); err != nil {
					t.Error(err)
				}
			})
			if s.Ring() != ring {
				t.Errorf("runs on %s", s.Ring())
			}
			do(t, s)
		})
	}
}

func dial(t *testing.T, s *Server) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c
}

// What was written, small and large, byte by byte and at once, is read back.
func TestServer_WritesAreRead(t *testing.T) {
	each(t, func(t *testing.T, s *Server) {
		for _, size := range []int{1, 4096, 40 << 10, 300 << 10} {
			for _, chunk := range []int{7 + size/50, 1 << 20} {
				c := dial(t, s)
				data := bytes.Repeat([]byte{byte(chunk), 2, 3}, size)[:size]
				h := Header{Op: Write, Tag: 9, Length: uint32(size), Offset: 1000}
				wire := make([]byte, HeaderBytes)
				h.Put(wire)
				send(t, c, append(wire, data...), chunk)
				expect(t, c, h, nil)
				h.Op = Read
				h.Put(wire)
				send(t, c, wire, 5)
				expect(t, c, h, data)
			}
		}
	})
}

func send(t *testing.T, c net.Conn, b []byte, chunk int) {
	t.Helper()
	for len(b) > 0 {
		n := min(chunk, len(b))
		if _, err := c.Write(b[:n]); err != nil {
			t.Fatal(err)
		}
		b = b[n:]
	}
}

func expect(t *testing.T, c net.Conn, want Header, data []byte) {
	t.Helper()
	got := make([]byte, HeaderBytes+len(data))
	if _, err := io.ReadFull(c, got); err != nil {
		t.Fatal(err)
	}
	if h := ParseHeader(got); h != want || !bytes.Equal(got[HeaderBytes:], data) {
		t.Fatalf("reply %+v to %+v, or its data, is wrong", h, want)
	}
}

// A peer that sends nonsense loses its connection; others do not notice.
func TestServer_Nonsense_EndsOnlyItsConnection(t *testing.T) {
	each(t, func(t *testing.T, s *Server) {
		good := dial(t, s)
		for range 3 * maxConns { // more than there is room for, one after the other
			bad := dial(t, s)
			send(t, bad, bytes.Repeat([]byte{0xff}, HeaderBytes), HeaderBytes)
			if n, err := bad.Read(make([]byte, 1)); n != 0 || err == nil {
				t.Fatal("nonsense was answered")
			}
			_ = bad.Close()
		}
		h := Header{Op: Read, Tag: 1}
		wire := make([]byte, HeaderBytes)
		h.Put(wire)
		send(t, good, wire, HeaderBytes)
		expect(t, good, h, nil)
	})
}

// Replies that nobody reads stop the server from receiving, not from serving others
// or from ending.
func TestServer_PeerThatDoesNotRead_IsBounded(t *testing.T) {
	each(t, func(t *testing.T, s *Server) {
		c := dial(t, s)
		h := Header{Op: Read, Length: 1 << 20}
		wire := make([]byte, HeaderBytes)
		h.Put(wire)
		if err := c.SetWriteDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		many := bytes.Repeat(wire, 10000)
		stuck := false
		for range 200 { // 96 MB: more than sockets buffer
			if _, err := c.Write(many); err != nil {
				stuck = true
				break
			}
		}
		if !stuck {
			t.Error("the server received without end")
		}
		other := dial(t, s)
		h.Length = 0
		h.Put(wire)
		send(t, other, wire, HeaderBytes)
		expect(t, other, h, nil)
	})
}

func TestStart_WrongConfig_Refused(t *testing.T) {
	for want, cfg := range map[string]Config{
		"use auto, uring or epoll": {Ring: "iocp", Bytes: 4096},
		"give 1 byte to 1 TiB":     {Ring: "auto"},
	} {
		if s, err := Start(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, %v", cfg, s, err)
		}
	}
}

// With a device what is read stands there, whatever was written to the memory, and a device that
// is too short ends the connection.
func TestServer_ReadsADevice(t *testing.T) {
	path := filepath.Join(t.TempDir(), "device")
	data := make([]byte, 64<<10)
	for i := range data {
		data[i] = byte(i>>12) + 1
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	// A part of it is where the memory has no place of its own for it.
	const end = deviceMemory + 2<<20
	if err := os.Truncate(path, end); err != nil {
		t.Fatal(err)
	}
	for _, ring := range rings.Available() {
		s, err := Start(Config{Ring: ring, Poll: reactor.Sleep, Bytes: end + 4096, Device: path})
		if err != nil {
			t.Fatal(err)
		}
		c := dial(t, s)
		wire := make([]byte, 4*HeaderBytes)
		Header{Op: Read, Tag: 3, Length: 4096, Offset: end - 4096}.Put(wire[3*HeaderBytes:])
		for i := range 3 {
			Header{Op: Read, Tag: uint32(i), Length: 4096, Offset: uint64(i) * 8192}.Put(wire[i*HeaderBytes:])
		}
		send(t, c, wire, len(wire))
		for range 4 {
			head, body := make([]byte, HeaderBytes), make([]byte, 4096)
			if _, err := io.ReadFull(c, head); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(c, body); err != nil {
				t.Fatal(err)
			}
			want := make([]byte, 4096)
			h := ParseHeader(head)
			if h.Tag < 3 {
				want = data[h.Offset:][:4096]
			}
			if !bytes.Equal(body, want) {
				t.Errorf("%s: offset %d reads %d", ring, h.Offset, body[0])
			}
		}
		Header{Op: Read, Length: 4096, Offset: end}.Put(wire)
		send(t, c, wire[:HeaderBytes], HeaderBytes)
		if n, err := c.Read(wire); err != io.EOF {
			t.Errorf("%s: behind the end: %d bytes, %v", ring, n, err)
		}
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	}
	if _, err := Start(Config{Ring: "auto", Poll: reactor.Sleep, Bytes: 4096, Device: path + "x"}); err == nil || !strings.Contains(err.Error(), path+"x") {
		t.Errorf("no device: %v", err)
	}
}
