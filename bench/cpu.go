package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Pin keeps the process on one processor.
func Pin(cpu int) error {
	if cpu < 0 {
		return fmt.Errorf("bench: processor %d; give one from 0 on", cpu)
	}
	// The generator's thread keeps one share of the runtime to itself, asleep or not;
	// what little else there is takes the other.
	runtime.GOMAXPROCS(2)
	return pinThreads(cpu)
}

// pinThreads keeps every thread of the process on one processor.
func pinThreads(cpu int) error {
	var set unix.CPUSet
	set.Set(cpu)
	err := eachThread(func(id int) error { return unix.SchedSetaffinity(id, &set) })
	if err != nil {
		return fmt.Errorf("bench: pin to processor %d, give one this machine allows: %w", cpu, err)
	}
	return nil
}

// preferred is the nice value of a process that is to run when it can.
const preferred = -15

// Prefer has the kernel run this process before others on its processor, so that what
// they do there is not taken for a delay of the target. It is false, and nothing
// changes, when the process may not ask for that.
func Prefer() bool {
	return eachThread(func(id int) error { return unix.Setpriority(unix.PRIO_PROCESS, id, preferred) }) == nil
}

// eachThread does something to every thread; those that are made later inherit it.
func eachThread(do func(id int) error) error {
	threads, err := filepath.Glob("/proc/self/task/*")
	if err != nil {
		return fmt.Errorf("list threads: %w", err)
	}
	for _, t := range threads {
		id, err := strconv.Atoi(filepath.Base(t))
		if err != nil {
			continue
		}
		if err := do(id); err != nil {
			return err
		}
	}
	return nil
}

// ownCPU is the processor time this process has used.
func ownCPU() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// usage is what a process has used so far.
type usage struct {
	cpu time.Duration
	// switches counts its threads' changes of context, resident is its memory in bytes.
	switches, resident uint64
}

// processUsage is what all threads of another process have used, nothing for pid 0.
// Threads that end take theirs with them.
func processUsage(pid int) (u usage, err error) {
	if pid == 0 {
		return u, nil
	}
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	if err != nil || len(threads) == 0 {
		return u, fmt.Errorf("bench: target process %d is not there", pid)
	}
	for _, t := range threads {
		b, err := os.ReadFile(t + "/schedstat")
		if err != nil {
			continue // the thread ended
		}
		first, _, _ := strings.Cut(string(b), " ")
		n, err := strconv.ParseInt(first, 10, 64)
		if err != nil {
			return u, fmt.Errorf("bench: %s/schedstat: %w", t, err)
		}
		u.cpu += time.Duration(n)
		s, err := readStatus(t)
		if err != nil {
			continue // the thread ended
		}
		u.switches += s["voluntary_ctxt_switches"] + s["nonvoluntary_ctxt_switches"]
		u.resident = max(u.resident, s["VmRSS"]<<10) // kibibytes, and the same for each
	}
	return u, nil
}

// readStatus is the numbers of a thread's status, by name.
func readStatus(thread string) (map[string]uint64, error) {
	b, err := os.ReadFile(thread + "/status")
	if err != nil {
		return nil, fmt.Errorf("bench: status of a thread: %w", err)
	}
	numbers := map[string]uint64{}
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(line, ":")
		word, _, _ := strings.Cut(strings.TrimSpace(value), " ")
		if n, err := strconv.ParseUint(word, 10, 64); err == nil {
			numbers[name] = n
		}
	}
	return numbers, nil
}
