package suite

import (
	"fmt"
	"math"
)

// Kind is how a goal gets its number.
type Kind string

// Kinds. Ratios and differences are those of Who to Versus.
const (
	AsFigure     Kind = "figure"
	AsValue      Kind = "value"
	AsRatio      Kind = "ratio"
	AsDifference Kind = "difference"
)

// Goal is what is expected of one number.
type Goal struct {
	// Text says it in words.
	Text string
	Kind Kind
	// Cell is a cell's name, or that of a figure; Who and Versus are contestants of
	// the cell, and Metric what is compared.
	Cell, Who, Versus string
	Metric            Metric
	// AtLeast says that Limit is the least, otherwise the most; Unit follows the
	// number.
	AtLeast bool
	Limit   float64
	Unit    string
	// Note is what the reader must know.
	Note string
}

// Verdict is a goal and what was measured. Err, when set, is why nothing was.
type Verdict struct {
	Goal     Goal
	Measured float64
	Met      bool
	Err      error
}

// Judge evaluates all goals, in order.
func Judge(r *Results) []Verdict {
	var all []Verdict
	for _, g := range goals {
		v := Verdict{Goal: g}
		v.Measured, v.Err = g.measured(r)
		if v.Err == nil {
			v.Met = g.AtLeast && v.Measured >= g.Limit || !g.AtLeast && v.Measured <= g.Limit
		}
		all = append(all, v)
	}
	return all
}

// measured is the goal's number in the results.
func (g *Goal) measured(r *Results) (float64, error) {
	if g.Kind == AsFigure {
		f := r.Figure(g.Cell)
		switch {
		case f == nil:
			return 0, fmt.Errorf("not run")
		case f.Error != "":
			return 0, fmt.Errorf("%s", f.Error)
		}
		return f.Value, nil
	}
	c := r.Cell(g.Cell)
	if c == nil {
		return 0, fmt.Errorf("not run")
	}
	who, err := c.measuredRow(g.Who)
	if err != nil || g.Kind == AsValue {
		if err != nil {
			return 0, err
		}
		v, _ := who.Median(g.Metric)
		return v, nil
	}
	versus, err := c.measuredRow(g.Versus)
	if err != nil {
		return 0, err
	}
	compare := Ratio
	if g.Kind == AsDifference {
		compare = Difference
	}
	v, ok := compare(who, versus, g.Metric)
	if !ok {
		return 0, fmt.Errorf("%s and %s share no round", g.Who, g.Versus)
	}
	return v, nil
}

// measuredRow is a contestant's row that has numbers.
func (c *CellResult) measuredRow(name string) (*Row, error) {
	row := c.Row(name)
	switch {
	case row == nil:
		return nil, fmt.Errorf("%s was not run", name)
	case len(row.Rounds) == 0:
		return nil, fmt.Errorf("%s: %s", name, row.Error)
	}
	return row, nil
}

// Outcome says whether the goal was met, or by how much not.
func (v *Verdict) Outcome() string {
	switch {
	case v.Err != nil:
		return "no figure: " + v.Err.Error()
	case v.Met:
		return "met"
	}
	return "short by " + number(math.Abs(v.Measured-v.Goal.Limit)) + v.Goal.Unit
}

// Want is the limit in words.
func (g *Goal) Want() string {
	sign := "≤ "
	if g.AtLeast {
		sign = "≥ "
	}
	return sign + number(g.Limit) + g.Unit
}

// number writes a figure with as many digits as it deserves.
func number(v float64) string {
	a := math.Abs(v)
	switch {
	case math.IsNaN(v):
		return "–"
	case a == math.Trunc(a) && a < 100:
		return fmt.Sprintf("%.0f", v)
	case a >= 10_000:
		return thousands(v)
	case a >= 100:
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	case a >= 0.1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3f", v)
}

// thousands groups the digits of a large number: 523 612.
func thousands(v float64) string {
	s := fmt.Sprintf("%.0f", v)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	return s
}
