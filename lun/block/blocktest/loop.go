// Package blocktest makes block devices for tests, loop devices on files of their own, and
// file systems on them.
package blocktest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// Loop is a loop device and the file behind it.
type Loop struct{ Path, File string }

// NewLoop makes a device of so many bytes, with logical blocks of 512 or 4096, that lives
// as long as the test. The test is skipped where nobody may make one.
func NewLoop(t testing.TB, bytes int64, blockBytes int) *Loop {
	t.Helper()
	file := filepath.Join(t.TempDir(), "behind")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, bytes); err != nil {
		t.Fatal(err)
	}
	return Attach(t, file, blockBytes)
}

// Attach makes a device on a file.
func Attach(t testing.TB, file string, blockBytes int, options ...string) *Loop {
	t.Helper()
	if os.Getuid() != 0 {
		// losetup opens /dev/loop-control and /dev/loopN, which belong to root; CI runs as it.
		t.Skip("loop devices are made by root alone")
	}
	args := append([]string{"--find", "--show", "--sector-size", strconv.Itoa(blockBytes)}, options...)
	out, err := exec.Command("losetup", append(args, file)...).CombinedOutput()
	if err != nil {
		// A container without the devices, or a kernel without the driver: nothing of ours.
		t.Skipf("no loop device can be made here: losetup: %v: %s", err, out)
	}
	l := &Loop{Path: strings.TrimSpace(string(out)), File: file}
	t.Cleanup(func() { run(t, "losetup", "--detach", l.Path) })
	return l
}

// Resize gives the file, and then the device, another size.
func (l *Loop) Resize(t testing.TB, bytes int64) {
	t.Helper()
	if err := os.Truncate(l.File, bytes); err != nil {
		t.Fatal(err)
	}
	run(t, "losetup", "--set-capacity", l.Path)
}

// Format makes a file system on the device, for instance ext4.
func (l *Loop) Format(t testing.TB, kind string) {
	t.Helper()
	if out, err := exec.Command("mkfs."+kind, "-q", l.Path).CombinedOutput(); err != nil {
		// mkfs.ext4 is not installed here, or mkfs.xfs where nobody ran internal/system/tools.sh, as
		// make test does: a machine without them has no such file system to test on.
		t.Skipf("no file system can be made here: mkfs.%s: %v: %s", kind, err, out)
	}
}

// Mount mounts the device for as long as the test lives, and returns where.
func (l *Loop) Mount(t testing.TB, kind string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount(l.Path, dir, kind, 0, ""); err != nil {
		// A container whose root may not mount; what is tested needs a store that gets full.
		t.Skipf("nothing can be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	return dir
}

func run(t testing.TB, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Errorf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
}
