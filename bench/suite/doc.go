// Package suite measures Lunar against other targets and against the limits of the
// machine, and writes what it found as BENCHMARKS.md.
//
// What is measured is data: cells.go is the table of loads and who runs them,
// contestants.go says what each contestant is, probes.go lists what no load
// measures (idle time, memory, logins), goals.go what is expected of the numbers.
// Run starts a process for each contestant, lets them take turns round by round,
// evaluates the goals and writes the page, its plots and the raw numbers. Verify
// runs every kind of cell against Lunar alone and checks its data instead.
//
// Owner: the goroutine of Run or Verify owns everything; every process it started has ended when
// it returns, and its temporary files are gone. A newcomer reads cell.go, then
// run.go, then servers.go.
package suite
