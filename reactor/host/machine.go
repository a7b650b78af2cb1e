package host

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// CPUs are the processors the calling thread may run on, ascending; nil when the
// kernel does not say. Asked before any thread is pinned, they are the process's.
func CPUs() []int {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil
	}
	cpus := make([]int, 0, set.Count())
	for cpu := 0; len(cpus) < set.Count(); cpu++ {
		if set.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	return cpus
}

// PinThread binds the calling thread to cpu. The caller has locked its goroutine
// to the thread and never unlocks it, so that the thread ends with the
// goroutine and no other goroutine inherits the binding.
func PinThread(cpu int) error {
	var set unix.CPUSet
	set.Set(cpu)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("host: pin thread to processor %d: %w", cpu, err)
	}
	return nil
}

// KeepOff keeps every thread the process has, and so those that these start, off the
// given processors; threads that are pinned afterwards are not held by it. When no
// other processor is allowed, everything stays as it is.
func KeepOff(cpus []int) error {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return fmt.Errorf("host: processors of this process: %w", err)
	}
	for _, cpu := range cpus {
		set.Clear(cpu)
	}
	if set.Count() == 0 {
		return nil
	}
	// A thread made by one not moved yet may be missing from the list, and keeps what
	// it got from its maker. When a pass finds nothing to move, every thread there was
	// at its start had been moved, and so makes only moved ones.
	for range maxPasses {
		moved, err := moveThreads(&set)
		if err != nil {
			return fmt.Errorf("host: keep threads off processors %v: %w", cpus, err)
		}
		if !moved {
			return nil
		}
	}
	return fmt.Errorf("host: keep threads off processors %v: new threads keep appearing", cpus)
}

// maxPasses bounds [KeepOff]; two are usual.
const maxPasses = 100

// moveThreads lets every thread of this process run on the processors of set alone,
// and reports whether one could run elsewhere before.
func moveThreads(set *unix.CPUSet) (moved bool, err error) {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return false, err
	}
	for _, t := range threads {
		id, err := strconv.Atoi(t.Name())
		if err != nil {
			continue
		}
		var now unix.CPUSet
		err = unix.SchedGetaffinity(id, &now)
		if err == nil && now != *set {
			moved = true
			err = unix.SchedSetaffinity(id, set)
		}
		if err != nil && !errors.Is(err, unix.ESRCH) { // it may have ended
			return moved, fmt.Errorf("thread %d: %w", id, err)
		}
	}
	return moved, nil
}

// RaiseFDLimit raises the number of descriptors this process may open to what
// it is allowed, and returns that.
func RaiseFDLimit() (uint64, error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("host: read the descriptor limit: %w", err)
	}
	if limit.Cur < limit.Max {
		limit.Cur = limit.Max
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			return 0, fmt.Errorf("host: raise the descriptor limit to %d: %w", limit.Max, err)
		}
	}
	return limit.Cur, nil
}
