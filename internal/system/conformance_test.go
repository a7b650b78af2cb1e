//go:build system

package system

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"lunar/lun/block/blocktest"
)

// bench is one set-up that the whole suite runs on, with a daemon of its own.
type bench struct {
	name string
	// unit is what the configuration file says of the one unit, lun of its mapping.
	unit, lun string
	// user and secret are of CHAP, empty without.
	user, secret string
	// only and not say which tests run, all when both are nil; why is the reason. Wait is
	// how long one may take, a minute when it is zero.
	only, not *regexp.Regexp
	why       string
	wait      time.Duration
}

var (
	// writing are tests that write without asking whether they may.
	writing = regexp.MustCompile(`^(CompareAndWrite|ExtendedCopy|ReceiveCopyResults\.CopyStatus|GetLBAStatus\.Unmap|OrWrite|ProutReserve\.Access|Sanitize|Unmap|Write|iSCSIResiduals\.Write|MultipathIO|iSCSITMF)`)
	// inBlocks are tests that write 512 bytes, whatever a block has.
	inBlocks = regexp.MustCompile(`^(ProutReserve\.Access|Sanitize\.Reset)`)
	// aligned wants of GET LBA STATUS a first descriptor behind the address it asks for.
	aligned = regexp.MustCompile(`^(GetLBAStatus\.UnmapSingle|Sanitize\.Reset)$`)
	// longer is aligned, and one that reads what is said of commands of 32 bytes as nothing.
	longer = regexp.MustCompile(`^(GetLBAStatus\.UnmapSingle|Sanitize\.Reset|ReportSupportedOpcodes\.OneCommand)$`)
	// erased wants blocks that were erased to be deallocated.
	erased = regexp.MustCompile(`^Sanitize\.(BlockErase|Reset)$`)
	// lasting looks at a sanitize operation after some seconds.
	lasting = regexp.MustCompile(`^Sanitize\.Reset$`)
)

// benches are those that the suite runs on: what one cannot show another does.
var benches = []bench{
	{name: "ram", unit: `medium = "ram", size = "256MiB"`, not: lasting, why: "it is sanitized in no time"},
	{
		name: "file", unit: `medium = "file", path = "$DIR/f", size = "256MiB"`, not: aligned,
		why: "with eight blocks in a physical one the suite asks for one address and expects another (SBC-3 §5.4.2: the first descriptor begins where it was asked)",
	},
	{
		name: "4096", unit: `medium = "file", path = "$DIR/f", size = "256MiB", block_size = 4096`, not: inBlocks,
		why: "it writes 512 bytes, an eighth of a block",
	},
	{name: "device", unit: `medium = "block", path = "$LOOP"`, not: erased, why: "a device does not say what it has deallocated, so all of it is mapped"},
	{name: "protected", unit: `medium = "ram", size = "256MiB", protection = 1`, not: lasting, why: "as ram"},
	{
		name: "protected file", unit: `medium = "file", path = "$DIR/f", size = "256MiB", protection = 2`, not: longer,
		why: "as file, and libiscsi has room for 16 bytes of a command's usage data",
	},
	{name: "removable", unit: `medium = "ram", size = "256MiB", removable = true`, not: lasting, why: "as ram"},
	{name: "read-only", unit: `medium = "ram", size = "256MiB"`, lun: ", read_only = true", not: writing, why: "it writes"},
	{name: "CHAP 0x", unit: `medium = "ram", size = "256MiB"`, user: "0xuser", secret: "what-the-host-says", not: lasting, why: "as ram"},
	{name: "CHAP 0b", unit: `medium = "ram", size = "256MiB"`, user: "0buser", secret: "0bWhatTheHostSays", not: lasting, why: "as ram"},
	{name: "large", unit: `medium = "null", size = "64GiB"`, only: lasting, why: "a medium that takes some seconds", wait: 4 * time.Minute},
}

// never are the tests that pass nowhere, by the suite's own reason.
var never = map[string]string{
	"Sanitize.CryptoErase":  "CRYPTOGRAPHIC ERASE is not there: nothing is encrypted",
	"Sanitize.Readonly":     "the part for CRYPTOGRAPHIC ERASE; the others pass",
	"Sanitize.Reservations": "the part for CRYPTOGRAPHIC ERASE; the others pass",
}

// setUp is what the suite says before every test, because it looks for
// reservations first; it is no skip of the test.
const setUp = "[SKIPPED] PERSISTENT RESERVE IN is not implemented."

var summary = regexp.MustCompile(`(?m)^\s+tests\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)`)

// TestConformance runs each test of libiscsi's suite in a process of its own, in each
// configuration, by two portals for the tests of multipath I/O. The two of iSCSITMF run in
// one process: the second one of libiscsi 1.19 asserts a variable that only the first one
// sets, and fails alone against every target (mended there later: "Move an assert
// statement"). Nothing may fail, and every test passes somewhere.
func TestConformance(t *testing.T) {
	all := suite(t)
	var mu sync.Mutex
	passed := map[string]bool{}
	t.Run("in", func(t *testing.T) {
		for _, c := range benches {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				for _, test := range c.run(t, all) {
					mu.Lock()
					passed[test] = true
					mu.Unlock()
				}
			})
		}
	})
	for _, test := range all {
		if passed[test] == (never[test] != "") {
			t.Errorf("%s: passed %v, listed as passing nowhere: %q", test, passed[test], never[test])
		}
	}
	t.Logf("%d of %d tests pass in some configuration", len(passed), len(all))
}

// run runs the suite and returns what passed.
func (c *bench) run(t *testing.T, all []string) (passed []string) {
	portals := c.start(t)
	count := map[string]int{}
	for _, test := range all {
		if c.only != nil && !c.only.MatchString(test) || c.not != nil && c.not.MatchString(test) {
			count["left out"]++
			continue
		}
		verdict, why := c.conform(t, test, portals)
		count[verdict]++
		t.Logf("%-4s %s %s", verdict, test, why)
		switch verdict {
		case "PASS":
			passed = append(passed, test)
		case "SKIP":
		default:
			t.Errorf("%s %s: %s", verdict, test, why)
		}
	}
	t.Logf("%d passed, %d failed, %d hung, %d crashed, %d skipped, %d left out: %s",
		count["PASS"], count["FAIL"], count["HANG"], count["CRASH"], count["SKIP"], count["left out"], c.why)
	return passed
}

// start serves the configuration and returns its portals.
func (c *bench) start(t *testing.T) []string {
	t.Helper()
	dir := t.TempDir()
	if strings.Contains(c.unit, "$LOOP") {
		c.unit = strings.ReplaceAll(c.unit, "$LOOP", blocktest.NewLoop(t, 256<<20, 512).Path)
	}
	// The suite sleeps for a minute without an answer to anything.
	text := fmt.Sprintf("state = %q\n[limits]\nping_time = \"2m\"\n[[portal_group]]\nportals = [\"127.0.0.1:0\", \"127.0.0.1:0\"]\n[[unit]]\nname = \"u\"\n", dir) +
		strings.ReplaceAll(strings.ReplaceAll(c.unit, ", ", "\n"), "$DIR", dir) +
		fmt.Sprintf("\n[[target]]\nname = %q\nlun = [{ number = 0, unit = \"u\"%s }]\n", target, c.lun)
	if c.user != "" {
		secret := filepath.Join(dir, "secret")
		if err := os.WriteFile(secret, []byte(c.secret+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		text += fmt.Sprintf("[target.chap]\nusers = [{ name = %q, secret = %q }]\n", c.user, "file:"+secret)
	}
	file := filepath.Join(dir, "lunar.toml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return strings.Split(serve(t, "--config", file).portal, ",")
}

// suite lists the tests to run, as FAMILY.TEST or, for iSCSITMF, the family.
func suite(t *testing.T) (tests []string) {
	t.Helper()
	for _, line := range strings.Fields(run(t, "iscsi-test-cu", "-l")) {
		parts := strings.Split(line, ".")
		if len(parts) == 3 && parts[0] == "ALL" && parts[1] != "iSCSITMF" {
			tests = append(tests, parts[1]+"."+parts[2])
		}
	}
	if len(tests) < 200 {
		t.Fatalf("the suite lists only %d tests", len(tests))
	}
	return append(tests, "iSCSITMF")
}

// conform runs one test and classifies it.
func (c *bench) conform(t *testing.T, test string, portals []string) (verdict, why string) {
	t.Helper()
	wait := cmp.Or(c.wait, time.Minute)
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	if !strings.HasPrefix(test, "MultipathIO.") {
		portals = portals[:1] // the others would only look for a second path
	}
	args := []string{"-d", "-v", "-S", "-t", "ALL." + test}
	for _, p := range portals {
		if c.user != "" {
			p = c.user + "%" + c.secret + "@" + p
		}
		args = append(args, urlAt(p, 0))
	}
	b, err := exec.CommandContext(ctx, "iscsi-test-cu", args...).CombinedOutput()
	out := strings.ReplaceAll(string(b), setUp, "")
	m := summary.FindStringSubmatch(out)
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return "HANG", fmt.Sprintf("no end after %v\n%s", wait, out)
	case m == nil || m[2] == "0":
		return "CRASH", strings.TrimSpace(out) + " " + errorText(err)
	case m[4] != "0":
		return "FAIL", out
	}
	if i := strings.Index(out, "[SKIPPED]"); i >= 0 {
		line, _, _ := strings.Cut(out[i:], "\n")
		return "SKIP", line
	}
	return "PASS", ""
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
