package engine

import (
	"errors"
	"strings"
	"testing"

	"lunar/internal/conform"
	"lunar/iscsi/login"
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
	for spec, want := range map[string]Unit{
		"ram:size=1GiB":                 {Medium: RAM, Bytes: 1 << 30, BlockBytes: 512, Direct: "auto"},
		"ram:size=1GiB,bs=4096":         {Medium: RAM, Bytes: 1 << 30, BlockBytes: 4096, Direct: "auto"},
		"null:bs=512,size=8T":           {Medium: Null, Bytes: 8 << 40, BlockBytes: 512, Direct: "auto"},
		"file:path=/x":                  {Medium: File, Path: "/x", BlockBytes: 512, Direct: "auto"},
		"file:path=/x=y:z":              {Medium: File, Path: "/x=y:z", BlockBytes: 512, Direct: "auto"},
		"file:path=/x,size=1G,":         {Medium: File, Path: "/x", Bytes: 1 << 30, BlockBytes: 512, Direct: "auto"},
		"file:path=x,direct=on,sync=on": {Medium: File, Path: "x", BlockBytes: 512, Direct: "on", Sync: true},
		"file:path=x,direct=off":        {Medium: File, Path: "x", BlockBytes: 512, Direct: "off"},
		"ram:size=1G,cache=1MiB":        {Medium: RAM, Bytes: 1 << 30, BlockBytes: 512, Direct: "auto", Cache: 1 << 20},
		"file:path=x,cache=256GiB":      {Medium: File, Path: "x", BlockBytes: 512, Direct: "auto", Cache: 256 << 30},
		"file:path=x,sync=off":          {Medium: File, Path: "x", BlockBytes: 512, Direct: "auto"},
		"block:path=/dev/x":             {Medium: Block, Path: "/dev/x", Direct: "auto"},
		"block:path=/dev/x,bs=512":      {Medium: Block, Path: "/dev/x", BlockBytes: 512, Direct: "auto"},
		"block:path=/dev/x,sync=on,bs=4096,cache=1MiB,removable=on": {
			Medium: Block, Path: "/dev/x", BlockBytes: 4096, Direct: "auto", Sync: true, Cache: 1 << 20, Removable: true,
		},
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
		"":                               {"unknown medium", "ram, file, block or null"},
		"disk:size=1G":                   {`"disk"`, "ram, file, block or null"},
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
		"block:":                         {"block device needs path=", "/dev/disk/by-id"},
		"block:path=/dev/x,size=1G":      {`"size"`, "use path, bs, sync", "its size is the device's"},
		"block:path=/dev/x,direct=off":   {`"direct"`, "use path, bs"},
		"block:path=/dev/x,bs=1024":      {`"1024"`, "bs=512 or bs=4096"},
		"file:path=/x,colour=red":        {`"colour"`, "use size, bs, cache, removable, path, direct, sync"},
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

// whole is a configuration with nothing wrong: two groups, two targets, a map for
// one initiator.
func whole() Config {
	return Config{
		CPUs:   []int{-1},
		Groups: []Group{{Tag: 1, Portals: []string{"127.0.0.1", "[::1]:3261"}}, {Tag: 7, Portals: []string{"127.0.0.2:3260"}}},
		Units:  []Unit{{Name: "a", Medium: RAM, Bytes: 1 << 20, BlockBytes: 512}, {Name: "b", Medium: File, Path: "/x/b", BlockBytes: 512}},
		Targets: []Target{
			{Name: "IQN.2026-11.Lunar:One", LUNs: []Mapping{{Unit: "a"}, {Number: 300, Unit: "b"}}, Groups: []uint16{7, 1}},
			{
				Name: "iqn.2026-11.lunar:two", Access: []Access{
					{Initiator: "IQN.2026-11.host:Db", LUNs: []Mapping{{Number: 5, Unit: "b", ReadOnly: true}}},
					{Initiator: "iqn.2026-11.host:*"},
				},
			},
		},
	}
}

// What is compared is brought to one form.
func TestConfig_Check_Normalises(t *testing.T) {
	c := whole()
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	if c.Targets[0].Name != "iqn.2026-11.lunar:one" || c.Targets[1].Access[0].Initiator != "iqn.2026-11.host:db" {
		t.Errorf("names %q and %q", c.Targets[0].Name, c.Targets[1].Access[0].Initiator)
	}
	if got := c.Groups[0].Portals; got[0] != "127.0.0.1:3260" || got[1] != "[::1]:3261" {
		t.Errorf("portals %q", got)
	}
}

// Every refusal leads to the object, names it and says what to do.
func TestConfig_Check_Refusals(t *testing.T) {
	conform.Covers(t, "R-3.4.1-1")
	keys := func(change func(o *login.Offer)) func(c *Config) {
		return func(c *Config) {
			o := login.DefaultOffer()
			change(&o)
			c.Targets[0].Offer = &o
		}
	}
	for path, k := range map[string]struct {
		change func(c *Config)
		words  string
	}{
		"reactors":                   {func(c *Config) { c.CPUs = make([]int, maxReactors+1) }, "65 reactors; give 1 to 64"},
		"portal_group":               {func(c *Config) { c.Groups = nil }, "[[portal_group]]"},
		"portal_group[1]":            {func(c *Config) { c.Groups[1].Portals = nil }, "portal group 7 has 0 portals"},
		"portal_group[1].tag":        {func(c *Config) { c.Groups[1].Tag = 1 }, "configured twice"},
		"portal_group[0].portals[1]": {func(c *Config) { c.Groups[0].Portals[1] = "host:3260" }, "numeric address"},
		"portal_group[1].portals[0]": {func(c *Config) { c.Groups[1].Portals[0] = "127.0.0.1" }, "belongs to one group"},
		"unit[0].name":               {func(c *Config) { c.Units[0].Name = "a b" }, "letters, digits"},
		"unit[1].name":               {func(c *Config) { c.Units[1].Name = "a" }, "configured twice"},
		"unit[0]":                    {func(c *Config) { c.Units[0].Bytes = 0 }, "needs size"},
		"unit[2].path": {func(c *Config) {
			c.Units = append(c.Units, Unit{Name: "c", Medium: File, Path: "/x/../x/b", BlockBytes: 512})
		}, "share the file /x/b"},
		"target[0].name":                    {func(c *Config) { c.Targets[0].Name = "lunar" }, "iqn.YYYY-MM"},
		"target[0].name ":                   {func(c *Config) { c.Targets[0].Name = "iqn.2026-13.lunar:a" }, "a month"},
		"target[1].name":                    {func(c *Config) { c.Targets[1].Name = c.Targets[0].Name }, "configured twice"},
		"target[0].alias":                   {func(c *Config) { c.Targets[0].Alias = strings.Repeat("a", 256) }, "255 bytes"},
		"target[0].portal_groups[1]":        {func(c *Config) { c.Targets[0].Groups[1] = 9 }, "portal group 9 is not configured"},
		"target[0].lun[1].number":           {func(c *Config) { c.Targets[0].LUNs[1].Number = 0 }, "mapped twice"},
		"target[0].lun[0].number":           {func(c *Config) { c.Targets[0].LUNs[0].Number = 16384 }, "0 to 16383"},
		"target[0].lun[0].unit":             {func(c *Config) { c.Targets[0].LUNs[0].Unit = "x" }, "[[unit]]"},
		"target[1].access[0].initiator":     {func(c *Config) { c.Targets[1].Access[0].Initiator = "db" }, "no iSCSI name"},
		"target[1].access[1].initiator":     {func(c *Config) { c.Targets[1].Access[1].Initiator = "*:db*" }, "only at the end"},
		"target[1].access[0].lun[0].unit":   {func(c *Config) { c.Targets[1].Access[0].LUNs[0].Unit = "x" }, "[[unit]]"},
		"target[0].redirect":                {func(c *Config) { c.Targets[0].Redirect = &Redirect{} }, "1 to 64"},
		"target[0].redirect.to[0]":          {func(c *Config) { c.Targets[0].Redirect = &Redirect{Addresses: []string{"host:0"}} }, "host:port"},
		"target[0].keys.max_burst_length":   {keys(func(o *login.Offer) { o.MaxBurstLength = 511 }), "512 to"},
		"target[0].keys.first_burst_length": {keys(func(o *login.Offer) { o.FirstBurstLength = 65537 }), "512 to 65536"},
	} {
		c := whole()
		k.change(&c)
		err := c.Check()
		var wrong *ConfigError
		if !errors.As(err, &wrong) || wrong.Path != strings.TrimSpace(path) {
			t.Errorf("%s: %v (%+v)", path, err, wrong)
			continue
		}
		says(t, err, k.words)
	}
}

func TestValidHost(t *testing.T) {
	conform.Covers(t, "R-12.8-1")
	for s, want := range map[string]bool{
		"host": true, "host.example:3260": true, "192.0.2.1": true, "[2001:db8::1]": true, "[2001:db8::1]:860": true,
		"": false, "2001:db8::1": false, "host:": false, "host:x": false, "host:70000": false, "a b": false, "a,1": false,
		":3260": false, "[192.0.2.1]": false,
	} {
		if got := validHost(s); got != want {
			t.Errorf("%q: %v", s, got)
		}
	}
}
