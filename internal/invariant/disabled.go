//go:build !invariants

package invariant

// Enabled says whether checks are compiled in.
const Enabled = false

// Check does nothing without the build tag "invariants".
func Check(ok bool, msg string) {}
