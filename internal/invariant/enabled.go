//go:build invariants

package invariant

// Enabled says whether checks are compiled in.
const Enabled = true

// Check panics with msg unless ok holds.
func Check(ok bool, msg string) {
	if !ok {
		panic("invariant: " + msg)
	}
}
