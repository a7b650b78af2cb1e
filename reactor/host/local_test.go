package host

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

func TestListenLocal_ModeAndPeer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sub", "s")
	l, err := ListenLocal(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != os.ModeSocket|0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	a, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	p, err := PeerOf(a.(*net.UnixConn))
	if err != nil || p.PID != int32(os.Getpid()) || p.UID != uint32(os.Geteuid()) {
		t.Errorf("peer %+v, %v", p, err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the socket is still there: %v", err)
	}
}

func TestListenLocal_Refusals(t *testing.T) {
	dir := t.TempDir()
	taken := filepath.Join(dir, "taken")
	l, err := ListenLocal(taken)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, says := range map[string]string{
		taken: "another process answers", file: "something else", filepath.Join(file, "s"): "choose a directory",
		filepath.Join(dir, strings.Repeat("x", maxLocalPath)): "at most 107",
	} {
		if l, err := ListenLocal(path); err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, %v", path, l, err)
		}
	}
	if b, err := os.ReadFile(file); string(b) != "kept" {
		t.Errorf("%q, %v", b, err)
	}
}

// A socket that a dead process left is replaced, by one of many that try at once.
func TestListenLocal_StaleIsReplacedOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrUnix{Name: path})
	}
	if err == nil {
		err = unix.Close(fd)
	}
	if err != nil {
		t.Fatal(err)
	}
	var won atomic.Int32
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			l, err := ListenLocal(path)
			if err != nil {
				if !strings.Contains(err.Error(), "another process answers") {
					t.Error(err)
				}
				return
			}
			won.Add(1)
			t.Cleanup(func() { _ = l.Close() })
		})
	}
	all.Wait()
	if won.Load() != 1 {
		t.Errorf("%d listen", won.Load())
	}
}
