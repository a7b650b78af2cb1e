package suite

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"lunar/bench"
)

// rowOf has a round for each rate; 0 leaves the round out.
func rowOf(name string, rates ...float64) Row {
	row := Row{Contestant: name}
	for i, v := range rates {
		if v == 0 {
			continue
		}
		row.Rounds = append(row.Rounds, Sample{Round: i, Report: &bench.Report{
			IOPS: v, MiBps: v / 256, TargetMicros: 1e6 / v, OwnMicros: 0.9,
			Latency: bench.Latency{P50: 32e6 / v, P90: 40e6 / v, P99: 64e6 / v, P999: 128e6 / v},
		}})
	}
	return row
}

// canned are results of three cells and some figures, as of a run.
func canned() *Results {
	cell := func(name string, rows ...Row) CellResult {
		for _, c := range Cells() {
			if c.Name == name {
				return CellResult{Cell: c, Rows: rows}
			}
		}
		panic("no cell " + name)
	}
	failed := rowOf("gotgt")
	failed.Error = "it hangs | in the\nlogin"
	halfway := rowOf("istgt", 50_000)
	halfway.Error = "connection lost"
	bound := rowOf("floor", 900_000, 950_000, 800_000)
	for _, s := range bound.Rounds {
		s.Report.GeneratorBound = true
	}
	return &Results{
		Head: Head{Command: "lunar bench suite", Commit: "abc1234", Rounds: 3, Took: "14m2s", FileBytes: 4 << 30, CPU: 1},
		Cells: []CellResult{
			cell("ram/randread-4k-qd32", rowOf("lunar", 500_000, 600_000, 550_000), rowOf("tgt", 50_000, 40_000, 55_000), halfway, failed),
			cell("ram/randread-4k-qd1", rowOf("lunar", 30_000, 31_000, 32_000), rowOf("tgt", 15_000, 16_000, 17_000)),
			cell("ram/randread-4k-qd32/polling", rowOf("lunar", 600_000, 580_000, 590_000), bound),
		},
		Figures: []Figure{
			{Name: "rss", Value: 20.5, Unit: "MiB", How: "by looking"},
			{Name: "syscalls", Error: "strace is not there"},
			{Name: "foreign/lunar", Value: 150_000},
			{Name: "foreign-cpu/lunar", Value: 97},
			{Name: "own/lunar", Value: 300_000},
			{Name: "idle/lunar", Value: 1.5, Unit: "% of a core"},
		},
	}
}

func TestMedian_OddEvenNone(t *testing.T) {
	for _, c := range []struct {
		in   []float64
		want float64
		ok   bool
	}{{nil, 0, false}, {[]float64{7}, 7, true}, {[]float64{9, 1, 5}, 5, true}, {[]float64{4, 1, 3, 2}, 2.5, true}} {
		if got, ok := median(c.in); got != c.want || ok != c.ok {
			t.Errorf("median of %v is %v, %v", c.in, got, ok)
		}
	}
}

// A ratio is formed within rounds: a round in which the machine was slow for both
// does not change it, and one that only one of them had does not count.
func TestRatio_PairsRounds(t *testing.T) {
	a, b := rowOf("a", 1000, 100, 900, 5000), rowOf("b", 100, 10, 100)
	if got, ok := Ratio(&a, &b, IOPS); !ok || got != 10 {
		t.Errorf("ratio %v, %v; want 10", got, ok)
	}
	if got, ok := Difference(&a, &b, IOPS); !ok || got != 800 {
		t.Errorf("difference %v, %v; want 800", got, ok)
	}
	c := rowOf("c", 0, 0, 0, 0, 7)
	if _, ok := Ratio(&a, &c, IOPS); ok {
		t.Error("rows without a common round have a ratio")
	}
	if least, most := a.Range(IOPS); least != 100 || most != 5000 {
		t.Errorf("range %v to %v", least, most)
	}
}

func TestMetric_EachIsItsOwn(t *testing.T) {
	r := &bench.Report{
		IOPS: 1, MiBps: 2, TargetMicros: 7, OwnMicros: 8, TargetSwitches: 9,
		Latency: bench.Latency{P50: 3, P90: 4, P99: 5, P999: 6},
	}
	for i, m := range []Metric{IOPS, Throughput, P50, P90, P99, P999, TargetCost, OwnCost, Switches} {
		if got := m.of(r); got != float64(i+1) {
			t.Errorf("%s is %v, want %d", m, got, i+1)
		}
	}
	if got := Tail.of(r); got != 2 {
		t.Errorf("tail is %v, want 6/3", got)
	}
}

func TestRow_Bound_ByMajority(t *testing.T) {
	row := rowOf("a", 1, 2, 3)
	row.Rounds[0].Report.GeneratorBound = true
	if row.Bound() {
		t.Error("one round of three binds a row")
	}
	row.Rounds[1].Report.GeneratorBound = true
	if !row.Bound() {
		t.Error("two rounds of three do not bind a row")
	}
}

func TestResults_JSON_RoundTrip(t *testing.T) {
	var out strings.Builder
	if err := canned().JSON(&out); err != nil {
		t.Fatal(err)
	}
	var back Results
	if err := json.Unmarshal([]byte(out.String()), &back); err != nil {
		t.Fatal(err)
	}
	v, ok := back.Cell("ram/randread-4k-qd32").Row("lunar").Median(IOPS)
	if !ok || v != 550_000 || back.Figure("rss").Value != 20.5 {
		t.Errorf("read back: %v, %v, %+v", v, ok, back.Figures)
	}
}

func TestNumber_Digits(t *testing.T) {
	for want, v := range map[string]float64{
		"0": 0, "11": 11, "2.20": 2.2, "12.3": 12.34, "123": 123.4, "1234": 1234.4, "0.050": 0.05, "-0.51": -0.51,
		"12\u202f346": 12345.6, "1\u202f234\u202f567": 1234567, "-12\u202f345": -12345, "\u2013": math.NaN(),
	} {
		if got := number(v); got != want {
			t.Errorf("%v is written %q, want %q", v, got, want)
		}
	}
}
