// Package bench drives iSCSI targets with load, measures them and checks that they
// keep data.
//
// A run is a value, Options: which unit, which mix of reads and writes, how deep,
// how long. Run opens the sessions, keeps every slot of their queues busy from the
// sessions' own reader goroutines, and returns a Report. With Verify each block
// carries the seed, its address and a generation, so that whatever a read returns
// can be judged by itself. Compare runs the same Options against several targets in
// turn, round by round, so that what the machine does meanwhile hits all alike.
//
// Owner: a job belongs to the reader goroutine of its session until its last
// request has ended; only its counter of operations is read by others. The package
// imports initiator and nothing of the target but the reactor, on which Floor lets a
// bare echo run: what the machine can do at most.
package bench
