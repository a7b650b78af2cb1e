package suite

import (
	"slices"
	"strings"
	"testing"
	"time"

	"lunar/bench"
	"lunar/reactor"
)

// The tables refer to each other by name; here every name is looked up.
func TestCells_Consistent(t *testing.T) {
	names := map[string]bool{}
	for _, c := range Cells() {
		if names[c.Name] {
			t.Errorf("two cells are called %s", c.Name)
		}
		names[c.Name] = true
		if groupText[c.Group] == "" {
			t.Errorf("%s: nothing says how group %q was measured", c.Name, c.Group)
		}
		if _, err := c.options(&server{}, c.Digests); err != nil {
			t.Errorf("%s: %v", c.Name, err)
		}
		if len(c.Against) < 2 {
			t.Errorf("%s: nobody to compare with", c.Name)
		}
		for i, name := range c.Against {
			if _, ok := contestant(name); !ok || slices.Contains(c.Against[:i], name) {
				t.Errorf("%s: contestant %q is not known or named twice", c.Name, name)
			}
		}
	}
}

func TestContestants_HaveServers(t *testing.T) {
	for i, c := range contestants {
		found := false
		for _, s := range servers {
			found = found || s.name == c.Server
		}
		if !found {
			t.Errorf("%s: nobody starts server %q", c.Name, c.Server)
		}
		if slices.ContainsFunc(contestants[:i], func(o Contestant) bool { return o.Name == c.Name }) {
			t.Errorf("two contestants are called %s", c.Name)
		}
	}
	for _, p := range probes {
		for _, name := range p.uses {
			if _, ok := contestant(name); !ok {
				t.Errorf("%s uses %q", p.name, name)
			}
		}
	}
}

func TestGoals_ReferToWhatIsMeasured(t *testing.T) {
	cells := map[string]Cell{}
	for _, c := range Cells() {
		cells[c.Name] = c
	}
	var figures []string
	for _, p := range probes {
		figures = append(figures, p.figures...)
	}
	for _, g := range goals {
		if g.Kind == AsFigure {
			if !slices.Contains(figures, g.Cell) {
				t.Errorf("%s: no probe finds %q", g.Text, g.Cell)
			}
			continue
		}
		c, ok := cells[g.Cell]
		if !ok || !c.runs(g.Who) || g.Kind != AsValue && !c.runs(g.Versus) {
			t.Errorf("%s: %q has no %s and %s", g.Text, g.Cell, g.Who, g.Versus)
		}
		if g.Metric.of(&bench.Report{
			IOPS: 1, MiBps: 1, TargetMicros: 1, OwnMicros: 1, TargetSwitches: 1, Latency: bench.Latency{P50: 1, P90: 1, P99: 1, P999: 1},
		}) != 1 {
			t.Errorf("%s: metric %q is not known", g.Text, g.Metric)
		}
	}
}

func TestCharts_ReferToCells(t *testing.T) {
	cells := map[string]Cell{}
	for _, c := range Cells() {
		cells[c.Name] = c
	}
	for _, chart := range charts {
		for _, name := range chart.cells {
			c, ok := cells[name]
			if !ok {
				t.Errorf("%s: there is no cell %s", chart.file, name)
			}
			for _, who := range chart.who {
				if !strings.Contains(style, "."+colours[who]+" ") {
					t.Errorf("%s: %s has no colour", chart.file, who)
				}
				if !c.runs(who) {
					t.Errorf("%s: %s is not in %s", chart.file, who, name)
				}
			}
		}
	}
}

// With what turns cost besides measuring, as it was seen, a run of everything with
// the defaults ends within a quarter of an hour.
func TestPlan_FitsAQuarterOfAnHour(t *testing.T) {
	const probesAndStart = 100 * time.Second
	total, turns := probesAndStart, 0
	for _, c := range Cells() {
		for _, name := range c.Against {
			who, _ := contestant(name)
			each := warmup + c.time(DefaultTime) + 30*time.Millisecond
			switch name {
			case "istgt":
				each += time.Duration(c.Load.Sessions) * time.Second // its logouts
			case "fio":
				each += 500 * time.Millisecond // its start
			}
			if who.NoDigests != "" && c.Digests != NoDigests {
				continue
			}
			rounds := c.rounds(DefaultRounds, who)
			turns += rounds
			total += time.Duration(rounds) * each
		}
	}
	t.Logf("%d turns, %v", turns, total)
	if total > 15*time.Minute {
		t.Errorf("%d turns take %v", turns, total)
	}
}

// All that were promised occur.
func TestCells_CoverTheRequest(t *testing.T) {
	for name, against := range map[string][]string{
		"ram/randwrite-4k-qd32-r2t":         everybody,
		"ram/mix70-4k-qd32":                 everybody,
		"ram/write-128k-qd8-r2t":            everybody,
		"ram/read-1m-qd4":                   everybody,
		"ram/write-1m-qd4/polling":          limit,
		"hot/randread-4k-qd32/polling":      {"lunar", "floor"},
		"ram/read-128k-qd8/header":          {"lunar", "tgt", "istgt"},
		"ram/randwrite-4k-qd32/both":        {"lunar", "tgt", "istgt"},
		"file/randwrite-4k-qd32":            onFile,
		"ram/randread-4k-qd32/polling/cost": cost,
		"ram/randread-4k-qd1-200ps/polling": {"lunar", "floor", "tgt"},
	} {
		i := slices.IndexFunc(Cells(), func(c Cell) bool { return c.Name == name })
		if i < 0 {
			t.Errorf("there is no cell %s", name)
			continue
		}
		for _, who := range against {
			if c := Cells()[i]; !c.runs(who) {
				t.Errorf("%s lacks %s", name, who)
			}
		}
	}
}

// p99.9 of the load that shows interference is that of many operations in many
// rounds, for both sides, however short a run is.
func TestCells_Interference_HasEnoughSamples(t *testing.T) {
	i := slices.IndexFunc(Cells(), func(c Cell) bool { return c.Load.Name == paced.Name })
	c := Cells()[i]
	for _, name := range c.Against {
		who, _ := contestant(name)
		for _, rounds := range []int{1, DefaultRounds, 9} {
			if n := c.rounds(rounds, who); n < max(rounds, 5) {
				t.Errorf("%s has %d rounds of %d", name, n, rounds)
			}
		}
	}
	for _, d := range []time.Duration{time.Millisecond, DefaultTime} {
		if beyond := c.time(d).Seconds() * c.Load.Rate / 1000; beyond < 50 {
			t.Errorf("turns of %v: %v operations are beyond p99.9", d, beyond)
		}
	}
	istgt, _ := contestant("istgt")
	if n := (&Cell{Load: read32}).rounds(5, istgt); n != 3 {
		t.Errorf("istgt has %d rounds", n)
	}
}

// What wakes a target polls itself, and leaves each of them time to fall asleep.
func TestCells_WakeUp_IsTheTargetsAlone(t *testing.T) {
	i := slices.IndexFunc(Cells(), func(c Cell) bool { return c.Load.Name == woken.Name })
	c := Cells()[i]
	o, err := c.options(&server{}, NoDigests)
	if err != nil || o.Poll != reactor.Spin || o.Depth != 1 || o.Sessions != 1 || o.Rate != 200 {
		t.Errorf("%+v, %v", o, err)
	}
	if !strings.HasSuffix(c.Title(), "200 operations a second, polling generator") {
		t.Error(c.Title())
	}
}

func TestOptions_DigestTargetsAndUnits(t *testing.T) {
	s := &server{perDigest: true}
	s.url.Target, s.url.LUN = "iqn.x:t", 1
	if u := s.unit(File, BothDigests); u.Target != "iqn.x:t-both" || u.LUN != 2 {
		t.Errorf("%v", u)
	}
	s.perDigest = false
	if u := s.unit(Cold, HeaderDigests); u.Target != "iqn.x:t" || u.LUN != 1 {
		t.Errorf("%v", u)
	}
	c := Cell{Unit: Hot, Load: asked32, Polling: true}
	o, err := c.options(s, HeaderDigests)
	if err != nil || o.SizeBytes != 4<<20 || *o.ImmediateData || !*o.InitialR2T || !o.HeaderDigest || o.DataDigest {
		t.Errorf("%+v, %v", o, err)
	}
}
