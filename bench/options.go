package bench

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"lunar/initiator"
	"lunar/initiator/drive"
	"lunar/reactor"
)

// Mix is what a workload does.
type Mix struct {
	// ReadPercent of the operations are reads.
	ReadPercent int
	// Random places them anywhere; otherwise they follow each other.
	Random bool
}

// ParseMix reads randread, randwrite, read, write or mix=PERCENT, the share of
// reads of a random load.
func ParseMix(s string) (Mix, error) {
	switch s {
	case "randread":
		return Mix{ReadPercent: 100, Random: true}, nil
	case "randwrite":
		return Mix{Random: true}, nil
	case "read":
		return Mix{ReadPercent: 100}, nil
	case "write":
		return Mix{}, nil
	}
	if v, ok := strings.CutPrefix(s, "mix="); ok {
		if n, err := strconv.Atoi(v); err == nil && n >= 0 && n <= 100 {
			return Mix{ReadPercent: n, Random: true}, nil
		}
	}
	return Mix{}, fmt.Errorf("bench: workload %q is not randread, randwrite, read, write or mix=0..100", s)
}

// String is the form ParseMix reads.
func (m Mix) String() string {
	switch {
	case !m.Random && m.ReadPercent == 100:
		return "read"
	case !m.Random:
		return "write"
	case m.ReadPercent == 100:
		return "randread"
	case m.ReadPercent == 0:
		return "randwrite"
	}
	return "mix=" + strconv.Itoa(m.ReadPercent)
}

// ParseBytes reads a number of bytes with an optional k, m or g for powers of 1024.
func ParseBytes(s string) (int64, error) {
	shift := 0
	digits := s
	if n := len(s); n > 1 {
		if i := strings.IndexByte("kmg", s[n-1]|0x20); i >= 0 {
			shift, digits = 10*(i+1), s[:n-1]
		}
	}
	v, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || v <= 0 || v > 1<<62>>shift {
		return 0, fmt.Errorf("bench: %q is not a size such as 4096, 4k or 1g", s)
	}
	return v << shift, nil
}

// Limits of Options.
const (
	maxSessions = 64
	maxBlock    = 4 << 20
	maxDepth    = 1024
	maxConns    = 32
	maxLevel    = 2
	maxRate     = 1e9
)

// Options is one run.
type Options struct {
	// URL names the unit. Echo, when set, is where the bare echo listens: the load
	// goes there instead, and SizeBytes is no more than its memory.
	URL  initiator.URL
	Echo string
	// Mix is what to do; BlockBytes how much per operation; Depth how many
	// operations at a time in each of Sessions sessions; Time for how long.
	Mix        Mix
	BlockBytes int
	Depth      int
	Sessions   int
	// Connections is how many connections each session has, RecoveryLevel the
	// ErrorRecoveryLevel it asks for; 0 connections are one.
	Connections, RecoveryLevel int
	Time                       time.Duration
	// Warmup runs before measuring starts.
	Warmup time.Duration
	// HeaderDigest and DataDigest offer CRC32C.
	HeaderDigest, DataDigest bool
	// ImmediateData and InitialR2T are offered when set, MaxBurst and FirstBurst, in
	// bytes, when not 0; otherwise the initiator's defaults are.
	ImmediateData, InitialR2T *bool
	MaxBurst, FirstBurst      uint32
	// Rate is how many operations become due per second over all sessions; their
	// latency counts from then. 0 starts one whenever Depth allows.
	Rate float64
	// Poll is how the generator waits, Ring what carries its I/O: auto, uring or
	// epoll, empty for auto.
	Poll reactor.PollMode
	Ring string
	// Verify checks every byte read. It overwrites the first SizeBytes of the unit.
	Verify bool
	// SizeBytes bounds the part of the unit that is used; 0 is all of it, or
	// 64 MiB with Verify.
	SizeBytes int64
	// Seed makes offsets and contents repeatable.
	Seed uint64
	// TargetPID, when not 0, is the process whose CPU time is charged to the target.
	TargetPID int
	// Progress, when set, is called about every second with what was done in it.
	Progress func(Tick)
}

// Tick is one second of a run.
type Tick struct {
	Elapsed time.Duration
	IOPS    float64
	MiBps   float64
}

const verifyBytes = 64 << 20

// address names what the load goes to.
func (o *Options) address() string {
	if o.Echo != "" {
		return "echo://" + o.Echo
	}
	return o.URL.String()
}

// config is how a session is opened.
func (o *Options) config(loop *drive.Loop) initiator.Config {
	first := o.FirstBurst
	if first == 0 && o.MaxBurst > 0 {
		// The default must not exceed what was asked for (RFC 3720 §12.14).
		first = min(o.MaxBurst, defaultFirstBurst)
	}
	return initiator.Config{
		Portal: o.URL.Portal, Target: o.URL.Target, CHAP: o.URL.CHAP, QueueDepth: o.Depth + 1, Lenient: true,
		HeaderDigest: o.HeaderDigest, DataDigest: o.DataDigest,
		ImmediateData: o.ImmediateData, InitialR2T: o.InitialR2T,
		MaxBurst: o.MaxBurst, FirstBurst: first, Loop: loop,
		Connections: o.Connections, RecoveryLevel: uint8(o.RecoveryLevel),
	}
}

// defaultFirstBurst is what the initiator offers unless told.
const defaultFirstBurst = 65536

// echoBytes is the memory of the echo that the load may use.
func (o *Options) echoBytes() int64 {
	if o.SizeBytes > 0 {
		return o.SizeBytes
	}
	return floorBytes
}

func (o *Options) check() error {
	switch {
	case o.BlockBytes < 512 || o.BlockBytes > maxBlock || o.BlockBytes%512 != 0:
		return fmt.Errorf("bench: block size %d is not a multiple of 512 up to %d", o.BlockBytes, maxBlock)
	case o.Depth < 1 || o.Depth > maxDepth:
		return fmt.Errorf("bench: queue depth %d is not in 1..%d", o.Depth, maxDepth)
	case o.Sessions < 1 || o.Sessions > maxSessions:
		return fmt.Errorf("bench: %d sessions are not in 1..%d", o.Sessions, maxSessions)
	case o.Connections < 0 || o.Connections > maxConns:
		return fmt.Errorf("bench: %d connections are not in 1..%d", o.Connections, maxConns)
	case o.RecoveryLevel < 0 || o.RecoveryLevel > maxLevel:
		return fmt.Errorf("bench: recovery level %d is not in 0..%d", o.RecoveryLevel, maxLevel)
	case o.Echo != "" && (o.Connections > 1 || o.RecoveryLevel > 0):
		return fmt.Errorf("bench: the floor has no sessions; measure it without --connections and --erl")
	case o.Echo != "" && (o.HeaderDigest || o.DataDigest):
		return fmt.Errorf("bench: the floor has no digests; measure it without --header-digest and --data-digest")
	case o.Rate < 0 || math.IsNaN(o.Rate) || o.Rate > maxRate:
		return fmt.Errorf("bench: rate %v is not in 0..%d operations per second", o.Rate, int(maxRate))
	case o.Time <= 0:
		return fmt.Errorf("bench: time %v is not positive", o.Time)
	}
	return nil
}
