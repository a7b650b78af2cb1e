package invariant

import "testing"

// panics reports whether a failed check stops the program.
func panics(ok bool) (stopped bool) {
	defer func() { stopped = recover() != nil }()
	Check(ok, "as the test asked")
	return false
}

func TestCheck_StopsOnlyWhenCompiledIn(t *testing.T) {
	if panics(true) {
		t.Error("a check that holds stopped the program")
	}
	if got := panics(false); got != Enabled {
		t.Errorf("a failed check stopped the program: %v, want %v", got, Enabled)
	}
}
