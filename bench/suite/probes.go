package suite

import (
	"context"
	"fmt"
	"slices"
)

// probe measures what is not the load of a cell.
type probe struct {
	name string
	// uses are the contestants whose servers must run, figures the names of what it
	// finds for certain; figures of contestants that are not there are left out.
	uses    []string
	figures []string
	run     func(*run, context.Context, *findings)
}

var targets = []string{"lunar", "tgt", "istgt", "gotgt"}

// probes are all there are, in the order they run: idle first, right after all load.
var probes = []probe{
	{"probe/idle", targets, each("idle", targets), (*run).idle},
	{"probe/syscalls", []string{"lunar"}, []string{"syscalls"}, (*run).syscalls},
	{"probe/logins", targets, append(each("logins-1", targets), each("logins-8", targets)...), (*run).logins},
	{"probe/logins-ratio", []string{"lunar", "tgt"}, []string{"logins-ratio-1", "logins-ratio-8"}, (*run).loginRatio},
	{"probe/flood", nil, []string{"flood"}, (*run).flood},
	{"probe/memory", nil, []string{"rss"}, (*run).memory},
	{"probe/start", nil, []string{"first-login"}, (*run).firstLogin},
	{"probe/allocations", nil, []string{"allocations-read", "allocations-write"}, (*run).allocations},
	{"probe/foreign", foreignTargets, foreignFigures(), (*run).foreign},
}

// each names a figure of every contestant.
func each(figure string, contestants []string) (names []string) {
	for _, c := range contestants {
		names = append(names, figure+"/"+c)
	}
	return names
}

func foreignFigures() (names []string) {
	for _, figure := range []string{"foreign", "foreign-cpu", "own"} {
		names = append(names, each(figure, foreignTargets)...)
	}
	return names
}

// findings collects what a probe finds.
type findings struct {
	names []string
	found []Figure
}

// add takes a figure; with an error it has no value.
func (f *findings) add(name string, value float64, unit, how string, err error) {
	fig := Figure{Name: name, Value: value, Unit: unit, How: how}
	if err != nil {
		fig.Value, fig.Error = 0, reason(err)
	}
	if !slices.Contains(f.names, name) {
		fig.Error = fmt.Sprintf("the probe does not declare %s", name)
	}
	f.found = append(f.found, fig)
}

// probe runs one and keeps what it found.
func (r *run) probe(ctx context.Context, p *probe) error {
	r.say("%s", p.name)
	f := findings{names: p.figures}
	p.run(r, ctx, &f)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	for _, fig := range f.found {
		if fig.Error != "" {
			r.say("%s: %s", fig.Name, fig.Error)
		}
	}
	r.out.Figures = append(r.out.Figures, f.found...)
	return nil
}

// present are those of the contestants that take part in this run.
func (r *run) present(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return !r.invited(n) })
}

// quickCell is the cell of a probe: 4 KiB random reads at depth 32.
var quickCell = Cell{Unit: Cold, Load: read32}
