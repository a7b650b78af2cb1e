package suite

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	svg "github.com/ajstarks/svgo"
)

// chart is one plot: groups of horizontal bars.
type chart struct {
	file, title, unit string
	metric            Metric
	cells             []string
	who               []string
	// more metrics of the same rows are bars of their own.
	more []Metric
}

var (
	smallCells = []string{"ram/randread-4k-qd1", "ram/randread-4k-qd32", "ram/randread-4k-4x16", "ram/randwrite-4k-qd32", "ram/mix70-4k-qd32"}
	largeCells = []string{"ram/read-128k-qd8", "ram/write-128k-qd8", "ram/read-1m-qd4", "ram/write-1m-qd4"}
	withLimit  = []string{"lunar", "lunar-epoll", "floor"}
)

// charts are all plots, in the order of the page.
var charts = []chart{
	{file: "small.svg", title: "4 KiB on a RAM unit, sleeping generator", unit: "IOPS", metric: IOPS, cells: smallCells, who: everybody},
	{file: "small-polling.svg", title: "4 KiB on a RAM unit, polling generator", unit: "IOPS", metric: IOPS, cells: polling(smallCells), who: withLimit},
	{file: "large.svg", title: "Large blocks on a RAM unit, sleeping generator", unit: "MiB/s", metric: Throughput, cells: largeCells, who: everybody},
	{
		file: "latency.svg", title: "Latency of 4 KiB random reads, sleeping generator", unit: "µs", metric: P50, more: []Metric{P99, P999},
		cells: []string{"ram/randread-4k-qd1", "ram/randread-4k-qd32"}, who: everybody,
	},
	{
		file: "latency-polling.svg", title: "Latency of 4 KiB random reads, polling generator", unit: "µs", metric: P50, more: []Metric{P99, P999},
		cells: polling([]string{"ram/randread-4k-qd1", "ram/randread-4k-qd32"}), who: withLimit,
	},
	{file: "file.svg", title: "4 KiB on a file unit, sleeping generator", unit: "IOPS", metric: IOPS, cells: []string{"file/randread-4k-qd1", "file/randread-4k-qd32", "file/randwrite-4k-qd32"}, who: onFile},
}

func polling(cells []string) (names []string) {
	for _, c := range cells {
		names = append(names, c+"/polling")
	}
	return names
}

// bar is one line of a plot; one without a label begins a group.
type bar struct {
	group, label string
	value        float64
}

// colours are classes of style: a contestant has the same in all plots.
var colours = map[string]string{
	"lunar": "w0", "lunar-epoll": "w1", "tgt": "w2", "istgt": "w3", "gotgt": "w4", "floor": "w5", "fio": "w5",
}

// bars are what the results have for the chart.
func (c *chart) bars(r *Results) (all []bar) {
	for _, name := range c.cells {
		cell := r.Cell(name)
		if cell == nil {
			continue
		}
		for _, metric := range append([]Metric{c.metric}, c.more...) {
			group := bar{group: cell.Cell.Title()}
			if len(c.more) > 0 {
				group.group += ": " + string(metric)
			}
			var rows []bar
			for _, who := range c.who {
				if row := cell.Row(who); row != nil && len(row.Rounds) > 0 {
					v, _ := row.Median(metric)
					rows = append(rows, bar{label: who, value: v})
				}
			}
			if len(rows) > 0 {
				all = append(append(all, group), rows...)
			}
		}
	}
	return all
}

// Geometry of a plot, in pixels.
const (
	chartWidth = 760
	labelWidth = 110
	valueWidth = 90
	barHeight  = 16
	barStep    = 21
	groupStep  = 30
	titleSpace = 58
)

// style has two sets of colours: an image takes its own from the reader's scheme.
const style = `
text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #24292f }
.title { font-size: 16px; font-weight: 600 }
.unit { fill: #57606a }
.group { font-weight: 600 }
.back { fill: #ffffff }
.axis { stroke: #8c959f; stroke-width: 1 }
.w0 { fill: #0969da } .w1 { fill: #54aeff } .w2 { fill: #bf8700 } .w3 { fill: #8250df } .w4 { fill: #1a7f37 } .w5 { fill: #818b98 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.unit { fill: #9198a1 }
.back { fill: #0d1117 }
.axis { stroke: #6e7681 }
.w0 { fill: #4493f8 } .w1 { fill: #a5d6ff } .w2 { fill: #d29922 } .w3 { fill: #ab7df8 } .w4 { fill: #3fb950 } .w5 { fill: #9198a1 }
}`

// draw writes the plot; nil when there is nothing to show.
func (c *chart) draw(r *Results) []byte {
	bars := c.bars(r)
	if len(bars) == 0 {
		return nil
	}
	height, most := titleSpace+12, 0.0
	for _, b := range bars {
		most = max(most, b.value)
		if b.label == "" {
			height += groupStep
		} else {
			height += barStep
		}
	}
	var out bytes.Buffer
	s := svg.New(&out)
	s.Startview(chartWidth, height, 0, 0, chartWidth, height)
	s.Title(c.title)
	s.Style("text/css", style)
	s.Rect(0, 0, chartWidth, height, `class="back"`)
	s.Text(12, 26, c.title, `class="title"`)
	s.Text(12, 46, c.unit+", "+direction(c.metric), `class="unit"`)
	c.lines(s, bars, most)
	s.End()
	return out.Bytes()
}

// lines draws the bars below each other, all to one scale.
func (c *chart) lines(s *svg.SVG, bars []bar, most float64) {
	y := titleSpace
	for _, b := range bars {
		if b.label == "" {
			s.Text(12, y+groupStep-10, b.group, `class="group"`)
			y += groupStep
			continue
		}
		length := max(1, int(b.value/max(most, 1e-9)*(chartWidth-labelWidth-valueWidth)))
		s.Text(labelWidth-8, y+barHeight-3, b.label, `text-anchor="end"`)
		s.Rect(labelWidth, y, length, barHeight, fmt.Sprintf(`class="%s"`, colours[b.label]))
		s.Text(labelWidth+length+6, y+barHeight-3, strings.ReplaceAll(number(b.value), "\u202f", " "))
		s.Line(labelWidth, y-2, labelWidth, y+barHeight+3, `class="axis"`)
		y += barStep
	}
}

// direction says which way is good.
func direction(m Metric) string {
	if m == IOPS || m == Throughput {
		return "longer is better"
	}
	return "shorter is better"
}

// Plots writes the plots into dir, which is made if need be.
func (r *Results) Plots(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("suite: make the directory of the plots: %w", err)
	}
	for i := range charts {
		image := charts[i].draw(r)
		if image == nil {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, charts[i].file), image, 0o644); err != nil {
			return fmt.Errorf("suite: write a plot: %w", err)
		}
	}
	return nil
}
