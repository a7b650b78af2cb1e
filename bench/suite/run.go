package suite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"lunar/bench"
	"lunar/reactor/host"
)

// Config is one run of the suite.
type Config struct {
	// Rounds is how often each contestant has its turn, 1 to 100, Time how long a
	// turn is measured.
	Rounds int
	Time   time.Duration
	// Peers are words of tgt, istgt, gotgt and floor.
	Peers []string
	// Only, when set, chooses the cells and probes whose names it matches.
	Only *regexp.Regexp
	// TargetCPU is the processor of the targets and CPU that of the generator; -1
	// is the first and the second that this process may use.
	TargetCPU, CPU int
	// Dir is on the disk to measure and takes FileBytes for each file unit.
	Dir       string
	FileBytes int64
	// Source is the directory of the module, whose own benchmarks are run.
	Source string
	// Progress is told what is being done.
	Progress io.Writer
}

// DefaultRounds and DefaultTime make a run of all cells and probes with all peers
// that ends within a quarter of an hour.
const (
	DefaultRounds = 5
	DefaultTime   = 800 * time.Millisecond
)

// run is a run in progress.
type run struct {
	cfg      Config
	cells    []Cell
	probes   []probe
	dir, shm string
	files    map[string]string
	// device is the block device of the run.
	device  string
	running map[string]*server
	broken  map[string]error
	began   time.Time
	out     *Results
}

// warmup runs before each turn is measured; turnSlack is what a turn may take
// besides, logins and logouts included.
const (
	warmup    = 55 * time.Millisecond
	turnSlack = 15 * time.Second
)

// Run measures everything that cfg chooses. What fails for one contestant is told
// in its row; an error is what made the whole run impossible, or ended it.
func Run(ctx context.Context, cfg Config) (*Results, error) {
	r := newRun(cfg)
	if err := r.check(); err != nil {
		return nil, err
	}
	r.choose()
	if len(r.cells) == 0 && len(r.probes) == 0 {
		return nil, fmt.Errorf("suite: no cell and no probe has a name like %q", cfg.Only)
	}
	r.out.Head = describe(ctx, &r.cfg)
	if err := r.among(ctx, r.measure); err != nil {
		return nil, err
	}
	r.out.Head.Took = time.Since(r.began).Round(time.Second).String()
	return r.out, nil
}

// among does something while all servers are up and this process is the generator,
// and leaves nothing behind.
func (r *run) among(ctx context.Context, do func(context.Context) error) error {
	defer r.clean()
	if err := r.prepare(ctx); err != nil {
		return err
	}
	defer r.stopServers()
	if err := r.startServers(ctx); err != nil {
		return err
	}
	if err := bench.Pin(r.cfg.CPU); err != nil {
		return err
	}
	r.out.Head.Preferred = bench.Prefer()
	return do(ctx)
}

func (r *run) measure(ctx context.Context) error {
	for i := range r.cells {
		if err := r.cell(ctx, &r.cells[i]); err != nil {
			return err
		}
	}
	for i := range r.probes {
		if err := r.probe(ctx, &r.probes[i]); err != nil {
			return err
		}
	}
	return nil
}

func newRun(cfg Config) *run {
	return &run{
		cfg: cfg, files: map[string]string{}, running: map[string]*server{}, broken: map[string]error{},
		began: time.Now(), out: &Results{},
	}
}

func (r *run) check() error {
	c := &r.cfg
	if c.Rounds < 1 || c.Rounds > 100 || c.Time < time.Millisecond || c.Time > time.Minute {
		return fmt.Errorf("suite: %d rounds of %v; use 1 to 100 rounds of 1ms to 1m", c.Rounds, c.Time)
	}
	for _, p := range c.Peers {
		if !slices.ContainsFunc(contestants, func(c Contestant) bool { return c.Peer == p && p != "" }) {
			return fmt.Errorf("suite: peer %q is not known; there are tgt, istgt, gotgt and floor", p)
		}
	}
	cpus := host.CPUs()
	if len(cpus) == 0 {
		return errors.New("suite: the kernel does not say which processors may be used")
	}
	if c.TargetCPU < 0 {
		c.TargetCPU = cpus[0]
	}
	if c.CPU < 0 {
		c.CPU = cpus[min(1, len(cpus)-1)]
	}
	return nil
}

// choose takes the cells and probes that are asked for, and of each cell the
// contestants.
func (r *run) choose() {
	for _, c := range Cells() {
		if !r.wanted(c.Name) {
			continue
		}
		c.Against = slices.DeleteFunc(slices.Clone(c.Against), func(name string) bool { return !r.invited(name) })
		r.cells = append(r.cells, c)
	}
	for _, p := range probes {
		if r.wanted(p.name) {
			r.probes = append(r.probes, p)
		}
	}
}

// wanted says whether a name is among those asked for.
func (r *run) wanted(name string) bool { return r.cfg.Only == nil || r.cfg.Only.MatchString(name) }

// invited says whether a contestant is asked for.
func (r *run) invited(name string) bool {
	c, ok := contestant(name)
	return ok && (c.Peer == "" || slices.Contains(r.cfg.Peers, c.Peer))
}

// needed are the servers that the cells and probes use.
func (r *run) needed() (names []string) {
	add := func(contestants []string) {
		for _, name := range contestants {
			if c, ok := contestant(name); ok && r.invited(name) && !slices.Contains(names, c.Server) {
				names = append(names, c.Server)
			}
		}
	}
	for i := range r.cells {
		add(r.cells[i].Against)
	}
	for i := range r.probes {
		add(r.probes[i].uses)
	}
	return names
}

// filesNeeded are the servers whose units in files, or on devices in files, are used.
func (r *run) filesNeeded() (names []string) {
	for i := range r.cells {
		if u := r.cells[i].Unit; u != File && u != Device {
			continue
		}
		for _, name := range r.cells[i].Against {
			if name = fileOf(name); !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// fileOf is whose file a contestant of a file cell uses: fio that of Lunar's unit, so
// that both are measured on the same blocks of the disk.
func fileOf(name string) string {
	switch name {
	case "fio":
		return "lunar"
	case deviceLimit, deviceFloor:
		return onDevice
	}
	return name
}

// reason is an error for a row: of one for each operation in progress, the first.
func reason(err error) string {
	first, _, _ := strings.Cut(err.Error(), "\n")
	return first
}

// say tells of the progress; when nobody can hear it, the run goes on.
func (r *run) say(format string, args ...any) {
	_, _ = fmt.Fprintf(r.cfg.Progress, "%5.0f s  %s\n", time.Since(r.began).Seconds(), fmt.Sprintf(format, args...))
}

// cell lets the contestants take turns. One that failed has no further turns.
func (r *run) cell(ctx context.Context, c *Cell) error {
	r.say("%s", c.Name)
	result := CellResult{Cell: *c}
	for _, name := range c.Against {
		result.Rows = append(result.Rows, Row{Contestant: name})
	}
	for round := range max(r.cfg.Rounds, c.Load.LeastRounds) {
		for i := range result.Rows {
			row := &result.Rows[i]
			who, _ := contestant(row.Contestant)
			if row.Error != "" || round >= c.rounds(r.cfg.Rounds, who) {
				continue
			}
			report, err := r.turn(ctx, c, who, uint64(round+1))
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err != nil {
				row.Error = reason(err)
				r.say("%s: %s: %s", c.Name, row.Contestant, row.Error)
				continue
			}
			report.URL = "" // ports and directories of this run
			row.Rounds = append(row.Rounds, Sample{Round: round, Report: report})
		}
	}
	r.out.Cells = append(r.out.Cells, result)
	return nil
}

// turn is one contestant's run of a cell.
func (r *run) turn(ctx context.Context, c *Cell, who Contestant, seed uint64) (*bench.Report, error) {
	digests := c.Digests
	if digests != NoDigests && who.NoDigests != "" {
		return nil, errors.New("left out: " + who.NoDigests)
	}
	if who.Digests != NoDigests {
		digests = who.Digests
	}
	s, err := r.up(who.Server)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, warmup+c.time(r.cfg.Time)+turnSlack)
	defer cancel()
	if s.file != "" {
		return r.fio(ctx, c, s.file)
	}
	if s.allocate != nil {
		if err := s.allocate(who.Allocating); err != nil {
			return nil, err
		}
	}
	o, err := c.options(s, digests)
	if err != nil {
		return nil, err
	}
	o.Time, o.Warmup, o.Seed = c.time(r.cfg.Time), warmup, seed
	report, err := bench.Run(ctx, o)
	if err != nil {
		return nil, err
	}
	if report.HeaderDigest != o.HeaderDigest || report.DataDigest != o.DataDigest {
		return nil, fmt.Errorf("it agreed to other digests: header %v, data %v", report.HeaderDigest, report.DataDigest)
	}
	return report, nil
}
