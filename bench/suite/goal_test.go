package suite

import (
	"strings"
	"testing"
)

func TestJudge_CannedResults(t *testing.T) {
	verdicts := Judge(canned())
	if len(verdicts) != len(goals) {
		t.Fatalf("%d verdicts of %d goals", len(verdicts), len(goals))
	}
	find := func(text string) *Verdict {
		for i := range verdicts {
			if strings.Contains(verdicts[i].Goal.Text, text) {
				return &verdicts[i]
			}
		}
		t.Fatalf("no goal says %q", text)
		return nil
	}
	for text, want := range map[string]string{
		"4 KiB random read, depth 1, IOPS against tgt":        "short by 0.26×", // 31/16 of 2.2
		"4 KiB random read, depth 32, IOPS against tgt":       "short by 1×",    // 10, 15, 10
		"4 KiB random read, depth 32, IOPS against the floor": "short by 0.083×",
		"resident memory": "met",
		"idle daemon":     "short by 0.50 % of a core",
		"system calls":    "no figure: strace is not there",
		"first login":     "no figure: not run",
		"128 KiB read, depth 8, IOPS against tgt":        "no figure: not run",
		"p99.9 against p50, 4 KiB random read, depth 32": "short by 1×", // 4 by construction
	} {
		if got := find(text).Outcome(); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

func TestGoal_Difference_AndMissingRows(t *testing.T) {
	r := canned()
	g := Goal{Kind: AsDifference, Cell: "ram/randread-4k-qd1", Who: "tgt", Versus: "lunar", Metric: TargetCost}
	if v, err := g.measured(r); err != nil || v < 30 || v > 31 { // 1e6/16000 - 1e6/31000
		t.Errorf("%v, %v", v, err)
	}
	g.Who = "gotgt"
	if _, err := g.measured(r); err == nil {
		t.Error("a contestant that is not there was measured")
	}
	g.Cell = "ram/randread-4k-qd32"
	if _, err := g.measured(r); err == nil || !strings.Contains(err.Error(), "it hangs") {
		t.Errorf("a contestant that failed: %v", err)
	}
}
