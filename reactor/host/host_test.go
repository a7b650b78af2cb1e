package host

import (
	"net"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func listenOn(t *testing.T, addr string, reusePort bool) (int32, string) {
	t.Helper()
	fd, bound, err := Listen(addr, reusePort)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := CloseFD(fd); err != nil {
			t.Error(err)
		}
	})
	return fd, bound
}

func TestListen_BothFamilies(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		fd, bound := listenOn(t, addr, false)
		c, err := net.Dial("tcp", bound)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		s := acceptFrom(t, fd)
		if got := PeerAddr(s); got != c.LocalAddr().String() {
			t.Errorf("peer is %q, want %q", got, c.LocalAddr())
		}
		if got := PeerIP(s); got.String() != c.LocalAddr().(*net.TCPAddr).IP.String() {
			t.Errorf("peer comes from %v", got)
		}
		if got, err := LocalAddr(s); got != bound || err != nil {
			t.Errorf("local is %q, %v; want %q", got, err, bound)
		}
		streams(t, s)
	}
}

// streams fails the test unless s has the options of a stream.
func streams(t *testing.T, s int32) {
	t.Helper()
	for _, o := range []struct{ level, opt, want int }{
		{unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, keepIdleSeconds},
		{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, keepIntervalSeconds},
		{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, keepProbes},
	} {
		if v, err := unix.GetsockoptInt(int(s), o.level, o.opt); v != o.want || err != nil {
			t.Errorf("option %d of level %d is %d, %v; want %d", o.opt, o.level, v, err, o.want)
		}
	}
	if paced(int(s)) {
		t.Error("a loopback connection is paced")
	}
}

// A socket we connected has what one that was accepted inherited.
func TestConfigureStream_AsAccepted(t *testing.T) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := ConfigureStream(int32(fd)); err != nil {
		t.Fatal(err)
	}
	streams(t, int32(fd))
}

// A short path is not paced; any other congestion control stays.
func TestUnpace_ShortPath(t *testing.T) {
	for before, want := range map[string]string{"reno": "reno", "cubic": "cubic", "bbr": ""} {
		fd, bound := listenOn(t, "127.0.0.1:0", false)
		c, err := net.Dial("tcp", bound)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		s := int(acceptFrom(t, fd))
		if err := unix.SetsockoptString(s, unix.IPPROTO_TCP, unix.TCP_CONGESTION, before); err != nil {
			t.Logf("this kernel does not let us have %s: %v", before, err)
			continue
		}
		Unpace(int32(s))
		got, err := unix.GetsockoptString(s, unix.IPPROTO_TCP, unix.TCP_CONGESTION)
		if err != nil || want != "" && got != want || strings.HasPrefix(got, "bbr") {
			t.Errorf("%s became %q, %v", before, got, err)
		}
	}
}

func TestPeerAddr_IPv4OverIPv6_IsIPv4(t *testing.T) {
	fd, bound := listenOn(t, ":0", false)
	_, port, _ := net.SplitHostPort(bound)
	c, err := net.Dial("tcp4", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s := acceptFrom(t, fd)
	if got := PeerAddr(s); got != c.LocalAddr().String() {
		t.Errorf("peer is %q, want %q", got, c.LocalAddr())
	}
	if got := PeerIP(s); got.String() != "127.0.0.1" {
		t.Errorf("peer comes from %v", got)
	}
	if got := PeerAddr(fd); got != "" {
		t.Errorf("a listener has peer %q", got)
	}
	if got := PeerIP(fd); got.IsValid() {
		t.Errorf("the peer of a listener comes from %v", got)
	}
}

// acceptFrom waits for a connection on the non-blocking fd.
func acceptFrom(t *testing.T, fd int32) int32 {
	t.Helper()
	for range 1000 {
		s, _, err := unix.Accept4(int(fd), unix.SOCK_CLOEXEC)
		if err == nil {
			t.Cleanup(func() { CloseFD(int32(s)) })
			return int32(s)
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("no connection arrived")
	return -1
}

func TestListen_Twice(t *testing.T) {
	_, bound := listenOn(t, "127.0.0.1:0", false)
	_, _, err := Listen(bound, false)
	if !IsAddrInUse(err) || !strings.Contains(err.Error(), bound) {
		t.Errorf("second listener: %v", err)
	}
	_, shared := listenOn(t, "127.0.0.1:0", true)
	if _, again := listenOn(t, shared, true); again != shared {
		t.Errorf("bound to %s and %s", shared, again)
	}
}

func TestListen_BadAddress_NamesIt(t *testing.T) {
	for _, addr := range []string{"", "nowhere", "127.0.0.1:99999", "host.invalid:3260", "127.0.0.1", "[fe80::1%nolink]:0"} {
		if _, _, err := Listen(addr, false); err == nil || !strings.Contains(err.Error(), addr) {
			t.Errorf("%q: %v", addr, err)
		}
	}
}

func TestCloseFD_NamesTheDescriptor(t *testing.T) {
	if err := CloseFD(-1); err == nil || !strings.Contains(err.Error(), "-1") {
		t.Errorf("got %v", err)
	}
	if err := ConfigureStream(-1); err == nil {
		t.Error("configured no socket")
	}
	if _, err := LocalAddr(-1); err == nil {
		t.Error("no socket has an address")
	}
}

func TestPinThread(t *testing.T) {
	cpus := CPUs()
	if len(cpus) == 0 || !slices.IsSorted(cpus) {
		t.Fatalf("processors %v", cpus)
	}
	pinned := make(chan []int)
	go func() {
		// Never unlocked: the thread ends with this goroutine.
		runtime.LockOSThread()
		if err := PinThread(cpus[len(cpus)-1]); err != nil {
			t.Error(err)
		}
		pinned <- CPUs()
	}()
	if got := <-pinned; !slices.Equal(got, cpus[len(cpus)-1:]) {
		t.Errorf("pinned to %v", got)
	}
	if err := PinThread(1023); err == nil {
		t.Error("pinned to a processor that does not exist")
	}
}

// Threads are moved off the processors, ones that are made later too; with nowhere
// else to go they stay.
func TestKeepOff(t *testing.T) {
	cpus := CPUs()
	if len(cpus) < 2 {
		t.Skip("one processor is allowed: there is nowhere else to go")
	}
	t.Cleanup(func() { allowAll(t, cpus) })
	if err := KeepOff(cpus); err != nil {
		t.Error(err)
	}
	if got := CPUs(); !slices.Equal(got, cpus) {
		t.Errorf("with nowhere to go: %v", got)
	}
	stop := makeThreads()
	err := KeepOff(cpus[:1])
	stop()
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		got := make(chan []int)
		go func() {
			runtime.LockOSThread() // a thread of its own, that ends with it
			got <- CPUs()
		}()
		if c := <-got; !slices.Equal(c, cpus[1:]) {
			t.Fatalf("a thread may run on %v", c)
		}
	}
}

// makeThreads makes threads that make threads until stop is called.
func makeThreads() (stop func()) {
	ended := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-ended:
					return
				default:
				}
				next := make(chan struct{})
				go func() {
					runtime.LockOSThread() // a thread of its own, that ends with it
					close(next)
				}()
				<-next
			}
		})
	}
	return func() { close(ended); wg.Wait() }
}

// allowAll undoes KeepOff.
func allowAll(t *testing.T, cpus []int) {
	var all unix.CPUSet
	for _, cpu := range cpus {
		all.Set(cpu)
	}
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range threads {
		if id, err := strconv.Atoi(x.Name()); err == nil {
			_ = unix.SchedSetaffinity(id, &all) // the thread may have ended
		}
	}
}

func TestRaiseFDLimit(t *testing.T) {
	limit, err := RaiseFDLimit()
	if err != nil || limit == 0 {
		t.Fatalf("%d, %v", limit, err)
	}
	var now unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &now); err != nil || now.Cur != limit || now.Cur != now.Max {
		t.Errorf("limit is %+v, %v; want %d", now, err, limit)
	}
}
