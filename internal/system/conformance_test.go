//go:build system

package system

import (
	"context"
	"errors"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
)

// families are the parts of libiscsi's suite that concern what is built.
var families = []string{
	"TestUnitReady", "Mandatory", "Inquiry", "ReadCapacity10", "ReadCapacity16",
	"Read6", "Read10", "Read12", "Read16", "Write10", "Write12", "Write16",
	"Verify10", "Verify12", "Verify16", "WriteVerify10", "WriteVerify12", "WriteVerify16", "WriteSame10", "WriteSame16", "Unmap", "ModeSense6",
	"NoMedia", "StartStopUnit", "CompareAndWrite", "OrWrite", "Prefetch10", "Prefetch16", "ReadDefectData10", "ReadDefectData12",
	"Reserve6", "MultipathIO", "ExtendedCopy", "ReceiveCopyResults",
	"iSCSIResiduals", "iSCSIcmdsn", "iSCSIdatasn", "iSCSITMF",
}

// skips are the tests that libiscsi skips, and why that is right here. A skipped
// test that is not listed fails the run, and so does a listed one that ran on
// every unit.
var skips = map[string]string{
	"StartStopUnit.Simple":               "a fixed disk: the medium is not removable",
	"CompareAndWrite.InvalidDataOutSize": "needs several logical blocks in a physical one; the RAM unit has one",
	"WriteSame10.InvalidDataOutSize":     "needs several logical blocks in a physical one; the RAM unit has one",
	"WriteSame10.UnmapUnaligned":         "needs several logical blocks in a physical one; the RAM unit has one",
	"WriteSame16.InvalidDataOutSize":     "needs several logical blocks in a physical one; the RAM unit has one",
	"WriteSame16.UnmapUnaligned":         "needs several logical blocks in a physical one; the RAM unit has one",
}

// setUp is what the suite says before every test, because it looks for
// reservations first; it is no skip of the test.
const setUp = "[SKIPPED] PERSISTENT RESERVE IN is not implemented."

var summary = regexp.MustCompile(`(?m)^\s+tests\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)`)

// TestConformance runs each test of the suite in a process of its own, on a RAM
// and a file unit, each by two portals for the tests of multipath I/O. The two of iSCSITMF run in one process: the second one of
// libiscsi 1.19 asserts a variable that only the first one sets, and fails alone
// against every target (mended there later: "Move an assert statement").
func TestConformance(t *testing.T) {
	dir := t.TempDir()
	d := serve(t, "--state", dir, "--portal", "127.0.0.1:0", "--lun", "ram:size=256MiB", "--lun", "file:path="+dir+"/f,size=256MiB")
	portals := strings.Split(d.portal, ",")
	skipped := map[string]bool{}
	for lun, name := range []string{"ram", "file"} {
		t.Run(name, func(t *testing.T) {
			count := map[string]int{}
			for _, test := range suite(t) {
				verdict, why := conform(t, test, urlAt(portals[0], lun), urlAt(portals[1], lun))
				count[verdict]++
				skipped[test] = skipped[test] || verdict == "SKIP"
				t.Logf("%-4s %s %s", verdict, test, why)
				switch {
				case verdict == "SKIP" && skips[test] == "":
					t.Errorf("%s is skipped without a reason of ours: %s", test, why)
				case verdict != "SKIP" && verdict != "PASS":
					t.Errorf("%s %s: %s", verdict, test, why)
				}
			}
			t.Logf("%d passed, %d failed, %d hung, %d crashed, %d skipped",
				count["PASS"], count["FAIL"], count["HANG"], count["CRASH"], count["SKIP"])
			if count["PASS"] < 100 {
				t.Errorf("only %d tests passed", count["PASS"])
			}
		})
	}
	for test := range skips {
		if !skipped[test] {
			t.Errorf("%s is listed as skipped and ran everywhere", test)
		}
	}
}

// suite lists the tests to run, as FAMILY.TEST or, for iSCSITMF, the family.
func suite(t *testing.T) (tests []string) {
	t.Helper()
	for _, line := range strings.Fields(run(t, "iscsi-test-cu", "-l")) {
		parts := strings.Split(line, ".")
		if len(parts) != 3 || parts[0] != "ALL" {
			continue
		}
		for _, f := range families {
			if parts[1] == f && f != "iSCSITMF" {
				tests = append(tests, parts[1]+"."+parts[2])
			}
		}
	}
	if len(tests) < 100 {
		t.Fatalf("the suite lists only %d tests", len(tests))
	}
	return append(tests, "iSCSITMF")
}

// conform runs one test and classifies it.
func conform(t *testing.T, test string, paths ...string) (verdict, why string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	if !strings.HasPrefix(test, "MultipathIO.") {
		paths = paths[:1] // the others would only look for a second path
	}
	args := append([]string{"-d", "-v", "-t", "ALL." + test}, paths...)
	b, err := exec.CommandContext(ctx, "iscsi-test-cu", args...).CombinedOutput()
	out := strings.ReplaceAll(string(b), setUp, "")
	m := summary.FindStringSubmatch(out)
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return "HANG", "no end after 60 s"
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
