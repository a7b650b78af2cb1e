package conform

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRules_AreWhole(t *testing.T) {
	rules, err := Rules()
	if err != nil {
		t.Fatal(err)
	}
	areas := map[string]int{}
	for _, r := range rules {
		areas[r.Area]++
	}
	// The register is as long as the catalogue it was made from.
	for area, n := range map[string]int{"login": 63, "negotiation": 47, "security-chap": 31, "discovery": 19, "task-management": 26, "rfc7143": 29} {
		if areas[area] != n {
			t.Errorf("%s: %d rules, want %d", area, areas[area], n)
		}
	}
	traps, err := Traps()
	if err != nil || len(traps) != 42 {
		t.Fatalf("%d traps, %v", len(traps), err)
	}
}

func TestPending_NamesWhatThereIs(t *testing.T) {
	ids, err := known()
	if err != nil {
		t.Fatal(err)
	}
	rules, err := Rules()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rules {
		ids["["+r.Area+"]"] = true
	}
	for id := range pendings() {
		if !ids[id] {
			t.Errorf("pending.txt: %q is in no register", id)
		}
	}
}

func TestCovers_LeavesOnlyWhatPassed(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(Env, dir)
	t.Run("passes", func(t *testing.T) { Covers(t, "R-10-1", "R-10-2") })
	t.Run("skips", func(t *testing.T) {
		Covers(t, "R-10-3")
		t.Skip("what is skipped proves nothing")
	})
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	b, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	if got := string(b); !strings.Contains(got, "R-10-1\t") || !strings.Contains(got, "R-10-2\t") || strings.Contains(got, "R-10-3") {
		t.Fatalf("left %q", got)
	}
}
