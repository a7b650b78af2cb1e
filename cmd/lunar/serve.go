package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"lunar/engine"
	"lunar/reactor"
	"lunar/reactor/host"
	"lunar/reactor/rings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// defaultPortal and defaultSize are what `lunar serve` without flags offers.
const (
	defaultPortal = "127.0.0.1:3260"
	defaultSize   = "1GiB"
)

type serveFlags struct {
	portals, luns                            []string
	target, reactors, state, poll, ring, log string
	// admin is the path of the admin socket, empty for none.
	admin string
	// file is the configuration file; it replaces all the others.
	file string
}

func serveCommand() *cobra.Command {
	var f serveFlags
	c := &cobra.Command{
		Use:   "serve",
		Short: "Export disks until SIGTERM",
		Long: `Export disks until SIGTERM.

Without flags: target ` + engine.DefaultTarget + ` on ` + defaultPortal + `, LUN 0 a sparse
file of ` + defaultSize + ` in the state directory that survives restarts.

LUN specifications:
  ram:size=1GiB                             memory, lost at the end
  file:path=P,size=1GiB[,direct=on|off][,sync=on]
                                            a sparse file, made if there is none
  block:path=/dev/disk/by-id/X[,sync=on]    a block device, all of it
  null:size=1TiB                            reads zeros, drops writes
each with bs=512 (default; a device has its own) or bs=4096, cache=256MiB for a read cache,
and removable=on for a medium that initiators may eject; ram and file with protection=0 to 3
for T10 protection information of the type that the unit is formatted with at first.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if f.file == "" {
				return serveFlagged(&f)
			}
			var other string
			c.Flags().Visit(func(l *pflag.Flag) {
				if l.Name != "config" {
					other = l.Name
				}
			})
			if other != "" {
				return fmt.Errorf("--%s beside --config: the file says everything; put it there", other)
			}
			return serveFile(f.file)
		},
	}
	p := c.Flags()
	p.StringVar(&f.file, "config", "", "`FILE` that configures everything (`lunar config example`); SIGHUP loads it anew")
	p.StringArrayVar(&f.portals, "portal", []string{defaultPortal}, "`ADDR:PORT` to listen on, IPv6 in brackets (repeatable)")
	p.StringVar(&f.target, "target", engine.DefaultTarget, "iSCSI name of the target")
	p.StringArrayVar(&f.luns, "lun", nil, "`SPEC` of a logical unit (repeatable; numbers count up from 0)")
	p.StringVar(&f.reactors, "reactors", "1", "how many reactors, or the processors they are pinned to: `N|CORELIST` such as 0,2-3 (a list of one: 0,)")
	p.StringVar(&f.state, "state", defaultState(), "`DIR` for what survives a restart")
	p.StringVar(&f.poll, "poll", "auto", "how reactors wait: auto, spin or sleep")
	p.StringVar(&f.ring, "ring", "auto", "what carries I/O: auto, uring or epoll")
	p.StringVar(&f.admin, "admin", "", "`PATH` of the admin socket, which `lunar status` and others ask; none when left out")
	p.StringVar(&f.log, "log-level", "info", "debug, info, warn or error")
	return c
}

// defaultState is where a daemon without --state keeps what must survive.
func defaultState() string {
	if os.Geteuid() == 0 {
		return "/var/lib/lunar"
	}
	if d := os.Getenv("XDG_STATE_HOME"); d != "" {
		return filepath.Join(d, "lunar")
	}
	if d, err := os.UserHomeDir(); err == nil {
		return filepath.Join(d, ".local", "state", "lunar")
	}
	return ".lunar"
}

func (f *serveFlags) config() (engine.Config, error) {
	var cfg engine.Config
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.log)); err != nil {
		return cfg, fmt.Errorf("--log-level %q: use debug, info, warn or error", f.log)
	}
	logLevel.Set(level)
	if err := rings.Check(f.ring); err != nil {
		return cfg, fmt.Errorf("--ring: %w", err)
	}
	poll, err := reactor.ParsePollMode(f.poll)
	if err != nil {
		return cfg, fmt.Errorf("--poll: %w", err)
	}
	cpus, err := parseReactors(f.reactors, host.CPUs())
	if err != nil {
		return cfg, fmt.Errorf("--reactors: %w", err)
	}
	if len(f.luns) == 0 {
		f.luns = []string{"file:path=" + filepath.Join(f.state, "lun0.img") + ",size=" + defaultSize}
	}
	var units []engine.Unit
	for _, spec := range f.luns {
		u, err := engine.ParseLUN(spec)
		if err != nil {
			return cfg, fmt.Errorf("--lun: %w", err)
		}
		units = append(units, u)
	}
	cfg = engine.Single(f.target, f.portals, units...)
	cfg.CPUs, cfg.Ring, cfg.Poll, cfg.State = cpus, f.ring, poll, f.state
	return cfg, nil
}

// parseReactors reads a count, which leaves the reactors unpinned, or a list of
// processors with a comma or range in it, which pins one to each.
func parseReactors(s string, allowed []int) ([]int, error) {
	if n, err := strconv.Atoi(s); err == nil {
		if n < 1 || n > max(len(allowed), 1) {
			return nil, fmt.Errorf("%d reactors on %d usable processors; use 1 to %d", n, len(allowed), len(allowed))
		}
		return slices.Repeat([]int{-1}, n), nil
	}
	var cpus []int
	for _, part := range strings.Split(strings.TrimSuffix(s, ","), ",") {
		from, to, ranged := strings.Cut(part, "-")
		a, err := strconv.Atoi(from)
		b := a
		if err == nil && ranged {
			b, err = strconv.Atoi(to)
		}
		if err != nil || b < a {
			return nil, fmt.Errorf("%q is no count and no list of processors such as 0,2-3", s)
		}
		for n := a; n <= b; n++ {
			if !slices.Contains(allowed, n) || slices.Contains(cpus, n) {
				return nil, fmt.Errorf("processor %d is not usable or named twice; usable are %v", n, allowed)
			}
			cpus = append(cpus, n)
		}
	}
	return cpus, nil
}
