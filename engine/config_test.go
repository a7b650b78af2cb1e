package engine

import (
	"strings"
	"testing"
)

func TestParseBytes(t *testing.T) {
	for text, want := range map[string]int64{
		"1": 1, "512": 512, "512B": 512, "4K": 4 << 10, "4KiB": 4 << 10, "3M": 3 << 20, "3MiB": 3 << 20,
		"1G": 1 << 30, "1GiB": 1 << 30, "2T": 2 << 40, "2TiB": 2 << 40, "4611686018427387904": 1 << 62,
		"4194304TiB": 1 << 62,
	} {
		if got, err := ParseBytes(text); err != nil || got != want {
			t.Errorf("%q: %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "0", "-1", "+1", "1.5GiB", "GiB", "1 GiB", "1GB", "1gib", "1KK", "1iB", "0x10", "1_000",
		"4194305TiB", "4611686018427387905", "9223372036854775808", "99999999999999999999T",
	} {
		got, err := ParseBytes(text)
		if err == nil {
			t.Errorf("%q: %d", text, got)
			continue
		}
		says(t, err, "size", text, "KiB, MiB, GiB or TiB", "1GiB")
	}
}

// says checks that an error holds every word: the object and the remedy.
func says(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; want one with %q", words)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q does not say %q", err, w)
		}
	}
}

func TestParseLUN(t *testing.T) {
	for spec, want := range map[string]LUN{
		"ram:size=1GiB":                  {Medium: RAM, Bytes: 1 << 30, BlockBytes: 512, Direct: "auto"},
		"ram:size=1GiB,bs=4096":          {Medium: RAM, Bytes: 1 << 30, BlockBytes: 4096, Direct: "auto"},
		"null:bs=512,size=8T":            {Medium: Null, Bytes: 8 << 40, BlockBytes: 512, Direct: "auto"},
		"file:path=/x":                   {Medium: File, Path: "/x", BlockBytes: 512, Direct: "auto"},
		"file:path=/x=y:z":               {Medium: File, Path: "/x=y:z", BlockBytes: 512, Direct: "auto"},
		"file:path=/x,size=1G,":          {Medium: File, Path: "/x", Bytes: 1 << 30, BlockBytes: 512, Direct: "auto"},
		"file:path=x,direct=on,sync=on":  {Medium: File, Path: "x", BlockBytes: 512, Direct: "on", Sync: true},
		"file:path=x,direct=off":         {Medium: File, Path: "x", BlockBytes: 512, Direct: "off"},
		"ram:size=1G,cache=1MiB":         {Medium: RAM, Bytes: 1 << 30, BlockBytes: 512, Direct: "auto", Cache: 1 << 20},
		"file:path=x,cache=256GiB":       {Medium: File, Path: "x", BlockBytes: 512, Direct: "auto", Cache: 256 << 30},
		"file:path=x,sync=off":           {Medium: File, Path: "x", BlockBytes: 512, Direct: "auto"},
		"file:path=x,direct=auto,bs=512": {Medium: File, Path: "x", BlockBytes: 512, Direct: "auto"},
	} {
		if got, err := ParseLUN(spec); err != nil || got != want {
			t.Errorf("%s: %+v, %v", spec, got, err)
		}
	}
}

// Every refusal names the specification, the word in it, and what to write.
func TestParseLUN_Refusals(t *testing.T) {
	for spec, words := range map[string][]string{
		"":                               {"unknown medium", "ram, file or null"},
		"disk:size=1G":                   {`"disk"`, "ram, file or null"},
		"ram":                            {"ram needs size=", "size=1GiB"},
		"null:":                          {"null needs size="},
		"file:size=1G":                   {"needs path="},
		"file:path=":                     {"needs path="},
		"ram:size=x":                     {`"x"`, "GiB"},
		"ram:size":                       {`""`, "GiB"},
		"ram:size=1G,size=2G":            {"size is given twice", "once"},
		"ram:size=1G,bs=1024":            {`"1024"`, "bs=512 or bs=4096"},
		"ram:size=1G,bs":                 {`block size ""`, "bs=512 or bs=4096"},
		"ram:size=1000":                  {"1000", "no multiple of the block size 512; give a multiple"},
		"ram:size=4608,bs=4096":          {"4608", "no multiple of the block size 4096; give a multiple"},
		"ram:size=1G,cache=x":            {"cache: size", `"x"`, "GiB"},
		"ram:size=1G,cache":              {"cache: size", `""`, "GiB"},
		"ram:size=1G,cache=1020K":        {"cache=1020K", "multiple of 4KiB from 1MiB to 256GiB", "cache=256MiB"},
		"ram:size=1G,cache=1049088":      {"cache=1049088", "multiple of 4KiB from 1MiB"},
		"ram:size=1G,cache=257GiB":       {"cache=257GiB", "to 256GiB"},
		"null:size=1G,cache=1M,cache=1M": {"cache is given twice", "once"},
		"ram:size=1G,path=/x":            {`"path"`, "use size, bs"},
		"null:size=1G,direct=on":         {`"direct"`, "use size, bs"},
		"ram:size=1G,sync=on":            {`"sync"`, "use size, bs"},
		"file:path=/x,colour=red":        {`"colour"`, "use size, bs, cache, path, direct, sync"},
		"file:path=/x,direct=yes":        {`direct="yes"`, "on, off or auto"},
		"file:path=/x,direct":            {`direct=""`, "on, off or auto"},
		"file:path=/x,sync=auto":         {`sync="auto"`, "on or off"},
		"file:path=/x,sync":              {`sync=""`, "on or off"},
		"file:path=/x,size=1000,bs=512":  {"1000", "no multiple of the block size 512; give a multiple"},
	} {
		l, err := ParseLUN(spec)
		if err == nil {
			t.Errorf("%s: %+v", spec, l)
			continue
		}
		says(t, err, append(words, `LUN "`+spec+`"`)...)
	}
}

// whole is a configuration with nothing wrong.
func whole() Config {
	return Config{
		Portals: []string{"127.0.0.1:0"}, Target: DefaultTarget, CPUs: []int{-1},
		LUNs: []LUN{{Medium: RAM, Bytes: 1 << 20, BlockBytes: 512}},
	}
}

func TestConfig_Check(t *testing.T) {
	c := whole()
	if err := c.check(); err != nil || c.Target != DefaultTarget {
		t.Fatal(err)
	}
	c.Target = "IQN.2026-11.Lunar:Default"
	if err := c.check(); err != nil || c.Target != DefaultTarget {
		t.Errorf("capitals: %q, %v", c.Target, err)
	}
	file := LUN{Medium: File, Path: "a/../disk"}
	for name, k := range map[string]struct {
		change func(c *Config)
		words  []string
	}{
		"target":   {func(c *Config) { c.Target = "lunar" }, []string{`"lunar"`, "iqn."}},
		"portal":   {func(c *Config) { c.Portals = nil }, []string{"--portal"}},
		"no LUN":   {func(c *Config) { c.LUNs = nil }, []string{"0 LUNs", "16384"}},
		"LUNs":     {func(c *Config) { c.LUNs = make([]LUN, maxLUNs+1) }, []string{"16385 LUNs", "16384"}},
		"no CPU":   {func(c *Config) { c.CPUs = nil }, []string{"0 reactors", "64"}},
		"CPUs":     {func(c *Config) { c.CPUs = make([]int, maxReactors+1) }, []string{"65 reactors", "64"}},
		"one file": {func(c *Config) { c.LUNs = []LUN{file, c.LUNs[0], {Medium: File, Path: "disk"}} }, []string{"LUN 0 and LUN 2", "/disk", "own"}},
	} {
		c := whole()
		k.change(&c)
		err := c.check()
		if err == nil {
			t.Errorf("%s: accepted", name)
			continue
		}
		says(t, err, k.words...)
	}
}
