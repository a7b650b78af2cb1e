package main

import (
	"fmt"
	"strings"

	"lunar/internal/conform"
)

// tally is how many rules of a level there are, and how many are proved.
type tally struct{ all, proved, departed int }

func (t tally) String() string {
	switch {
	case t.all == 0:
		return "–"
	case t.departed > 0:
		return fmt.Sprintf("%d of %d (%d departed from)", t.proved, t.all, t.departed)
	}
	return fmt.Sprintf("%d of %d", t.proved, t.all)
}

// counted is the coverage of the rules in force that bind a target.
type counted struct {
	areas   []string
	cells   map[string]map[conform.Level]tally
	pending map[string]int
	missing []string
	must    int
	traps   int
	spots   tally
	later   []string
}

// levels are the columns of the table.
var levels = []conform.Level{conform.Must, conform.Should, conform.May, conform.Defined}

// total is the row that adds the others up.
const total = "all"

func count(proved map[string]bool, deviations string) (*counted, error) {
	rules, err := conform.Rules()
	if err != nil {
		return nil, err
	}
	c := &counted{cells: map[string]map[conform.Level]tally{total: {}}, pending: map[string]int{}}
	for i := range rules {
		r := &rules[i]
		if !r.Target() && !proved[r.ID] {
			continue // an initiator's rule counts where a test has the target detect a breach
		}
		if c.cells[r.Area] == nil {
			c.areas = append(c.areas, r.Area)
			c.cells[r.Area] = map[conform.Level]tally{}
		}
		if r.Pending != "" && !proved[r.ID] {
			c.pending[r.Area]++
			continue
		}
		c.rule(r, proved[r.ID], strings.Contains(deviations, "["+r.ID+"]"))
	}
	return c, c.spot(proved)
}

func (c *counted) rule(r *conform.Rule, proved, departed bool) {
	for _, row := range []string{r.Area, total} {
		t := c.cells[row][r.Level]
		t.all++
		switch {
		case proved:
			t.proved++
		case departed:
			t.departed++
		}
		c.cells[row][r.Level] = t
	}
	if !proved && !departed {
		c.missing = append(c.missing, fmt.Sprintf("%-7s %-16s %s", r.Level, r.ID, r.Text))
		if r.Level == conform.Must {
			c.must++
		}
	}
}

// spot counts the traps.
func (c *counted) spot(proved map[string]bool) error {
	traps, err := conform.Traps()
	if err != nil {
		return err
	}
	for _, t := range traps {
		c.spots.all++
		switch {
		case proved[fmt.Sprintf("trap %d", t.Number)]:
			c.spots.proved++
		case t.Pending != "":
			c.later = append(c.later, fmt.Sprintf("%d (%s)", t.Number, t.Pending))
		default:
			c.traps++
			c.missing = append(c.missing, fmt.Sprintf("trap    %-16d %s", t.Number, t.Name))
		}
	}
	return nil
}

func (c *counted) table() string {
	var b strings.Builder
	b.WriteString("| area | MUST | SHOULD | MAY | defined | pending |\n|---|---|---|---|---|---|\n")
	for _, area := range append(c.areas, total) {
		n := c.pending[area]
		if area == total {
			for _, m := range c.pending {
				n += m
			}
		}
		fmt.Fprintf(&b, "| %s |", area)
		for _, l := range levels {
			fmt.Fprintf(&b, " %v |", c.cells[area][l])
		}
		fmt.Fprintf(&b, " %d |\n", n)
	}
	fmt.Fprintf(&b, "\nTraps: %v", c.spots)
	if len(c.later) > 0 {
		fmt.Fprintf(&b, ", pending: %s", strings.Join(c.later, ", "))
	}
	b.WriteString(".\n")
	return b.String()
}
