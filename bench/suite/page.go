package suite

import (
	"bytes"
	"fmt"
	"io"
	"path"
	"strings"
)

// page writes Markdown. Its errors are those of a buffer: none.
type page struct {
	bytes.Buffer
	r *Results
}

func (p *page) line(format string, args ...any) {
	p.WriteString(fmt.Sprintf(format, args...) + "\n")
}

// row writes a line of a table; what would end a cell of it is made harmless.
func (p *page) row(cells ...string) {
	for _, c := range cells {
		c = strings.ReplaceAll(strings.ReplaceAll(c, "\n", " "), "|", "\\|")
		p.WriteString("| " + c + " ")
	}
	p.line("|")
}

// table begins a table; columns whose name begins with < are for text.
func (p *page) table(columns ...string) {
	rule := make([]string, len(columns))
	for i, c := range columns {
		rule[i] = "---:"
		if name, ok := strings.CutPrefix(c, "<"); ok {
			columns[i], rule[i] = name, "---"
		}
	}
	p.row(columns...)
	p.line("|%s|", strings.Join(rule, "|"))
}

// Page writes BENCHMARKS.md. plots is where the plots are, seen from there.
func (r *Results) Page(w io.Writer, plots string) error {
	p := &page{r: r}
	p.head()
	p.goals(plots)
	p.plots(plots)
	p.groups()
	p.figures()
	p.method()
	if _, err := w.Write(p.Bytes()); err != nil {
		return fmt.Errorf("suite: write the page: %w", err)
	}
	return nil
}

func (p *page) head() {
	h := &p.r.Head
	p.line("# Benchmarks\n")
	by := "Written by `make bench`"
	if h.Partial {
		by = "A part of what `make bench` measures"
	}
	p.line("%s; every figure is from one run of `%s`.\n", by, h.Command)
	p.table("<", "<")
	p.row("commit", h.Commit)
	p.row("date", h.Date)
	p.row("machine", h.Machine+", shared and virtual; memory "+h.Memory)
	p.row("kernel, Go", h.Kernel+", "+h.Go)
	p.row("rounds, time", fmt.Sprintf("%d rounds of %v for each row, after %v of warm-up; all of it took %s", h.Rounds, h.Time, warmup, h.Took))
	var v []string
	for _, x := range h.Versions {
		v = append(v, x.Name+" "+x.Version)
	}
	p.row("others", strings.Join(v, ", "))
	p.line("")
	preferred := ""
	if h.Preferred {
		preferred = ", where it is preferred (nice -15)"
	}
	p.line("Loopback TCP. Every thread of every target is pinned to processor %d, the generator to processor %d%s. "+
		"A row is the median of its rounds, in which the contestants of a table take turns; a ratio or difference is "+
		"formed within each round and is the median of those. The machine is shared with strangers: absolute figures drift "+
		"by a fifth between runs, ratios much less. [How each thing was measured](#how) is at the end.\n", h.TargetCPU, h.CPU, preferred)
}

func (p *page) goals(plots string) {
	p.line("## Goals\n")
	p.line("What the project promised itself, and what this run measured.\n")
	p.table("<goal", "wanted", "measured", "<outcome")
	verdicts := Judge(p.r)
	met := 0
	for i := range verdicts {
		v := &verdicts[i]
		measured := "–"
		if v.Err == nil {
			measured = number(v.Measured) + v.Goal.Unit
		}
		if v.Met {
			met++
		}
		text := v.Goal.Text
		if v.Goal.Note != "" {
			text += " (" + v.Goal.Note + ")"
		}
		outcome := v.Outcome()
		if !v.Met {
			outcome = "**" + outcome + "**"
		}
		p.row(text, v.Goal.Want(), measured, outcome)
	}
	p.line("\n%d of %d goals are met. Where the time goes in those that are not, or that other runs missed, and what "+
		"was tried: [shortfalls](%s/shortfalls.md).\n", met, len(verdicts), plots)
}

func (p *page) plots(dir string) {
	p.line("## Plots\n")
	for _, c := range charts {
		if len(c.bars(p.r)) == 0 {
			continue
		}
		p.line("![%s](%s)\n", c.title, path.Join(dir, c.file))
	}
}

// groups writes the cells, one table each, under the names of their groups.
func (p *page) groups() {
	group := ""
	for i := range p.r.Cells {
		c := &p.r.Cells[i]
		if c.Cell.Group != group {
			group = c.Cell.Group
			p.line("## %s\n", group)
			p.line("%s\n", strings.ReplaceAll(groupText[group], "SIZE", fmt.Sprintf("%d MiB", p.r.Head.FileBytes>>20)))
		}
		p.cell(c)
	}
}

// groupText says in a sentence or two how a group was measured.
var groupText = map[string]string{
	groupRAM:     "All 256 MiB of the unit are in use and were written before. The generator sleeps when nothing has arrived, as most initiators do: each wake-up of it is in the latency of everybody alike. Ratios are to tgt.",
	groupPolling: "The generator spins on its processor instead of sleeping, so that what is left is the target. The floor is what the machine can do at most; it knows neither R2T nor digests. Ratios are to the floor.",
	groupHot:     "As before, within 4 MiB, which stay in the processor's cache: copies cost next to nothing, and what remains is protocol and system calls. Ratios are to the floor.",
	groupDigests: "As the first group, with CRC32C on both sides. Ratios are to tgt with the same digests.",
	groupCost:    "Targets that sleep whenever nothing is there, so that their processor time is a cost: what each operation takes. With digests and without are the same process. Ratios are to the floor.",
	groupFile:    "Files of SIZE on one disk, all written before; lunar and tgt go past the page cache, istgt and gotgt cannot and may be answered from memory: they are here for completeness. fio uses the disk without a network. Ratios are to fio.",
	groupDisk:    "The same with a generator that spins, so that what is compared with the disk is the target and not how long a sleeping initiator takes to wake up. Ratios are to fio.",
	groupDevice:  "A loop device of SIZE on that disk, past the page cache, and fio with io_uring on the same device: what is between is the target and the network. A loop device works by threads of the kernel, to which a target or a generator that spins would leave no processor here, so both sleep. The floor reads the device as well, and is the limit of the device behind a network. Ratios are to fio.",
	groupAlone:   "Loads that answer one question each; ratios are to the last row. At a given rate, latency counts from when an operation was due, so that a stall is not hidden. For the load of 200 operations a second the generator polls while the targets sleep until an operation wakes them: what is above the latency of depth 1 of the polling generator is their wake-up, and the floor's is that of Lunar's reactor with nothing above it.",
}

// cell writes one table.
func (p *page) cell(c *CellResult) {
	p.line("### %s\n", c.Cell.Title())
	p.table("<target", "IOPS", "least–most", "ratio", "MiB/s", "p50 µs", "p99 µs", "p99.9 µs", "target µs/op", "generator µs/op", "<")
	versus := c.reference()
	for i := range c.Rows {
		p.contestant(&c.Rows[i], versus)
	}
	p.line("")
}

// reference is the row that ratios of a table refer to.
func (c *CellResult) reference() *Row {
	for _, name := range []string{"fio", deviceLimit, "floor", "floor-sleep", "tgt"} {
		if name == "floor" && c.Cell.Group == groupAlone {
			continue
		}
		if row := c.Row(name); row != nil && len(row.Rounds) > 0 {
			return row
		}
	}
	if n := len(c.Rows); n > 0 {
		return &c.Rows[n-1]
	}
	return nil
}

func (p *page) contestant(row, versus *Row) {
	if len(row.Rounds) == 0 {
		p.row(row.Contestant, "–", "", "", "", "", "", "", "", "", row.Error)
		return
	}
	m := func(metric Metric) string {
		v, _ := row.Median(metric)
		if v == 0 {
			return "–"
		}
		return number(v)
	}
	ratio := "–"
	if v, ok := Ratio(row, versus, IOPS); ok {
		ratio = fmt.Sprintf("%.2f", v)
	}
	least, most := row.Range(IOPS)
	var marks []string
	if row.Bound() {
		marks = append(marks, "generator-bound")
	}
	if n := len(row.Rounds); n != p.r.Head.Rounds {
		marks = append(marks, fmt.Sprintf("%d rounds", n))
	}
	if row.Error != "" {
		marks = append(marks, row.Error)
	}
	p.row(row.Contestant, m(IOPS), number(least)+"–"+number(most), ratio, m(Throughput), m(P50), m(P99), m(P999),
		m(TargetCost), m(OwnCost), strings.Join(marks, "; "))
}

func (p *page) figures() {
	if len(p.r.Figures) == 0 {
		return
	}
	p.line("## Further figures\n")
	p.table("<figure", "value", "<unit", "<how")
	for _, f := range p.r.Figures {
		value := number(f.Value)
		if f.Error != "" {
			value = f.Error
		}
		p.row("`"+f.Name+"`", value, f.Unit, f.How)
	}
	p.line("")
	p.calibration()
}

// calibration sets a generator of other people next to ours.
func (p *page) calibration() {
	for _, name := range foreignTargets {
		theirs, busy, ours := p.r.Figure("foreign/"+name), p.r.Figure("foreign-cpu/"+name), p.r.Figure("own/"+name)
		if theirs == nil || ours == nil || busy == nil || theirs.Error+busy.Error+ours.Error != "" || ours.Value == 0 {
			continue
		}
		text := "iscsi-perf had processor time left: both measured the target"
		if busy.Value >= foreignBound {
			text = "iscsi-perf had no processor time left: its figure is its own limit (generator-bound)"
		}
		p.line("Calibration against %s: iscsi-perf reaches %s IOPS, this generator %s (iscsi-perf %+.1f %%), at %.0f %% of its processor; %s.\n",
			name, number(theirs.Value), number(ours.Value), 100*(theirs.Value/ours.Value-1), busy.Value, text)
	}
}

// foreignBound is the share of its processor, in percent, from which on iscsi-perf
// measures itself; it spends a little of its time before and after its load.
const foreignBound = 90

func (p *page) method() {
	p.line("## How\n")
	p.line("- **The contestants.**\n")
	seen := map[string]bool{}
	for _, c := range p.r.Cells {
		for _, row := range c.Rows {
			seen[row.Contestant] = true
		}
	}
	for _, c := range contestants {
		if seen[c.Name] {
			p.line("  - `%s`: %s.", c.Name, c.Text)
		}
	}
	p.line("")
	p.line("%s", methodText)
}

const methodText = `- **The generator** is this project's own initiator in the process of the suite, on the same kind of reactor as the
  target. It keeps every slot of its queues busy and sends what a turn brought in one system call. Latency is from
  handing an operation to the session until its last byte was received. A row marked *generator-bound* says more of the
  generator than of the target: it had no time left.
- **All targets are up at the same time** and idle except in their turn; an idle target sleeps.
- **Target µs/op** is the processor time of all threads of the target's process over the operations of the turn. A
  target that spins uses its processor whether it is needed or not; the tables of sleeping targets are there for costs.
  **Generator µs/op** is the same of the generator, when it polls only the time in which it had work.
- **least–most** is over the rounds and shows how quiet the machine was.
- **Allocating beside**: the daemon's process may use both processors, its reactor has the targets' to itself. The two
  rows take turns, at least five of a second each, since p99.9 of less is a handful of operations; the ratio is formed
  within each round.
- **A woken daemon** is measured at 200 reads a second, one at a time, by a generator that polls: the target sleeps 5 ms
  before each. A sleeping generator would add its own wake-up and the slack of its own timer, which is none of the target's.
- **Floor** rows are no target: they show what loopback TCP and one touch of the memory allow this generator.
- **fio's** µs/op is its own processor time; it is generator and disk in one.`
