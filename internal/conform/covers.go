package conform

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// Env names the directory in which tests that passed leave what they proved.
const Env = "LUNAR_CONFORM"

// known are the IDs and trap numbers that may be claimed.
var known = sync.OnceValues(func() (map[string]bool, error) {
	rules, err := Rules()
	if err != nil {
		return nil, err
	}
	traps, err := Traps()
	if err != nil {
		return nil, err
	}
	ids := map[string]bool{}
	for _, r := range rules {
		ids[r.ID] = true
	}
	for _, t := range traps {
		ids[fmt.Sprintf("trap %d", t.Number)] = true
	}
	return ids, nil
})

// Covers says which rules the test proves. They count when it passed. A rule that
// is not in the register fails it.
func Covers(t testing.TB, ids ...string) {
	t.Helper()
	all, err := known()
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if !all[id] {
			t.Fatalf("conform: %q is not in the register; correct the ID or add the rule to rules.txt", id)
		}
	}
	dir := os.Getenv(Env)
	if dir == "" {
		return
	}
	t.Cleanup(func() {
		if t.Failed() || t.Skipped() {
			return
		}
		if err := leave(dir, t.Name(), ids); err != nil {
			t.Errorf("conform: %v", err)
		}
	})
}

// Trap says that the test is that of a trap, by its number.
func Trap(t testing.TB, number int) {
	t.Helper()
	Covers(t, fmt.Sprintf("trap %d", number))
}

var leaving sync.Mutex

// leave appends what a test proved to the file of this process.
func leave(dir, test string, ids []string) (err error) {
	leaving.Lock()
	defer leaving.Unlock()
	name := filepath.Join(dir, fmt.Sprintf("%s-%d", filepath.Base(os.Args[0]), os.Getpid()))
	f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if _, err = fmt.Fprintf(f, "%s\t%s\n", id, test); err != nil {
			break
		}
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}
