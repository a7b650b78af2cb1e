//go:build system

package system

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const target = "iqn.2026-11.lunar:default"

// binary is the daemon under test, built once with the checks compiled in, and
// with LUNAR_RACE set with the race detector.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "lunar-system-")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "lunar")
	args := []string{"build", "-tags", "invariants", "-o", binary}
	if os.Getenv("LUNAR_RACE") != "" {
		args = append(args, "-race")
	}
	build := exec.Command("go", append(args, "../../cmd/lunar")...)
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// daemon is one running lunar serve.
type daemon struct {
	cmd    *exec.Cmd
	portal string
	args   []string
	log    *journal
	ended  chan error
}

// journal is what a daemon logs, read while it writes.
type journal struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write appends.
func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(p)
}

// String is everything so far.
func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.String()
}

var readyLine = regexp.MustCompile(`^lunar: ready portal=(\S+) target=(\S+) luns=(\d+) pid=(\d+)$`)

// serve starts a daemon on a free port and waits until it is ready. It is stopped
// at the end of the test, and must not have logged an internal error.
func serve(t *testing.T, args ...string) *daemon {
	t.Helper()
	d := &daemon{portal: "127.0.0.1:0", args: args}
	d.start(t)
	t.Cleanup(func() {
		if d.cmd.ProcessState == nil {
			d.terminate(t)
		}
		if s := d.log.String(); strings.Contains(s, "internal error") || strings.Contains(s, "DATA RACE") {
			t.Errorf("the daemon broke an invariant:\n%s", d.log)
		}
	})
	return d
}

func (d *daemon) start(t *testing.T) {
	t.Helper()
	ended := make(chan error, 1)
	d.log, d.ended = new(journal), ended
	args := []string{"serve"}
	if d.args[0] != "--config" {
		args = append(args, "--portal", d.portal)
	}
	d.cmd = exec.Command(binary, append(args, d.args...)...)
	d.cmd.Stderr = d.log
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	cmd := d.cmd
	ready := make(chan string, 1)
	go func() {
		sc := bufio.NewScanner(out)
		for sc.Scan() {
			if m := readyLine.FindStringSubmatch(sc.Text()); m != nil {
				ready <- m[1]
			}
		}
		ended <- cmd.Wait()
	}()
	select {
	case d.portal = <-ready:
	case err := <-ended:
		t.Fatalf("the daemon ended before it was ready: %v\n%s", err, d.log)
	case <-time.After(20 * time.Second):
		_ = d.cmd.Process.Kill()
		t.Fatalf("not ready after 20 s\n%s", d.log)
	}
}

// terminate sends SIGTERM: the daemon ends within five seconds and with 0.
func (d *daemon) terminate(t *testing.T) {
	t.Helper()
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-d.ended:
		if err != nil {
			t.Errorf("after SIGTERM: %v\n%s", err, d.log)
		}
	case <-time.After(5 * time.Second):
		_ = d.cmd.Process.Kill()
		t.Errorf("still alive 5 s after SIGTERM\n%s", d.log)
	}
}

// kill is kill -9.
func (d *daemon) kill(t *testing.T) {
	t.Helper()
	if err := d.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-d.ended
}

func (d *daemon) url(lun int) string {
	return urlAt(d.portal, lun)
}

func urlAt(portal string, lun int) string {
	return fmt.Sprintf("iscsi://%s/%s/%d", portal, target, lun)
}

// run runs a tool and returns what it said.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func TestEmbeddedDefault_IsADisk(t *testing.T) {
	state := t.TempDir()
	d := serve(t, "--state", state)
	if out := run(t, "iscsi-ls", "-s", "iscsi://"+d.portal); !strings.Contains(out, "Target:"+target) || !strings.Contains(out, "Lun:0") {
		t.Errorf("iscsi-ls:\n%s", out)
	}
	if out := run(t, "iscsi-inq", d.url(0)); !strings.Contains(out, "DIRECT_ACCESS") || !strings.Contains(out, "LUNAR") {
		t.Errorf("iscsi-inq:\n%s", out)
	}
	if out := run(t, "iscsi-readcapacity16", d.url(0)); !strings.Contains(out, "Total size:1073741824") {
		t.Errorf("iscsi-readcapacity16:\n%s", out)
	}
	info, err := os.Stat(filepath.Join(state, "lun0.img"))
	if err != nil || info.Size() != 1<<30 || info.Sys().(*syscall.Stat_t).Blocks*512 > 1<<24 {
		t.Errorf("lun0.img is no sparse file of 1 GiB: %v %v", info, err)
	}
}

// TestBytes_SurviveTheTrip copies random bytes onto a unit and back with QEMU;
// on a file also over kill -9.
func TestBytes_SurviveTheTrip(t *testing.T) {
	const size = 512 << 20
	dir := t.TempDir()
	d := serve(t, "--state", dir, "--lun", "file:path="+dir+"/f,size=1GiB", "--lun", "ram:size=1GiB")
	src, back := filepath.Join(dir, "src"), filepath.Join(dir, "back")
	want := randomFile(t, src, size)
	for lun := range 2 {
		run(t, "qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", src, d.url(lun))
		if got := readBack(t, d.url(lun), back, size); got != want {
			t.Fatalf("LUN %d: SHA-256 %s, want %s", lun, got, want)
		}
	}
	d.kill(t)
	d.start(t)
	if got := readBack(t, d.url(0), back, size); got != want {
		t.Fatalf("after kill -9: SHA-256 %s, want %s", got, want)
	}
}

func randomFile(t *testing.T, path string, n int64) string {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	h := sha256.New()
	seed := [32]byte{byte(time.Now().UnixNano())}
	if _, err := io.CopyN(io.MultiWriter(f, h), rand.NewChaCha8(seed), n); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

func readBack(t *testing.T, url, path string, n int64) string {
	t.Helper()
	run(t, "qemu-img", "convert", "-f", "raw", "-O", "raw", url, path)
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.CopyN(h, f, n); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

// Units of 4096-byte blocks are left to the other initiators: QEMU 7.2 aborts on
// reads of 32 KiB from any thin one, because it asks for the status of a range
// that is no multiple of 4096 (block/iscsi.c, BDRV_REQUEST_MAX_BYTES).
func TestQEMU_PatternsReadBack(t *testing.T) {
	dir := t.TempDir()
	d := serve(t, "--state", dir, "--lun", "file:path="+dir+"/f,size=64MiB", "--lun", "ram:size=64MiB")
	for lun := range 2 {
		out := run(t, "qemu-io", "-f", "raw",
			"-c", "write -P 0x5a 0 1M", "-c", "write -P 0xa5 12345344 300k", "-c", "flush",
			"-c", "read -P 0x5a 0 1M", "-c", "read -P 0xa5 12345344 300k",
			"-c", "write -z 512k 256k", "-c", "read -P 0 512k 256k", "-c", "read -P 0x5a 256k 256k",
			"-c", "discard 0 1M", "-c", "read -P 0 0 1M", d.url(lun))
		if strings.Contains(out, "failed") || strings.Contains(out, "error") {
			t.Errorf("LUN %d:\n%s", lun, out)
		}
	}
}
