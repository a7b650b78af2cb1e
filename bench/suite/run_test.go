package suite

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"lunar/engine"
	"lunar/initiator"
)

func testConfig() Config {
	return Config{Rounds: 1, Time: time.Second, TargetCPU: -1, CPU: -1, Progress: io.Discard}
}

func TestRun_Refusals(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"0 rounds":       func(c *Config) { c.Rounds = 0 },
		"of 2h0m0s":      func(c *Config) { c.Time = 2 * time.Hour },
		`peer "lio"`:     func(c *Config) { c.Peers = []string{"lio"} },
		`peer ""`:        func(c *Config) { c.Peers = []string{""} },
		"no cell and no": func(c *Config) { c.Only = regexp.MustCompile("tape") },
	} {
		cfg := testConfig()
		change(&cfg)
		if _, err := Run(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// Who was not asked for is in no cell, and no server of theirs is started.
func TestChoose_OnlyInvitedPeers(t *testing.T) {
	r := &run{cfg: testConfig()}
	r.cfg.Peers = []string{"tgt"}
	r.choose()
	if len(r.cells) != len(Cells()) || len(r.probes) != len(probes) {
		t.Errorf("%d cells and %d probes", len(r.cells), len(r.probes))
	}
	for _, name := range r.needed() {
		if name == "istgt" || name == "gotgt" || strings.HasPrefix(name, "floor") {
			t.Errorf("%s was not invited", name)
		}
	}
	r = &run{cfg: testConfig()}
	r.cfg.Only = regexp.MustCompile("^file/.*qd1$")
	r.choose()
	if got := strings.Join(r.filesNeeded(), " "); got != "lunar" {
		t.Errorf("files for %s", got)
	}
}

func TestServeChurn_AllocatesWhenTold(t *testing.T) {
	in, tell := io.Pipe()
	heard, out := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- ServeChurn(`{"cpu":-1,"bytes":1048576,"state":"`+t.TempDir()+`"}`, in, out) }()
	line, err := bufio.NewReader(heard).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	url, err := parseReady(line)
	if err != nil || url.Target != engine.DefaultTarget {
		t.Fatalf("%q: %v", line, err)
	}
	for _, word := range []string{"true", "true", "false", "true"} {
		if _, err := io.WriteString(tell, word+"\n"); err != nil {
			t.Fatal(err)
		}
		if err := login(t.Context(), initiator.URL{Portal: url.Portal, Target: url.Target}, true); err != nil {
			t.Error(err)
		}
	}
	_ = tell.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := ServeChurn("{", in, out); err == nil {
		t.Error("half a configuration was served")
	}
}

// A program that starts others takes them with it.
func TestBounded_Cancel_EndsTheGroup(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	mark := filepath.Join(t.TempDir(), "pid")
	cmd := bounded(ctx, "sh", "-c", "sleep 60 & echo $! >"+mark+".new; mv "+mark+".new "+mark+"; wait")
	ended := make(chan error, 1)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { ended <- cmd.Wait() }()
	var pid int
	for range 200 {
		text, err := os.ReadFile(mark)
		if err == nil {
			pid, _ = strconv.Atoi(strings.TrimSpace(string(text)))
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	cancel()
	if err := <-ended; err == nil || pid == 0 {
		t.Fatalf("it ended with %v, its child is %d", err, pid)
	}
	for range 100 { // it is reaped by whoever adopted it
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || strings.Contains(string(text), ") Z ") {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("its child %d goes on", pid)
}

// What is due is allocated, however late the ticks come.
func TestChurn_Rate(t *testing.T) {
	quit, ticks, begin := make(chan struct{}), make(chan time.Time), time.Now()
	go func() {
		for _, after := range []time.Duration{1, 2, 90, 100} {
			ticks <- begin.Add(after * time.Millisecond)
		}
		close(quit)
	}()
	kept := make([]*node, 1000)
	n := churn(quit, begin, ticks, kept)
	if due := int64(0.1*churnRate) / churnNode * churnNode; n != due {
		t.Errorf("%d bytes were allocated, %d were due", n, due)
	}
	if slices.Contains(kept, nil) {
		t.Error("what was allocated last is not all kept")
	}
}

func TestCommand_RepeatsTheRun(t *testing.T) {
	cfg := testConfig()
	cfg.Peers, cfg.Only = []string{"tgt", "floor"}, regexp.MustCompile("^ram")
	if got := command(&cfg); got != "lunar bench suite --rounds 1 --time 1s --peers tgt,floor --only '^ram'" {
		t.Error(got)
	}
}
