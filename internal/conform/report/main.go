// Command report counts, by area and level, which rules of the register the tests
// proved that ran with LUNAR_CONFORM set. It fails when a MUST that binds a target
// is neither proved nor pending nor a named deviation.
//
//	report DIR [--readme README.md]   DIR is that of LUNAR_CONFORM
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"lunar/internal/conform"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "conform:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 && (len(args) != 3 || args[1] != "--readme") {
		return fmt.Errorf("usage: report DIR [--readme FILE]")
	}
	proved, err := read(args[0])
	if err != nil {
		return err
	}
	deviations, err := os.ReadFile("docs/deviations.md")
	if err != nil {
		return err
	}
	c, err := count(proved, string(deviations))
	if err != nil {
		return err
	}
	table := c.table()
	fmt.Print(table)
	if len(args) == 3 {
		if err := replace(args[2], table); err != nil {
			return err
		}
	}
	for _, s := range c.missing {
		fmt.Fprintln(os.Stderr, s)
	}
	if c.must > 0 || c.traps > 0 {
		return fmt.Errorf("%d MUST rows and %d traps have no test that passed; write one, or name the departure in docs/deviations.md", c.must, c.traps)
	}
	return nil
}

// read collects the IDs that tests left in a directory.
func read(dir string) (map[string]bool, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("%s holds nothing; run the tests with %s=%s first (%v)", dir, conform.Env, dir, err)
	}
	proved := map[string]bool{}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(b)) {
			id, _, _ := strings.Cut(line, "\t")
			proved[id] = true
		}
	}
	return proved, nil
}

// Marks around the table in a document.
const (
	begin = "<!-- conform -->\n"
	end   = "<!-- /conform -->\n"
)

// replace puts the table between its marks in a document.
func replace(name, table string) error {
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(b), begin)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		return fmt.Errorf("%s has no place for the table; put %q and %q where it belongs", name, begin, end)
	}
	return os.WriteFile(name, []byte(before+begin+table+end+after), 0o644)
}
