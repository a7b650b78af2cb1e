package config

import (
	"bytes"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"lunar/engine"
)

// seed is a document of which every object can be had anywhere.
const seed = `state = "STATE"
[reactors]
count = 1
poll = "sleep"
[[portal_group]]
tag = 1
portals = ["127.0.0.1:0", "[::1]:0"]
[[portal_group]]
tag = 2
portals = ["127.0.0.2:0"]
[discovery.chap]
users = [{ name = "d", secret = "env:LUNAR_HOST_SECRET" }]
[[unit]]
name = "a"
medium = "ram"
size = "1MiB"
[[unit]]
name = "b"
medium = "null"
size = "1TiB"
block_size = 4096
[[target]]
name = "iqn.2026-11.lunar:a"
portal_groups = [1, 2]
lun = [{ number = 0, unit = "a" }, { number = 300, unit = "b", read_only = true }]
[target.keys]
max_burst_length = 65536
[[target.access]]
initiator = "iqn.x:*"
sources = ["127.0.0.0/8"]
[[target]]
name = "iqn.2026-11.lunar:b"
redirect = { to = ["192.0.2.1"] }
`

// mutate changes a document in one or two places: bytes, words, lines.
func mutate(r *rand.Rand, doc []byte) []byte {
	lines := bytes.SplitAfter(doc, []byte{'\n'})
	words := []string{"0", "-1", "99999", "[", "]", "{", "}", "\"", "=", "true", "[[unit]]\n", "\n", "a", "\x00", "é", "1e9", "[[target]]\n"}
	for range 1 + r.IntN(2) {
		i, j := r.IntN(len(lines)), r.IntN(len(lines))
		switch l := lines[i]; r.IntN(7) {
		case 0:
			lines[i] = nil
		case 1:
			lines[i], lines[j] = lines[j], lines[i]
		case 2:
			lines[i] = append(append([]byte{}, l...), lines[j]...)
		case 3:
			at := r.IntN(len(l) + 1)
			lines[i] = append(append(append([]byte{}, l[:at]...), words[r.IntN(len(words))]...), l[at:]...)
		case 4:
			if len(l) > 1 {
				at := r.IntN(len(l))
				lines[i] = append(append([]byte{}, l[:at]...), l[min(at+1+r.IntN(4), len(l)):]...)
			}
		case 5:
			if at := bytes.IndexAny(l, "0123456789"); at >= 0 {
				l = append([]byte{}, l...)
				l[at] = byte('0' + r.IntN(10))
				lines[i] = l
			}
		default:
			if len(l) > 0 {
				l = append([]byte{}, l...)
				l[r.IntN(len(l))] = byte(r.IntN(128))
				lines[i] = l
			}
		}
	}
	return bytes.Join(lines, nil)
}

// A mutated document is refused with its place, or applied whole: the engine has
// then exactly the targets, portals and units of the document, and before exactly
// those of the one before.
func TestMutated_RefusedWithAPlaceOrAppliedWhole(t *testing.T) {
	laps := 2000
	if os.Getenv("LUNAR_LONG") != "" {
		laps = 100_000
	}
	secrets(t)
	old := slog.Default()
	slog.SetDefault(slog.New(slog.DiscardHandler))
	defer slog.SetDefault(old)
	doc := []byte(strings.Replace(seed, "STATE", t.TempDir(), 1))
	f, err := Parse("x", doc, []int{0, 1})
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.Start(f.Engine)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := e.Stop(); err != nil {
			t.Error(err)
		}
	}()
	r := rand.New(rand.NewPCG(uint64(laps), 4))
	serving := &f.Engine
	applied := 0
	for range laps {
		mutant := mutate(r, doc)
		next, err := Parse("x", mutant, []int{0, 1})
		if err == nil {
			err = next.Locate(e.Apply(next.Engine))
		}
		if err == nil {
			serving = &next.Engine
			applied++
		} else if !placed.MatchString(err.Error()) {
			t.Fatalf("no place: %v in\n%s", err, mutant)
		}
		whole(t, e, serving, mutant)
	}
	t.Logf("%d of %d applied", applied, laps)
	if applied < laps/50 {
		t.Errorf("only %d of %d documents were applied", applied, laps)
	}
}

// whole compares what an engine has with a configuration.
func whole(t *testing.T, e *engine.Engine, c *engine.Config, doc []byte) {
	t.Helper()
	portals := 0
	for _, g := range c.Groups {
		portals += len(g.Portals)
	}
	units := 0
	if d := e.Describe(); d != "" {
		units = len(strings.Split(d, ", "))
	}
	names := e.Targets()
	same := len(names) == len(c.Targets)
	for i := range c.Targets {
		same = same && names[i] == c.Targets[i].Name
	}
	if !same || len(e.Portals()) != portals || units != len(c.Units) {
		t.Fatalf("targets %v portals %v units %s, not as in\n%s", names, e.Portals(), e.Describe(), doc)
	}
}
