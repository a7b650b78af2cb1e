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
	// Threads made later inherit the mask from these.
	threads, err := filepath.Glob("/proc/self/task/*")
	if err != nil {
		return fmt.Errorf("bench: list threads: %w", err)
	}
	for _, t := range threads {
		id, err := strconv.Atoi(filepath.Base(t))
		if err != nil {
			continue
		}
		if err := unix.SchedSetaffinity(id, &set); err != nil {
			return fmt.Errorf("bench: pin to processor %d, give one this machine allows: %w", cpu, err)
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

// processCPU is the processor time of all threads of another process, 0 for pid 0.
// Threads that end take theirs with them.
func processCPU(pid int) (time.Duration, error) {
	if pid == 0 {
		return 0, nil
	}
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(files) == 0 {
		return 0, fmt.Errorf("bench: target process %d is not there", pid)
	}
	var sum time.Duration
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // the thread ended
		}
		first, _, _ := strings.Cut(string(b), " ")
		n, err := strconv.ParseInt(first, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("bench: %s: %w", f, err)
		}
		sum += time.Duration(n)
	}
	return sum, nil
}
