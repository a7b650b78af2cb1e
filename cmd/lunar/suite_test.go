package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"lunar/bench/suite"
)

// TestMain lets this program be lunar itself, which the suite starts as its
// targets.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == "serve" || os.Args[1] == "bench") {
		if err := rootCommand().Execute(); err != nil {
			fmt.Fprintln(os.Stderr, "lunar:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// suiteProcess is a run of the suite in a process of its own, since it pins itself.
func suiteProcess(t *testing.T, args ...string) (cmd *exec.Cmd, stderr *bytes.Buffer) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	cmd = exec.CommandContext(ctx, os.Args[0], append([]string{"bench", "suite", "--dir", t.TempDir()}, args...)...)
	cmd.Dir, stderr = t.TempDir(), new(bytes.Buffer)
	cmd.Stderr = stderr
	return cmd, stderr
}

// left are processes that a run in dir started and did not end.
func left(t *testing.T, dir string) (names []string) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		line, err := os.ReadFile(f)
		if err == nil && bytes.Contains(line, []byte(dir)) {
			names = append(names, string(bytes.ReplaceAll(line, []byte{0}, []byte{' '})))
		}
	}
	return names
}

// A tiny suite with the floor and this target writes its page and raw numbers, and
// nothing stays behind.
func TestSuite_OneCell_WritesPage(t *testing.T) {
	cmd, stderr := suiteProcess(t, "--only", "^ram/randread-4k-qd32/polling$|probe/memory", "--peers", "floor",
		"--rounds", "2", "--time", "300ms", "--out", "page.md", "--results", "raw.json")
	dir := cmd.Args[4]
	if out, err := cmd.Output(); err != nil {
		t.Fatalf("%v\n%s%s", err, out, stderr)
	}
	raw, err := os.ReadFile(filepath.Join(cmd.Dir, "raw.json"))
	if err != nil {
		t.Fatal(err)
	}
	var r suite.Results
	if err := json.Unmarshal(raw, &r); err != nil {
		t.Fatal(err)
	}
	c := r.Cell("ram/randread-4k-qd32/polling")
	if c == nil || len(c.Rows) != 3 {
		t.Fatalf("%+v\n%s", r, stderr)
	}
	for _, row := range c.Rows {
		if v, _ := row.Median(suite.IOPS); len(row.Rounds) != 2 || v <= 0 || row.Error != "" {
			t.Errorf("%+v", row)
		}
	}
	if f := r.Figure("rss"); f == nil || f.Value < 1 || f.Error != "" {
		t.Errorf("%+v", f)
	}
	page, err := os.ReadFile(filepath.Join(cmd.Dir, "page.md"))
	if err != nil || !strings.Contains(string(page), "| lunar-epoll |") {
		t.Errorf("%v\n%s", err, page)
	}
	if _, err := os.Stat(filepath.Join(cmd.Dir, plotsDir, "small-polling.svg")); err != nil {
		t.Error(err)
	}
	nothingLeft(t, dir)
}

func nothingLeft(t *testing.T, dir string) {
	t.Helper()
	if names := left(t, dir); len(names) > 0 {
		t.Errorf("still running: %s", strings.Join(names, "; "))
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) > 0 {
		t.Errorf("still there: %v, %v", files, err)
	}
}

// A suite that is told to end ends its targets first.
func TestSuite_Terminated_LeavesNothing(t *testing.T) {
	cmd, stderr := suiteProcess(t, "--only", "^ram/randread-4k-qd32/polling$", "--peers", "floor", "--rounds", "100", "--time", "10s")
	dir := cmd.Args[4]
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for range 200 { // until the targets run
		if len(left(t, dir)) > 2 {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	time.Sleep(300 * time.Millisecond)
	_ = cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err == nil {
		t.Errorf("a suite that was ended succeeded: %s", stderr)
	}
	if cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("it ended with %v: %s", cmd.ProcessState, stderr)
	}
	nothingLeft(t, dir)
}

// Verifying goes over all instances and both kinds of unit, and leaves nothing. The
// time is several times what the six turns need on a machine with other work.
func TestSuite_Verify_GoesOverEverything(t *testing.T) {
	cmd, stderr := suiteProcess(t, "--verify", "9s", "--file-bytes", "67108864", "--only", "^(ram|file)/randread-4k-qd32$")
	dir := cmd.Args[4]
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s%s", err, out, stderr)
	}
	for _, want := range []string{"\nram/", "\nfile/", " lunar ", " lunar-epoll ", " lunar-two ", "\nall: 6 of 6 had a turn"} {
		if !bytes.Contains(out, []byte(want)) {
			t.Errorf("the table lacks %q:\n%s%s", want, out, stderr)
		}
	}
	nothingLeft(t, dir)
}

// A suite that is interrupted tells what it verified so far.
func TestSuite_VerifyTerminated_ShowsTable(t *testing.T) {
	cmd, _ := suiteProcess(t, "--verify", "1h", "--only", "^ram/randread-4k-qd32$")
	dir := cmd.Args[4]
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, nil
	progress, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	for lines := bufio.NewScanner(progress); lines.Scan(); {
		said.WriteString(lines.Text() + "\n")
		if strings.Contains(lines.Text(), "verify 1 of 3: ") {
			_ = cmd.Process.Signal(syscall.SIGTERM)
		}
	}
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 1 || !strings.Contains(out.String(), "\nall: ") {
		t.Errorf("%v\n%s%s", err, &out, &said)
	}
	nothingLeft(t, dir)
}
