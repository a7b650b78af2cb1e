package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lunar/internal/conform"
)

func TestCount_MissesWhatIsNotProved(t *testing.T) {
	rules, err := conform.Rules()
	if err != nil {
		t.Fatal(err)
	}
	proved := map[string]bool{}
	for i := range rules {
		proved[rules[i].ID] = true
	}
	for _, n := range []string{"R-10-1", "R-10-2"} {
		delete(proved, n)
	}
	c, err := count(proved, "| D-99 | [R-10-2] is departed from, [R-10-10] is none |")
	if err != nil {
		t.Fatal(err)
	}
	if c.must != 1 || !strings.Contains(strings.Join(c.missing, "\n"), "R-10-1 ") || c.cells["pdu"][conform.Must].departed != 1 {
		t.Fatalf("%d missing: %q", c.must, c.missing)
	}
}

func TestReplace_KeepsTheRest(t *testing.T) {
	name := filepath.Join(t.TempDir(), "README.md")
	if err := os.WriteFile(name, []byte("above\n"+begin+"old\n"+end+"below\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := replace(name, "new\n"); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(name)
	if want := "above\n" + begin + "new\n" + end + "below\n"; err != nil || string(b) != want {
		t.Fatalf("%q, %v", b, err)
	}
}
