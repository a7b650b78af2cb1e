package simulate

import (
	"flag"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	seeds    = flag.Int("seeds", 300, "how many seeds TestSeeds runs")
	from     = flag.Uint64("from", 1, "the first of them")
	failures = flag.Int("failures", 1, "after how many failures TestSeeds ends")
	seed     = flag.Uint64("seed", 0, "the only seed, with its conversation")
	save     = flag.String("save", "", "the name under testdata for the shortened conversation of a seed that fails")
)

func TestMain(m *testing.M) {
	flag.Parse()
	slog.SetDefault(slog.New(slog.DiscardHandler))
	os.Exit(m.Run())
}

// TestSeeds runs seeds on every processor, or one with its conversation.
func TestSeeds(t *testing.T) {
	if *seed != 0 {
		one(t, Draw(*seed))
		return
	}
	var next, failed, commands, sessions, steps atomic.Int64
	var wait sync.WaitGroup
	start := time.Now()
	for range runtime.GOMAXPROCS(0) {
		wait.Go(func() {
			m := &Memory{}
			for n := next.Add(1) - 1; n < int64(*seeds) && failed.Load() < int64(*failures); n = next.Add(1) - 1 {
				p := Draw(*from + uint64(n))
				r := Run(&p, m, false)
				commands.Add(int64(r.Commands))
				sessions.Add(int64(r.Sessions))
				steps.Add(int64(r.Steps))
				if r.Failure != nil {
					failed.Add(1)
					t.Errorf("seed %d: %v", p.Seed, r.Failure)
				}
			}
		})
	}
	wait.Wait()
	t.Logf("%d seeds in %s: %d commands answered in %d sessions, %d steps", *seeds, time.Since(start).Round(time.Millisecond), commands.Load(), sessions.Load(), steps.Load())
}

// one runs a plan, and when it fails shows it shortened, and saves it if asked.
func one(t *testing.T, p Plan) {
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, nil)))
	m := &Memory{}
	r := Run(&p, m, true)
	slog.SetDefault(slog.New(slog.DiscardHandler))
	t.Logf("the plan:\n%s\n%s", p.Text(), strings.Join(r.Conversation, "\n"))
	if r.Failure == nil {
		return
	}
	t.Error(r.Failure)
	small := Shrink(p, r.Failure.Check, m)
	r = Run(&small, m, true)
	text := small.Text() + "\n# " + strings.Join(r.Conversation, "\n# ") + "\n"
	t.Logf("shortened to %d of %d operations:\n%s", len(small.Ops), len(p.Ops), text)
	if *save == "" {
		return
	}
	text = "# " + r.Failure.Check + ": what this plan was saved for.\n" + text
	if err := os.WriteFile(filepath.Join("testdata", *save+".txt"), []byte(text), 0o644); err != nil {
		t.Error(err)
	}
}

// TestSaved runs the plans that failed once.
func TestSaved(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d plans, %v", len(files), err)
	}
	m := &Memory{}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		p, err := Parse(string(b))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if r := Run(&p, m, false); r.Failure != nil {
			t.Errorf("%s: %v", name, r.Failure)
		}
	}
}

// TestRun_SamePlan_SameRun shows that nothing but the seed decides, whatever memory was
// used for before, and that a plan says all in its text.
func TestRun_SamePlan_SameRun(t *testing.T) {
	used := &Memory{}
	for n := range uint64(100) {
		p := Draw(*from + n)
		q, err := Parse(p.Text())
		if err != nil {
			t.Fatal(err)
		}
		a, b := Run(&p, &Memory{}, false), Run(&q, used, true)
		if a.Digest != b.Digest || a.Steps != b.Steps || a.Commands != b.Commands {
			t.Errorf("seed %d: %d steps with digest %x, then %d with %x", p.Seed, a.Steps, a.Digest, b.Steps, b.Digest)
		}
	}
}
