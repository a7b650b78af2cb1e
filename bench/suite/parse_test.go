package suite

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestParseFio_ReadAndWrite(t *testing.T) {
	side := `{"iops": 80000.0, "total_ios": 40000, "runtime": 500, "lat_ns": {"mean": 360000.0, "max": 4700000,
		"percentile": {"50.000000": 300000, "90.000000": 330000, "99.000000": 2900000, "99.900000": 4000000}}}`
	idle := `{"iops": 0, "total_ios": 0, "runtime": 0, "lat_ns": {"mean": 0, "max": 0}}`
	for _, sides := range []string{`"read": ` + side + `, "write": ` + idle, `"read": ` + idle + `, "write": ` + side} {
		text := "note: both iodepth >= 1\n{\"jobs\": [{" + sides + `, "usr_cpu": 4.0, "sys_cpu": 36.0}]}`
		r, err := parseFio([]byte(text), &Cell{Load: read32})
		if err != nil {
			t.Fatal(err)
		}
		if r.IOPS != 80000 || r.MiBps != 312.5 || r.Latency.P50 != 300 || r.Latency.P999 != 4000 || r.TargetMicros != 5 {
			t.Errorf("%+v", r)
		}
	}
	for _, text := range []string{"", "{}", `{"jobs": [{"read": ` + idle + `, "write": ` + idle + `}]}`} {
		if r, err := parseFio([]byte(text), &Cell{Load: read32}); err == nil {
			t.Errorf("%q is %+v", text, r)
		}
	}
}

func TestCountCalls_Totals(t *testing.T) {
	path := filepath.Join(t.TempDir(), "strace")
	text := `% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 11.17    0.061989          27      2237         1 io_uring_enter
------ ----------- ----------- --------- --------- ----------------
100.00    0.555131         208      2667         7 total
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if n, err := countCalls(path, 26670); err != nil || n != 0.1 {
		t.Errorf("%v, %v", n, err)
	}
	if _, err := countCalls(path, 0); err == nil {
		t.Error("no operations were counted")
	}
	if _, err := countCalls(path+"x", 1); err == nil {
		t.Error("a report that is not there was read")
	}
}

func TestAllocsOf_Lines(t *testing.T) {
	out := `goos: linux
BenchmarkEngine_Read4K-2    	 1698522	      1426 ns/op	2872.78 MB/s	       0 B/op	       0 allocs/op
BenchmarkEngine_Write4K-2   	 1979970	      1234 ns/op	3319.60 MB/s	      16 B/op	       3 allocs/op
PASS`
	for bench, want := range map[string]float64{"Read4K": 0, "Write4K": 3} {
		if n, err := allocsOf(out, bench); err != nil || n != want {
			t.Errorf("%s: %v, %v", bench, n, err)
		}
	}
	if _, err := allocsOf(out, "Read8K"); err == nil {
		t.Error("a benchmark that was not run has allocations")
	}
}

func TestPerfRate_LastAverage(t *testing.T) {
	out := "00:00:01 - lba 1, iops current 53569 (209 MB/s), iops average 53569 (209 MB/s), in_flight 32\riops average 53997 (210 MB/s)   \n\nfinished.\n"
	if n, err := perfRate(out); err != nil || n != 53997 {
		t.Errorf("%v, %v", n, err)
	}
	if _, err := perfRate("failed to connect"); err == nil {
		t.Error("an error has an average")
	}
}

func TestParseReady_LineOfServe(t *testing.T) {
	u, err := parseReady("lunar: ready portal=127.0.0.1:43353 target=iqn.2026-11.lunar:default luns=1 pid=21463\n")
	if err != nil || u.Portal != "127.0.0.1:43353" || u.Target != "iqn.2026-11.lunar:default" {
		t.Errorf("%+v, %v", u, err)
	}
	if _, err := parseReady("lunar: cannot listen"); err == nil {
		t.Error("an error was taken as an address")
	}
}

func TestWriteFile_HasNoHoles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "unit")
	const size = 9 << 20 // no multiple of a chunk
	if err := writeFile(t.Context(), path, size); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil || len(data) != size {
		t.Fatalf("%d bytes, %v", len(data), err)
	}
	for at := 0; at < size; at += 4096 {
		if strings.Trim(string(data[at:at+4096]), "\x00") == "" {
			t.Fatalf("the page at %d was not written", at)
		}
	}
	if err := writeFile(t.Context(), path, size); err == nil {
		t.Error("a file that is there was overwritten")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := writeFile(ctx, path+"2", size); !errors.Is(err, context.Canceled) {
		t.Errorf("a run that is over writes on: %v", err)
	}
}

// This process works for a moment, and is seen to.
func TestCPUTime_OfThisProcess(t *testing.T) {
	before, err := cpuTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	sum := 0
	for begin := time.Now(); time.Since(begin) < 30*time.Millisecond; {
		sum++
	}
	after, err := cpuTime(os.Getpid())
	if err != nil || after-before < time.Millisecond || sum == 0 {
		t.Errorf("%v, then %v: %v", before, after, err)
	}
	if _, err := cpuTime(1 << 30); err == nil {
		t.Error("a process that is not there has used time")
	}
	if kib, err := residentKiB(os.Getpid()); err != nil || kib < 1000 {
		t.Errorf("%v KiB are resident: %v", kib, err)
	}
}

func TestEnough_NamesRemedy(t *testing.T) {
	if err := enough(t.TempDir(), 1, "--dir"); err != nil {
		t.Error(err)
	}
	err := enough(t.TempDir(), 1<<60, "--dir")
	if err == nil || !strings.Contains(err.Error(), "MiB free") || !strings.Contains(err.Error(), "--dir") {
		t.Errorf("%v", err)
	}
}
