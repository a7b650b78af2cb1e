// Package bench drives iSCSI targets with load, measures them and checks that they
// keep data.
//
// A run is a value, Options: which unit, which mix of reads and writes, how deep,
// how long. Run opens the sessions on one loop of package drive, keeps every slot of
// their queues busy from the loop's goroutine, or with Rate starts operations when
// they are due, and returns a Report. With Verify each block carries the seed, its
// address and a generation, so that whatever a read returns can be judged by itself.
// Compare runs the same Options against several targets in turn, round by round, so
// that what the machine does meanwhile hits all alike.
//
// Owner: jobs and the histogram belong to the loop's goroutine until the last request
// has ended; others ask by Loop.Call. The package imports initiator and nothing of
// the target but the reactor, on which the generator itself and the bare echo of
// Floor run: what the machine can do at most.
package bench
