//go:build system

package system

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lunar/lun/block/blocktest"
)

// A device carries what QEMU writes over kill -9 and back, nobody else has it meanwhile,
// and what initiators are told of it is what it is.
func TestBlock_BytesSurviveTheTrip(t *testing.T) {
	const size = 256 << 20
	dir := t.TempDir()
	l := blocktest.NewLoop(t, size, 512)
	d := serve(t, "--state", dir, "--lun", "block:path="+l.Path)
	src, back := filepath.Join(dir, "src"), filepath.Join(dir, "back")
	want := randomFile(t, src, size)
	run(t, "qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", src, d.url(0))
	if got := readBack(t, d.url(0), back, size); got != want {
		t.Fatalf("SHA-256 %s, want %s", got, want)
	}
	said := refuse(t, "--portal", "127.0.0.1:0", "--state", t.TempDir(), "--lun", "block:path="+l.Path)
	if !strings.Contains(said, l.Path) || !strings.Contains(said, "has the device for itself") {
		t.Errorf("a second daemon was told:\n%s", said)
	}
	d.kill(t)
	d.start(t)
	if got := readBack(t, d.url(0), back, size); got != want {
		t.Fatalf("after kill -9: SHA-256 %s, want %s", got, want)
	}
	run(t, "cmp", src, l.File)
}

func TestBlock_QEMUPatternsReadBack(t *testing.T) {
	l := blocktest.NewLoop(t, 64<<20, 512)
	d := serve(t, "--state", t.TempDir(), "--lun", "block:path="+l.Path+",sync=on")
	out := run(t, "qemu-io", "-f", "raw",
		"-c", "write -P 0x5a 0 1M", "-c", "write -P 0xa5 12345344 300k", "-c", "flush",
		"-c", "read -P 0x5a 0 1M", "-c", "read -P 0xa5 12345344 300k",
		"-c", "write -z 512k 256k", "-c", "read -P 0 512k 256k", "-c", "read -P 0x5a 256k 256k",
		"-c", "discard 0 1M", "-c", "read -P 0 0 1M", d.url(0))
	if strings.Contains(out, "failed") || strings.Contains(out, "error") {
		t.Errorf("qemu-io:\n%s", out)
	}
}

// Blocks of 4096 bytes are the device's, and a device that got larger is larger to those
// who come.
func TestBlock_GeometryIsTheDevices(t *testing.T) {
	l := blocktest.NewLoop(t, 64<<20, 4096)
	d := serve(t, "--state", t.TempDir(), "--lun", "block:path="+l.Path)
	capacity := func() string { return run(t, "iscsi-readcapacity16", d.url(0)) }
	out := capacity()
	for _, s := range []string{"Total size:67108864", "LOGICAL BLOCK LENGTH IN BYTES:4096", "LBPME:1", "LBPRZ:1"} {
		if !strings.Contains(strings.ReplaceAll(out, " ", ""), strings.ReplaceAll(s, " ", "")) {
			t.Errorf("no %q in:\n%s", s, out)
		}
	}
	l.Resize(t, 128<<20)
	for end := time.Now().Add(10 * time.Second); !strings.Contains(capacity(), "Total size:134217728"); {
		if time.Now().After(end) {
			t.Fatalf("the new size is not told:\n%s", capacity())
		}
		time.Sleep(100 * time.Millisecond)
	}
}
