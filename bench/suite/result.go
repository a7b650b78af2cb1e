package suite

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"lunar/bench"
)

// Results are everything a run found.
type Results struct {
	Head    Head         `json:"head"`
	Cells   []CellResult `json:"cells"`
	Figures []Figure     `json:"figures"`
}

// CellResult is a cell with a row for each contestant, in order.
type CellResult struct {
	Cell Cell  `json:"cell"`
	Rows []Row `json:"rows"`
}

// Row is what one contestant did in a cell. Error is why it has no more rounds
// than it has.
type Row struct {
	Contestant string   `json:"contestant"`
	Rounds     []Sample `json:"rounds"`
	Error      string   `json:"error,omitempty"`
}

// Sample is one turn.
type Sample struct {
	Round  int           `json:"round"`
	Report *bench.Report `json:"report"`
}

// Figure is one number that a probe found, or why it did not. How says how it was
// found and Unit in what it is, both for the reader.
type Figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	How   string  `json:"how,omitempty"`
	Error string  `json:"error,omitempty"`
}

// Metric is a number of a report.
type Metric string

// Metrics. Times are in microseconds.
const (
	IOPS       Metric = "IOPS"
	Throughput Metric = "MiB/s"
	P50        Metric = "p50"
	P90        Metric = "p90"
	P99        Metric = "p99"
	P999       Metric = "p99.9"
	// Tail is p99.9 in units of p50.
	Tail Metric = "p99.9/p50"
	// TargetCost and OwnCost are processor time per operation.
	TargetCost Metric = "target µs/op"
	OwnCost    Metric = "generator µs/op"
	Switches   Metric = "switches/op"
)

// of is the metric's value in a report.
func (m Metric) of(r *bench.Report) float64 {
	switch m {
	case IOPS:
		return r.IOPS
	case Throughput:
		return r.MiBps
	case P50:
		return r.Latency.P50
	case P90:
		return r.Latency.P90
	case P99:
		return r.Latency.P99
	case P999:
		return r.Latency.P999
	case Tail:
		return r.Latency.P999 / max(r.Latency.P50, 1e-3)
	case TargetCost:
		return r.TargetMicros
	case OwnCost:
		return r.OwnMicros
	case Switches:
		return r.TargetSwitches
	}
	return 0
}

// Median is the metric's median over the rounds; false without any.
func (r *Row) Median(m Metric) (float64, bool) {
	var v []float64
	for _, s := range r.Rounds {
		v = append(v, m.of(s.Report))
	}
	return median(v)
}

// Range is the metric's least and greatest value over the rounds.
func (r *Row) Range(m Metric) (least, most float64) {
	for i, s := range r.Rounds {
		v := m.of(s.Report)
		if i == 0 || v < least {
			least = v
		}
		most = max(most, v)
	}
	return least, most
}

// Bound says that in most rounds the generator set the pace.
func (r *Row) Bound() bool {
	n := 0
	for _, s := range r.Rounds {
		if s.Report.GeneratorBound {
			n++
		}
	}
	return 2*n > len(r.Rounds)
}

// pair applies f to the metric of both rows in each round that both have, and is
// the median of the outcomes: what the machine does in a round hits both alike.
func pair(a, b *Row, m Metric, f func(a, b float64) float64) (float64, bool) {
	var v []float64
	for _, x := range a.Rounds {
		for _, y := range b.Rounds {
			if x.Round == y.Round {
				v = append(v, f(m.of(x.Report), m.of(y.Report)))
			}
		}
	}
	return median(v)
}

// Ratio is the median over the rounds of a's metric to b's; false when they share
// no round.
func Ratio(a, b *Row, m Metric) (float64, bool) {
	return pair(a, b, m, func(a, b float64) float64 { return a / max(b, 1e-9) })
}

// Difference is the median over the rounds of a's metric less b's.
func Difference(a, b *Row, m Metric) (float64, bool) {
	return pair(a, b, m, func(a, b float64) float64 { return a - b })
}

// median is the middle of v, or the mean of the two in the middle; false for none.
func median(v []float64) (float64, bool) {
	n := len(v)
	if n == 0 {
		return 0, false
	}
	v = slices.Sorted(slices.Values(v))
	return (v[(n-1)/2] + v[n/2]) / 2, true
}

// Cell finds a cell, nil when it was not run.
func (r *Results) Cell(name string) *CellResult {
	for i := range r.Cells {
		if r.Cells[i].Cell.Name == name {
			return &r.Cells[i]
		}
	}
	return nil
}

// Row finds a contestant's row, nil when it took no part.
func (c *CellResult) Row(name string) *Row {
	for i := range c.Rows {
		if c.Rows[i].Contestant == name {
			return &c.Rows[i]
		}
	}
	return nil
}

// Figure finds a figure, nil when it was not asked for.
func (r *Results) Figure(name string) *Figure {
	for i := range r.Figures {
		if r.Figures[i].Name == name {
			return &r.Figures[i]
		}
	}
	return nil
}

// JSON writes everything, every round included.
func (r *Results) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	if err := e.Encode(r); err != nil {
		return fmt.Errorf("suite: write results: %w", err)
	}
	return nil
}
