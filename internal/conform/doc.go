// Package conform is the register of what the standards ask of a target: every
// rule has an ID, a section, a level and one line; tests say which rules they
// prove (Covers), and the report counts them.
//
// rules.txt is the register, one rule a line under its area; traps.txt are the
// spots where targets fail, by number. pending.txt names what a later step of the
// project builds, and why. A rule that is departed from stands in
// docs/deviations.md with its ID.
//
// Only tests import this package. `make conform` runs them with LUNAR_CONFORM set
// to a directory, where each test that passed leaves what it proved.
package conform
