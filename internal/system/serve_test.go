//go:build system

package system

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// refuse starts a daemon that must not come up, and returns what it said.
func refuse(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, binary, append([]string{"serve"}, args...)...).CombinedOutput()
	if err == nil || ctx.Err() != nil {
		t.Fatalf("serve %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// TestServe_Refusals: every refusal is one line that names the object and the
// remedy.
func TestServe_Refusals(t *testing.T) {
	dir := t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	odd := filepath.Join(dir, "odd")
	if err := os.WriteFile(odd, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	ram := []string{"--state", dir, "--lun", "ram:size=1MiB"}
	for _, c := range []struct {
		name   string
		args   []string
		expect []string
	}{
		{"busy port", append(ram, "--portal", l.Addr().String()), []string{l.Addr().String(), "another process", "choose another portal"}},
		{"foreign address", append(ram, "--portal", "192.0.2.1:3260"), []string{"192.0.2.1:3260", "address of this machine"}},
		{"missing file", []string{"--state", dir, "--lun", "file:path=" + dir + "/nosuch"}, []string{dir + "/nosuch", "create the file"}},
		{"other size", []string{"--state", dir, "--lun", "file:path=" + odd + ",size=2MiB"}, []string{odd, "1048576", "2097152"}},
		{"no medium", []string{"--state", dir, "--lun", "tape:size=1GiB"}, []string{"tape", "ram, file, block or null"}},
		{"no size", []string{"--state", dir, "--lun", "ram:"}, []string{"ram", "size="}},
		{"bad size", []string{"--state", dir, "--lun", "ram:size=big"}, []string{"big", "GiB"}},
		{"bad block", []string{"--state", dir, "--lun", "ram:size=1MiB,bs=520"}, []string{"520", "bs=512 or bs=4096"}},
		{"one file twice", []string{"--state", dir, "--lun", "file:path=" + odd, "--lun", "file:path=" + odd}, []string{odd, "share the file", "of its own"}},
		{"bad name", append(ram, "--target", "disk"), []string{`"disk"`, "iqn."}},
		{"bad reactors", append(ram, "--reactors", "many"), []string{"--reactors", "many"}},
		{"bad poll", append(ram, "--poll", "maybe"), []string{"--poll", "maybe"}},
		{"bad level", append(ram, "--log-level", "loud"), []string{"--log-level", "loud"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			said := refuse(t, c.args...)
			if strings.Count(said, "\n") > 0 {
				t.Errorf("more than one line:\n%s", said)
			}
			for _, word := range c.expect {
				if !strings.Contains(said, word) {
					t.Errorf("%q does not say %q", said, word)
				}
			}
		})
	}
}

func TestServe_SecondDaemonOnAFile_IsRefused(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "disk")
	serve(t, "--state", dir, "--lun", "file:path="+path+",size=16MiB")
	said := refuse(t, "--portal", "127.0.0.1:0", "--state", t.TempDir(), "--lun", "file:path="+path+",size=16MiB")
	if !strings.Contains(said, path) || !strings.Contains(said, "another") {
		t.Errorf("said %q", said)
	}
}

// TestServe_PortOfADyingPredecessor kills a daemon and starts the next one at
// once on the same port, under load, several times.
func TestServe_PortOfADyingPredecessor(t *testing.T) {
	dir := t.TempDir()
	d := serve(t, "--state", dir, "--lun", "file:path="+dir+"/f,size=64MiB")
	for range 10 {
		load := exec.Command("qemu-img", "bench", "-f", "raw", "-c", "100000", "-d", "32", "-w", "-t", "none", d.url(0))
		if err := load.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
		if err := d.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		ended := d.ended
		d.start(t) // while the other may still be dying
		<-ended
		_ = load.Process.Kill()
		_ = load.Wait()
		run(t, "iscsi-inq", d.url(0))
	}
}

// TestServe_IdentitySurvives: hosts know a disk by VPD page 83h.
func TestServe_IdentitySurvives(t *testing.T) {
	dir := t.TempDir()
	d := serve(t, "--state", dir, "--lun", "file:path="+dir+"/f,size=16MiB", "--lun", "ram:size=16MiB")
	page := func(lun int) string { return run(t, "iscsi-inq", "-e", "1", "-c", "131", d.url(lun)) }
	first, second := page(0), page(1)
	if first == second {
		t.Errorf("two units have one identity:\n%s", first)
	}
	d.terminate(t)
	d.start(t)
	if page(0) != first || page(1) != second {
		t.Error("identities changed with a restart")
	}
}

// TestServe_ManyPortals listens on IPv4 and IPv6 and names both in discovery.
func TestServe_ManyPortals(t *testing.T) {
	d := serve(t, "--state", t.TempDir(), "--lun", "null:size=1TiB", "--portal", "[::1]:0")
	portals := strings.Split(d.portal, ",")
	if len(portals) != 2 {
		t.Fatalf("portals %q", d.portal)
	}
	for _, p := range portals {
		out := run(t, "iscsi-ls", "iscsi://"+p)
		for _, q := range portals {
			if !strings.Contains(out, q+",1") {
				t.Errorf("discovery at %s does not name %s:\n%s", p, q, out)
			}
		}
	}
}

// TestServe_EveryRingAndReactorCount moves bytes over each ring and with units
// away from their connections.
func TestServe_EveryRingAndReactorCount(t *testing.T) {
	for _, args := range [][]string{
		{"--ring", "uring", "--poll", "sleep"},
		{"--ring", "epoll"},
		{"--ring", "uring", "--poll", "spin"},
		{"--reactors", "2"},
		{"--reactors", "2", "--ring", "epoll"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			dir := t.TempDir()
			d := serve(t, append(args, "--state", dir, "--lun", "ram:size=32MiB,bs=4096", "--lun", "file:path="+dir+"/f,size=32MiB")...)
			for lun := range 2 {
				// Several connections, so that with two reactors some are far from the unit.
				for range 4 {
					out := run(t, binary, "bench", d.url(lun), "--verify", "--rw", "mix=50", "--size", "8m", "--time", "300ms", "--warmup", "0s")
					if strings.Contains(out, "mismatch") && !strings.Contains(out, "0 mismatches") {
						t.Errorf("LUN %d: %s", lun, out)
					}
				}
			}
		})
	}
}
