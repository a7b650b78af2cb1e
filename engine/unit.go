package engine

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"lunar/scsi/pi"
)

// Medium is the kind of a backend.
type Medium string

// Media.
const (
	RAM   Medium = "ram"
	File  Medium = "file"
	Block Medium = "block"
	Null  Medium = "null"
)

// Media are the kinds there are, as messages list them.
const Media = "ram, file, block or null"

// Known says whether there is such a medium.
func (m Medium) Known() bool {
	switch m {
	case RAM, File, Block, Null:
		return true
	}
	return false
}

// hasPath says that the medium is found by a path, and known by it.
func (m Medium) hasPath() bool { return m == File || m == Block }

// noun is what messages call what the path leads to.
func (m Medium) noun() string {
	if m == Block {
		return "device"
	}
	return "file"
}

// NewUnit is a unit with the defaults of its medium.
func NewUnit(name string, m Medium) Unit {
	u := Unit{Name: name, Medium: m, BlockBytes: 512, Direct: "auto"}
	if m == Block {
		u.BlockBytes = 0
	}
	return u
}

// Unit describes one logical unit.
type Unit struct {
	// Name is what LUN maps call it, and what its identity is kept under unless it
	// is a file or a device, which keeps its identity wherever it is exported.
	Name   string
	Medium Medium
	// Bytes is the capacity; 0 takes the size an existing file has.
	Bytes int64
	// BlockBytes is 512 or 4096; 0, of a device, takes the device's.
	BlockBytes uint32
	Path       string
	// Direct is "auto", "on" or "off": whether a file goes past the page cache.
	Direct string
	// Sync makes every write durable before it is answered.
	Sync bool
	// Removable says that initiators may eject the medium, and put it in again.
	Removable bool
	// Cache is the size of the read cache in front of the medium; 0 for none.
	Cache int64
	// Protects says that the unit can be formatted with protection information, Protection is
	// the type that it is formatted with at first.
	Protects   bool
	Protection pi.Type
}

// ParseLUN reads a specification such as "ram:size=1GiB,bs=4096" or
// "file:path=/x,size=1GiB,direct=on,sync=on,cache=256MiB" or "block:path=/dev/x". Errors name
// the word and say what is expected.
func ParseLUN(spec string) (Unit, error) {
	kind, rest, _ := strings.Cut(spec, ":")
	l := NewUnit("", Medium(kind))
	if !l.Medium.Known() {
		return l, fmt.Errorf("LUN %q: unknown medium %q; use %s", spec, kind, Media)
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
		if err := l.Set(key, value); err != nil {
			return l, fmt.Errorf("LUN %q: %w", spec, err)
		}
	}
	if err := l.check(); err != nil {
		return l, fmt.Errorf("LUN %q: %w", spec, err)
	}
	return l, nil
}

// Set sets one option of a specification. Errors name the word and say what is expected.
func (l *Unit) Set(key, value string) (err error) {
	switch {
	case key == "size" && l.Medium != Block:
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
	case key == "removable":
		l.Removable, err = parseSwitch(key, value)
	case key == "protection":
		err = l.protect(value)
	case key == "path" && l.Medium.hasPath():
		l.Path = value
	case key == "direct" && l.Medium == File:
		if value != "on" && value != "off" && value != "auto" {
			err = fmt.Errorf("direct=%q: use on, off or auto", value)
		}
		l.Direct = value
	case key == "sync" && l.Medium.hasPath():
		l.Sync, err = parseSwitch(key, value)
	default:
		err = fmt.Errorf("%s has no option %q; use %s", l.Medium, key, l.Medium.options())
	}
	return err
}

// protect reads the protection type of a unit.
func (l *Unit) protect(value string) error {
	if l.Medium != RAM && l.Medium != File {
		return fmt.Errorf("protection information is kept of ram and file units alone; leave protection out of a %s unit", l.Medium)
	}
	n, err := strconv.ParseUint(value, 10, 8)
	if err != nil || n > uint64(pi.MaxType) {
		return fmt.Errorf("protection=%q: use 0 to %d, the protection type that the unit is formatted with at first", value, pi.MaxType)
	}
	l.Protects, l.Protection = true, pi.Type(n)
	return nil
}

func parseSwitch(key, value string) (bool, error) {
	if value != "on" && value != "off" {
		return false, fmt.Errorf("%s=%q: use on or off", key, value)
	}
	return value == "on", nil
}

// options lists what a specification of the medium may say.
func (m Medium) options() string {
	switch m {
	case File:
		return "size, bs, cache, removable, path, direct, sync, protection"
	case Block:
		return "path, bs, sync, cache, removable; its size is the device's"
	case RAM:
		return "size, bs, cache, removable, protection"
	case Null:
	}
	return "size, bs, cache, removable"
}

// check looks at a unit by itself.
func (l *Unit) check() error {
	switch {
	case l.Medium == File && l.Path == "":
		return errors.New("a file needs path=…")
	case l.Medium == Block && l.Path == "":
		return errors.New("a block device needs path=…, for instance path=/dev/disk/by-id/…")
	case l.Medium == Block:
		return nil
	case l.Medium != File && l.Bytes == 0:
		return fmt.Errorf("%s needs size=…, for instance size=1GiB", l.Medium)
	case l.Bytes%int64(l.BlockBytes) != 0:
		return fmt.Errorf("size %d is no multiple of the block size %d; give a multiple", l.Bytes, l.BlockBytes)
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
