package suite

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestPage_CannedResults(t *testing.T) {
	var out strings.Builder
	if err := canned().Page(&out, "docs/bench"); err != nil {
		t.Fatal(err)
	}
	page := out.String()
	for _, want := range []string{
		"| 4 KiB random read, depth 32, IOPS against tgt | ≥ 11× | 10× | **short by 1×** |",
		"| resident memory without units | ≤ 22 MiB | 20.5 MiB | met |",
		"| lunar | 550\u202f000 | 500\u202f000–600\u202f000 | 10.00 | 2148 |",
		"generator-bound", "1 rounds; connection lost", `it hangs \| in the login`,
		"![4 KiB on a RAM unit, sleeping generator](docs/bench/small.svg)",
		"1 of 37 goals are met", "`rss` | 20.5 | MiB | by looking", "abc1234", "14m2s",
		"iscsi-perf reaches 150\u202f000 IOPS, this generator 300\u202f000 (iscsi-perf -50.0 %), at 97 % of its processor; iscsi-perf had no",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(page, "file.svg") {
		t.Error("the page shows a plot that has no bars")
	}
	checkTables(t, page)
}

// checkTables sees that all rows of each table have as many cells.
func checkTables(t *testing.T, page string) {
	t.Helper()
	columns := 0
	for line := range strings.Lines(page) {
		if !strings.HasPrefix(line, "|") {
			columns = 0
			continue
		}
		n := strings.Count(strings.ReplaceAll(line, `\|`, ""), "|")
		if columns == 0 {
			columns = n
		}
		if n != columns {
			t.Errorf("%d bars where the table has %d: %s", n, columns, line)
		}
	}
}

// element is what is looked at of a plot.
type element struct {
	name       string
	x, y, w, h float64
}

// elements reads a plot, which must be well-formed.
func elements(t *testing.T, image []byte) (all []element) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(string(image)))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		e := element{name: start.Name.Local}
		for _, a := range start.Attr {
			v, _ := strconv.ParseFloat(a.Value, 64)
			switch a.Name.Local {
			case "x":
				e.x = v
			case "y":
				e.y = v
			case "width":
				e.w = v
			case "height":
				e.h = v
			}
		}
		all = append(all, e)
	}
}

// Bars lie below each other, inside the image, and in proportion.
func TestChart_Draw_BarsDoNotOverlap(t *testing.T) {
	image := charts[0].draw(canned())
	var bars []element
	var whole element
	for _, e := range elements(t, image) {
		if e.name == "rect" && whole.w == 0 {
			whole = e
		} else if e.name == "rect" {
			bars = append(bars, e)
		}
	}
	if len(bars) != 5 { // lunar and tgt of one cell, lunar, tgt and istgt of the other
		t.Fatalf("%d bars:\n%s", len(bars), image)
	}
	for i, b := range bars {
		if b.x+b.w > whole.w-valueWidth || b.y+b.h > whole.h {
			t.Errorf("bar %d leaves the image: %+v in %+v", i, b, whole)
		}
		if i > 0 && b.y < bars[i-1].y+bars[i-1].h {
			t.Errorf("bars %d and %d overlap", i-1, i)
		}
	}
	if ratio := bars[2].w / bars[3].w; ratio < 10.5 || ratio > 11.5 { // 550 000 to 50 000
		t.Errorf("550 000 is drawn %v times as long as 50 000", ratio)
	}
}

func TestPlots_OnlyThoseWithBars(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "docs", "bench")
	if err := canned().Plots(dir); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 4 {
		t.Errorf("%v, %v", files, err)
	}
	for _, f := range files {
		image, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil || !strings.Contains(string(image), "prefers-color-scheme: dark") {
			t.Errorf("%s: %v", f.Name(), err)
		}
		elements(t, image)
	}
}
