package suite

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// Head says where and how the results came to be.
type Head struct {
	// Command repeats the run; Partial says that not all of the suite was chosen.
	Command  string        `json:"command"`
	Partial  bool          `json:"partial,omitempty"`
	Commit   string        `json:"commit"`
	Date     string        `json:"date"`
	Machine  string        `json:"machine"`
	Memory   string        `json:"memory"`
	Kernel   string        `json:"kernel"`
	Go       string        `json:"go"`
	Rounds   int           `json:"rounds"`
	Time     time.Duration `json:"time_ns"`
	Took     string        `json:"took"`
	Versions []Version     `json:"versions"`
	// TargetCPU and CPU are the processors of the targets and of the generator.
	TargetCPU int `json:"target_cpu"`
	CPU       int `json:"cpu"`
	// Preferred says that the generator ran before others on its processor.
	Preferred bool `json:"preferred"`
	// FileBytes is the size of file units.
	FileBytes int64 `json:"file_bytes"`
}

// Version is one program and which one it was.
type Version struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// gotgtVersion is what peers/gotgt.sh builds.
const gotgtVersion = "v0.2.2"

// unknown stands for what the machine does not say.
const unknown = "not known"

// describe asks the machine.
func describe(ctx context.Context, cfg *Config) Head {
	h := Head{
		Command: command(cfg), Partial: cfg.Only != nil, Commit: commit(ctx, cfg.Source), Date: time.Now().UTC().Format(time.DateOnly),
		Machine: fmt.Sprintf("%d × %s", runtime.NumCPU(), fieldOf("/proc/cpuinfo", "model name")),
		Memory:  fieldOf("/proc/meminfo", "MemTotal"), Kernel: firstLine("/proc/sys/kernel/osrelease"), Go: runtime.Version(),
		Rounds: cfg.Rounds, Time: cfg.Time, TargetCPU: cfg.TargetCPU, CPU: cfg.CPU, FileBytes: cfg.FileBytes,
	}
	for _, p := range []string{"tgt", "istgt", "fio", "libiscsi-bin", "strace"} {
		h.Versions = append(h.Versions, Version{p, debianVersion(ctx, p)})
	}
	h.Versions = append(h.Versions, Version{"gotgt", gotgtVersion})
	return h
}

// command is what repeats a run, the flags for places left out.
func command(cfg *Config) string {
	c := fmt.Sprintf("lunar bench suite --rounds %d --time %v --peers %s", cfg.Rounds, cfg.Time, strings.Join(cfg.Peers, ","))
	if cfg.Only != nil {
		c += " --only '" + cfg.Only.String() + "'"
	}
	return c
}

func commit(ctx context.Context, dir string) string {
	git := func(args ...string) (string, error) {
		cmd := exec.CommandContext(ctx, "git", args...)
		cmd.Dir = dir
		out, err := cmd.Output()
		return strings.TrimSpace(string(out)), err
	}
	id, err := git("rev-parse", "--short", "HEAD")
	if err != nil || id == "" {
		return unknown
	}
	if changes, err := git("status", "--porcelain", "--untracked-files=no"); err != nil || changes != "" {
		id += ", with changes that are not committed"
	}
	return id
}

func debianVersion(ctx context.Context, name string) string {
	out, err := exec.CommandContext(ctx, "dpkg-query", "-W", "-f", "${Version}", name).Output()
	if v := strings.TrimSpace(string(out)); err == nil && v != "" {
		return v + " (Debian)"
	}
	return "not installed"
}

// fieldOf is the value of the first line "field : value" of a file.
func fieldOf(path, field string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return unknown
	}
	for line := range bytes.Lines(text) {
		name, value, ok := strings.Cut(string(line), ":")
		if ok && strings.TrimSpace(name) == field {
			return strings.TrimSpace(value)
		}
	}
	return unknown
}

func firstLine(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return unknown
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return line
}
