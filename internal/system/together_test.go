//go:build system

package system

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// together is how long the three initiators run; LUNAR_TOGETHER overrides it.
func together(t *testing.T) time.Duration {
	if s := os.Getenv("LUNAR_TOGETHER"); s != "" {
		d, err := time.ParseDuration(s)
		if err != nil {
			t.Fatalf("LUNAR_TOGETHER: %v", err)
		}
		return d
	}
	return 8 * time.Second
}

// TestThreeInitiators_Together runs libiscsi, QEMU (header digest) and our own
// initiator (header and data digest) at once on two units, each on a part of its
// own, with verified random I/O. No byte may differ and no session may drop.
func TestThreeInitiators_Together(t *testing.T) {
	dir := t.TempDir()
	d := serve(t, "--state", dir, "--log-level", "debug", "--lun", "file:path="+dir+"/f,size=256MiB", "--lun", "ram:size=256MiB")
	verify := filepath.Join(dir, "verify")
	run(t, "cc", "-O2", "-o", verify, "testdata/libiscsi_verify.c", "-liscsi")
	length := together(t)
	seconds := fmt.Sprint(int(length.Seconds()))

	var all sync.WaitGroup
	start := func(name string, f func() (string, error)) {
		all.Go(func() {
			out, err := f()
			t.Logf("%s: %s", name, lastLine(out))
			if err != nil {
				t.Errorf("%s: %v\n%s", name, err, out)
			}
		})
	}
	tool := func(name string, args ...string) func() (string, error) {
		return func() (string, error) {
			out, err := exec.Command(name, args...).CombinedOutput()
			return string(out), err
		}
	}
	for lun := range 2 {
		// The first 64 MiB belong to our own initiator, the next 32 MiB to libiscsi, and
		// what lies behind 192 MiB to QEMU.
		start(fmt.Sprintf("libiscsi on LUN %d", lun), tool(verify, d.url(lun), "131072", "65536", seconds, fmt.Sprint(lun+1)))
		start(fmt.Sprintf("QEMU on LUN %d", lun), func() (string, error) { return qemuRandom(d, lun, length) })
		start(fmt.Sprintf("lunar on LUN %d", lun), tool(binary, "bench", d.url(lun), "--verify", "--rw", "mix=50",
			"--size", "64m", "--qd", "16", "--header-digest", "--data-digest", "--time", length.String()))
	}
	all.Wait()
	for _, line := range strings.Split(d.log.String(), "\n") {
		if strings.Contains(line, "connection closed") && !strings.Contains(line, "why=done") {
			t.Errorf("a session was dropped: %s", line)
		}
	}
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}

// qemuRandom has one qemu-io write patterns at random places between 192 and 256
// MiB and read each region back, first at once and again at the end.
func qemuRandom(d *daemon, lun int, length time.Duration) (string, error) {
	cmd := exec.Command("qemu-io", "--image-opts", fmt.Sprintf(
		"driver=iscsi,transport=tcp,portal=%s,target=%s,lun=%d,header-digest=crc32c,initiator-name=iqn.2026-11.test:qemu%d", d.portal, target, lun, lun))
	in, err := cmd.StdinPipe()
	if err != nil {
		return "", err
	}
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		return "", err
	}
	const first, region, regions = 192 << 20, 64 << 10, 1024
	r := rand.New(rand.NewPCG(uint64(lun), 7))
	last := map[int]int{}
	n := 0
	for end := time.Now().Add(length); time.Now().Before(end); n++ {
		at, pattern := r.IntN(regions), 1+r.IntN(255)
		last[at] = pattern
		fmt.Fprintf(in, "write -P %d %d %d\n", pattern, first+at*region, region)
		if other := r.IntN(regions); last[other] != 0 {
			fmt.Fprintf(in, "read -P %d %d %d\n", last[other], first+other*region, region)
		}
	}
	for at, pattern := range last {
		fmt.Fprintf(in, "read -P %d %d %d\n", pattern, first+at*region, region)
	}
	// qemu-io reads ahead of the line it is at and then waits for more input, so the
	// end of the input is what ends it.
	if err := in.Close(); err != nil {
		return "", err
	}
	err = cmd.Wait()
	text := out.String()
	if err == nil && (strings.Contains(text, "failed") || strings.Contains(text, "error") || strings.Contains(text, "ERR")) {
		err = fmt.Errorf("a command failed")
	}
	if c := strings.Count(text, "wrote 65536/65536"); err == nil && c != n {
		err = fmt.Errorf("%d of %d writes succeeded", c, n)
	}
	return fmt.Sprintf("%s\n%d writes, %d regions verified", text[max(0, len(text)-500):], n, len(last)), err
}
