//go:build system

package system

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// configuration is a file with a target for each unit.
func configuration(state string, sizes ...string) string {
	s := fmt.Sprintf("state = %q\n[[portal_group]]\nportals = [\"127.0.0.1:0\"]\n", state)
	for i, size := range sizes {
		s += fmt.Sprintf("[[unit]]\nname = \"u%d\"\nmedium = \"file\"\npath = %q\nsize = %q\n", i, filepath.Join(state, fmt.Sprint("u", i)), size)
		s += fmt.Sprintf("[[target]]\nname = \"%s%d\"\nlun = [{ number = 0, unit = \"u%d\" }]\n", target, i, i)
	}
	return s
}

// hangup writes a configuration and waits until the daemon has said something of it.
func (d *daemon) hangup(t *testing.T, file, text, says string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	before := len(d.log.String())
	if err := d.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); !strings.Contains(d.log.String()[before:], says); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the daemon did not say %q:\n%s", says, d.log.String()[before:])
		}
	}
}

// SIGHUP adds, resizes and removes while another session works; a file with an error
// changes nothing and is named with its place.
func TestServe_ReloadOnHangup(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "lunar.toml")
	if err := os.WriteFile(file, []byte(configuration(dir, "16MiB")), 0o600); err != nil {
		t.Fatal(err)
	}
	d := serve(t, "--config", file)
	url := func(n int) string { return fmt.Sprintf("iscsi://%s/%s%d/0", d.portal, target, n) }
	capacity := func(n int) string { return strings.TrimSpace(run(t, "iscsi-readcapacity16", "-s", url(n))) }
	load := make(chan string, 1)
	go func() {
		load <- run(t, binary, "bench", url(0), "--verify", "--rw", "mix=50", "--size", "8m", "--time", "3s", "--warmup", "0s")
	}()
	d.hangup(t, file, configuration(dir, "16MiB", "32MiB"), "configuration loaded")
	if c := capacity(1); c != "33554432" {
		t.Errorf("the new unit: %s", c)
	}
	d.hangup(t, file, configuration(dir, "16MiB", "64MiB"), "configuration loaded")
	if c := capacity(1); c != "67108864" {
		t.Errorf("the larger unit: %s", c)
	}
	d.hangup(t, file, configuration(dir, "16MiB", "99XB"), "lunar.toml:16:1: unit \\\"u1\\\": size \\\"99XB\\\"")
	if c := capacity(1); c != "67108864" {
		t.Errorf("after a bad file: %s", c)
	}
	d.hangup(t, file, configuration(dir, "16MiB"), "configuration loaded")
	if out := run(t, "iscsi-ls", "iscsi://"+d.portal); strings.Contains(out, target+"1") {
		t.Errorf("the removed target is shown:\n%s", out)
	}
	if out := <-load; strings.Contains(out, "mismatch") && !strings.Contains(out, "0 mismatches") {
		t.Errorf("under load: %s", out)
	}
}
