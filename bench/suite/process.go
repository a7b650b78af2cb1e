package suite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"lunar/bench"
	"lunar/initiator"
)

const (
	settle    = time.Second
	idleFor   = 10 * time.Second
	traceFor  = time.Second
	starts    = 9
	startWait = 5 * time.Second
)

// idle measures the processor time of all targets over one silence.
func (r *run) idle(ctx context.Context, f *findings) {
	const how = "processor time of all threads over 10 s without traffic, a second after load"
	names := r.present(targets)
	// The one load before the silence, in case no cell was run.
	for _, name := range names {
		c := quickCell
		if _, err := r.turn(ctx, &c, Contestant{Server: name}, 1); err != nil {
			f.add("idle/"+name, 0, "% of a core", how, err)
		}
	}
	rest(ctx, settle)
	before := map[string]time.Duration{}
	for _, name := range names {
		if s, err := r.up(name); err == nil {
			before[name], _ = cpuTime(s.pid) // asked again below
		}
	}
	begin := time.Now()
	rest(ctx, idleFor)
	for _, name := range names {
		s, err := r.up(name)
		if err != nil || failed(f, "idle/"+name) {
			continue // told above
		}
		after, err := cpuTime(s.pid)
		share := (after - before[name]).Seconds() / time.Since(begin).Seconds()
		f.add("idle/"+name, 100*share, "% of a core", how, err)
	}
}

// cpuTime is the processor time that those threads of a process have used which
// live now.
func cpuTime(pid int) (sum time.Duration, err error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(files) == 0 {
		return 0, fmt.Errorf("suite: process %d is not there", pid)
	}
	for _, f := range files {
		var n int64
		if text, err := os.ReadFile(f); err != nil {
			continue // the thread ended
		} else if _, err := fmt.Sscan(string(text), &n); err != nil {
			return 0, fmt.Errorf("suite: %s: %w", f, err)
		}
		sum += time.Duration(n)
	}
	return sum, nil
}

func failed(f *findings, name string) bool {
	for _, fig := range f.found {
		if fig.Name == name && fig.Error != "" {
			return true
		}
	}
	return false
}

// rest waits, or until ctx is over.
func rest(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// syscalls counts the system calls of the target under load.
func (r *run) syscalls(ctx context.Context, f *findings) {
	const how = "`strace -c -f` over a second of 4 KiB random reads at depth 32, all threads, login included, divided by the operations; tracing slows each call, so that more operations share one than without"
	n, err := r.traced(ctx)
	f.add("syscalls", n, "calls per operation", how, err)
}

func (r *run) traced(ctx context.Context) (float64, error) {
	s, err := r.up("lunar")
	if err != nil {
		return 0, err
	}
	report := filepath.Join(r.dir, "strace")
	cmd := onCPU(strconv.Itoa(r.cfg.CPU), "strace", "-c", "-f", "-o", report, "-p", strconv.Itoa(s.pid))
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("strace: %w", err)
	}
	rest(ctx, settle/2) // attaching takes some milliseconds
	c := quickCell
	o, err := c.options(s, NoDigests)
	if err == nil {
		o.Time, o.Seed = traceFor, 1 // without warm-up: all that is counted is all that is traced
		var run *bench.Report
		if run, err = bench.Run(ctx, o); err == nil {
			detach(cmd)
			return countCalls(report, run.Operations)
		}
	}
	detach(cmd)
	return 0, err
}

// detach has strace write its report and end.
func detach(cmd *exec.Cmd) {
	_ = cmd.Process.Signal(syscall.SIGINT)
	late := time.AfterFunc(endWait, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	_ = cmd.Wait() // ends by the signal
}

// countCalls reads the line of totals of strace -c.
func countCalls(report string, operations uint64) (float64, error) {
	text, err := os.ReadFile(report)
	if err != nil {
		return 0, fmt.Errorf("strace left no report; may it trace this process? %w", err)
	}
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) < 5 || words[len(words)-1] != "total" {
			continue
		}
		calls, err := strconv.ParseFloat(words[3], 64)
		if err != nil || operations == 0 {
			return 0, fmt.Errorf("strace: %q over %d operations", strings.TrimSpace(line), operations)
		}
		return calls / float64(operations), nil
	}
	return 0, errors.New("strace: its report has no totals")
}

// memory measures a fresh daemon with a unit that has no memory.
func (r *run) memory(ctx context.Context, f *findings) {
	const how = "VmRSS of a fresh daemon with one reactor and one null unit, after a login and a read; what of the buffers was used so far is included"
	s, err := r.serve(ctx, daemon{name: "small", reactors: "0,", ring: "auto", poll: "auto", luns: []string{"null:size=1GiB"}})
	if err != nil {
		f.add("rss", 0, "MiB", how, err)
		return
	}
	defer s.stop()
	if err := login(ctx, s.url, true); err != nil {
		f.add("rss", 0, "MiB", how, err)
		return
	}
	kib, err := residentKiB(s.pid)
	f.add("rss", kib/1024, "MiB", how, err)
}

// residentKiB is the VmRSS of a process.
func residentKiB(pid int) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("suite: memory of process %d: %w", pid, err)
	}
	for line := range strings.Lines(string(text)) {
		if v, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			return strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(v), " kB"), 64)
		}
	}
	return 0, fmt.Errorf("suite: process %d has no VmRSS", pid)
}

// login opens a session and closes it again; with read, it reads in between.
func login(ctx context.Context, url initiator.URL, read bool) error {
	s, err := initiator.Dial(ctx, initiator.Config{Portal: url.Portal, Target: url.Target, Lenient: true, QueueDepth: 4})
	if err != nil {
		return err
	}
	if read {
		var d *initiator.Disk
		if d, err = initiator.OpenDisk(ctx, s, url.LUN); err == nil {
			_, err = d.ReadAt(make([]byte, 4096), 0)
		}
	}
	if err == nil {
		return s.Logout(ctx)
	}
	_ = s.Close() // the error above is the one to report
	return err
}

// firstLogin measures how long fresh daemons take from their start to a session.
func (r *run) firstLogin(ctx context.Context, f *findings) {
	const how = "from starting the process, pinned by taskset, to a session that is logged in, tried every millisecond; median of 9 fresh daemons with a null unit"
	var v []float64
	var err error
	for i := 0; i < starts && err == nil; i++ {
		var took time.Duration
		took, err = r.startAndLogin(ctx, i)
		v = append(v, float64(took)/float64(time.Millisecond))
	}
	m, _ := median(v)
	f.add("first-login", m, "ms", how, err)
}

func (r *run) startAndLogin(ctx context.Context, i int) (time.Duration, error) {
	port, err := freePort()
	if err != nil {
		return 0, err
	}
	portal := "127.0.0.1:" + strconv.Itoa(port)
	cmd, err := r.command(daemon{
		name: "fresh-" + strconv.Itoa(i), reactors: "0,", ring: "auto", poll: "auto",
		portal: portal, luns: []string{"null:size=1GiB"},
	})
	if err != nil {
		return 0, err
	}
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("suite: start a daemon: %w", err)
	}
	defer end(cmd)
	for time.Since(begin) < startWait && ctx.Err() == nil {
		s, err := initiator.Dial(ctx, initiator.Config{Portal: portal, Target: defaultTarget, QueueDepth: 4})
		if err != nil {
			rest(ctx, time.Millisecond)
			continue
		}
		took := time.Since(begin)
		return took, s.Close()
	}
	return 0, fmt.Errorf("suite: nobody could log in to a daemon within %v", startWait)
}
