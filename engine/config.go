package engine

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"lunar/iscsi/text"
	"lunar/reactor"
)

// Config is what an engine is built from.
type Config struct {
	// Portals are "host:port" addresses, numeric, IPv6 in brackets.
	Portals []string
	// Target is the iSCSI name of the target.
	Target string
	// LUNs are the logical units, numbered from 0.
	LUNs []LUN
	// CPUs are the processors of the reactors, one each; -1 leaves one unpinned.
	CPUs []int
	// Ring is "auto", "uring" or "epoll".
	Ring string
	Poll reactor.PollMode
	// State is a directory for what must survive a restart.
	State string
}

// DefaultTarget is the name of the target without configuration.
const DefaultTarget = "iqn.2026-11.lunar:default"

// Medium is the kind of a backend.
type Medium string

// Media.
const (
	RAM  Medium = "ram"
	File Medium = "file"
	Null Medium = "null"
)

// LUN describes one logical unit.
type LUN struct {
	Medium Medium
	// Bytes is the capacity; 0 takes the size an existing file has.
	Bytes int64
	// BlockBytes is 512 or 4096.
	BlockBytes uint32
	Path       string
	// Direct is "auto", "on" or "off": whether a file goes past the page cache.
	Direct string
	// Sync makes every write durable before it is answered.
	Sync bool
	// Cache is the size of the read cache in front of the medium; 0 for none.
	Cache int64
}

// ParseLUN reads a specification such as "ram:size=1GiB,bs=4096" or
// "file:path=/x,size=1GiB,direct=on,sync=on,cache=256MiB". Errors name the word and say what
// is expected.
func ParseLUN(spec string) (LUN, error) {
	kind, rest, _ := strings.Cut(spec, ":")
	l := LUN{Medium: Medium(kind), BlockBytes: 512, Direct: "auto"}
	switch l.Medium {
	case RAM, File, Null:
	default:
		return l, fmt.Errorf("LUN %q: unknown medium %q; use ram, file or null", spec, kind)
	}
	seen := map[string]bool{}
	for _, word := range strings.Split(rest, ",") {
		if word == "" {
			continue
		}
		key, value, _ := strings.Cut(word, "=")
		if seen[key] {
			return l, fmt.Errorf("LUN %q: %s is given twice; give it once", spec, key)
		}
		seen[key] = true
		if err := l.set(key, value); err != nil {
			return l, fmt.Errorf("LUN %q: %w", spec, err)
		}
	}
	return l, l.check(spec)
}

func (l *LUN) set(key, value string) (err error) {
	switch {
	case key == "size":
		l.Bytes, err = ParseBytes(value)
	case key == "bs":
		switch value {
		case "512":
			l.BlockBytes = 512
		case "4096":
			l.BlockBytes = 4096
		default:
			err = fmt.Errorf("block size %q: use bs=512 or bs=4096", value)
		}
	case key == "cache":
		l.Cache, err = parseCache(value)
	case key == "path" && l.Medium == File:
		l.Path = value
	case key == "direct" && l.Medium == File:
		if value != "on" && value != "off" && value != "auto" {
			err = fmt.Errorf("direct=%q: use on, off or auto", value)
		}
		l.Direct = value
	case key == "sync" && l.Medium == File:
		if value != "on" && value != "off" {
			err = fmt.Errorf("sync=%q: use on or off", value)
		}
		l.Sync = value == "on"
	default:
		err = fmt.Errorf("%s has no option %q; use %s", l.Medium, key, l.Medium.options())
	}
	return err
}

// options lists what a specification of the medium may say.
func (m Medium) options() string {
	if m == File {
		return "size, bs, cache, path, direct, sync"
	}
	return "size, bs, cache"
}

func (l *LUN) check(spec string) error {
	switch {
	case l.Medium == File && l.Path == "":
		return fmt.Errorf("LUN %q: a file needs path=…", spec)
	case l.Medium != File && l.Bytes == 0:
		return fmt.Errorf("LUN %q: %s needs size=…, for instance size=1GiB", spec, l.Medium)
	case l.Bytes%int64(l.BlockBytes) != 0:
		return fmt.Errorf("LUN %q: size %d is no multiple of the block size %d; give a multiple", spec, l.Bytes, l.BlockBytes)
	}
	return nil
}

// ParseBytes reads a size: a number with an optional unit of KiB, MiB, GiB, TiB
// or, meaning the same, K, M, G, T.
func ParseBytes(s string) (int64, error) {
	digits := strings.TrimRight(s, "KMGTiB")
	shift, ok := map[string]uint{
		"": 0, "B": 0, "K": 10, "KiB": 10, "M": 20, "MiB": 20, "G": 30, "GiB": 30, "T": 40, "TiB": 40,
	}[s[len(digits):]]
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil || !ok || n == 0 || n > (1<<62)>>shift {
		return 0, fmt.Errorf("size %q: use a number with KiB, MiB, GiB or TiB, for instance 1GiB", s)
	}
	return int64(n << shift), nil
}

// check looks at a configuration as a whole, before anything is opened.
func (c *Config) check() error {
	name, ok := text.Name([]byte(c.Target))
	if !ok {
		return fmt.Errorf("target %q is no iSCSI name; use iqn.YYYY-MM.reversed.domain:name", c.Target)
	}
	c.Target = name
	if len(c.Portals) == 0 {
		return errors.New("no portal; give at least one --portal ADDR:PORT")
	}
	if len(c.LUNs) == 0 || len(c.LUNs) > maxLUNs {
		return fmt.Errorf("%d LUNs; give 1 to %d", len(c.LUNs), maxLUNs)
	}
	if len(c.CPUs) == 0 || len(c.CPUs) > maxReactors {
		return fmt.Errorf("%d reactors; give 1 to %d", len(c.CPUs), maxReactors)
	}
	paths := map[string]int{}
	for i, l := range c.LUNs {
		if l.Medium != File {
			continue
		}
		p, err := filepath.Abs(l.Path)
		if err != nil {
			return fmt.Errorf("LUN %d: %w", i, err)
		}
		if other, twice := paths[p]; twice {
			return fmt.Errorf("LUN %d and LUN %d share the file %s; give each a file of its own", other, i, p)
		}
		paths[p] = i
	}
	return nil
}
