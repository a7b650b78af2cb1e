package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"lunar/bench"
	"lunar/initiator"
	"lunar/reactor"
)

// benchFlags are the flags of bench and bench compare.
type benchFlags struct {
	workload, blockSize, size, output string
	poll, immediate, initialR2T       string
	maxBurst, firstBurst              string
	cpu, rounds                       int
	peers                             []string
	o                                 bench.Options
	floor                             bench.FloorConfig
}

// benchCommand is the verb bench: load on one unit, measured and perhaps verified.
func benchCommand() *cobra.Command {
	f := &benchFlags{}
	cmd := &cobra.Command{
		Use:   "bench iscsi://HOST[:PORT]/TARGET[/LUN]",
		Short: "Put load on a logical unit, measure it and check what it keeps",
		Long: `Put load on a logical unit and report throughput, latency and processor time.

The generator runs on one thread. With --poll spin it is quickest and takes a
processor for itself, which --cpu should keep apart from the target's; how much of
that time it worked is in the report, and a figure that it set itself is marked.

Writing workloads and --verify overwrite the unit.`,
		Example: `  lunar bench iscsi://127.0.0.1/iqn.2026-01.example:disk/0 --rw mix=70 --qd 64
  lunar bench iscsi://127.0.0.1/iqn.2026-01.example:disk/0 --poll spin --cpu 1
  lunar bench iscsi://127.0.0.1/iqn.2026-01.example:disk/0 --rate 50000
  lunar bench iscsi://127.0.0.1/iqn.2026-01.example:disk/0 --verify --rw mix=50 --size 256m`,
		Args:          cobra.ExactArgs(1),
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.resolve(args[0]); err != nil {
				return err
			}
			report, err := bench.Run(cmd.Context(), f.o)
			if report == nil {
				return err
			}
			return firstError(f.write(cmd, report), err)
		},
	}
	f.register(cmd)
	cmd.Flags().BoolVar(&f.o.Verify, "verify", false, "write blocks that say what they are and check every read")
	cmd.AddCommand(compareCommand(), floorCommand(), floorServeCommand(), suiteCommand(), allocServeCommand())
	return cmd
}

// compareCommand is the verb bench compare.
func compareCommand() *cobra.Command {
	f := &benchFlags{}
	cmd := &cobra.Command{
		Use:   "compare iscsi://HOST[:PORT]/TARGET[/LUN]",
		Short: "Run the same load against this target and its peers in turn",
		Long: `Run the same load against a target and its peers in turn, round by round, and
report medians and their ratio to the target's.

The peer tgt is Debian's tgtd on a RAM-backed unit, pinned to processor 0 unless
TGT_CORE says otherwise; pin the target to the same and the load, by --cpu, to
another. The peer floor is the bare server of lunar bench floor, the limit of the
machine.`,
		Args:          cobra.ExactArgs(1),
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.resolve(args[0]); err != nil {
				return err
			}
			return f.compare(cmd)
		},
	}
	f.register(cmd)
	cmd.Flags().StringSliceVar(&f.peers, "peers", []string{"tgt"}, "peers to compare with: tgt, floor")
	f.registerFloor(cmd, "floor-poll", "floor-ring", "the peer floor")
	cmd.Flags().IntVar(&f.rounds, "rounds", 5, "how often each target has its turn")
	return cmd
}

func (f *benchFlags) register(cmd *cobra.Command) {
	f.registerLoad(cmd)
	fl := cmd.Flags()
	fl.BoolVar(&f.o.HeaderDigest, "header-digest", false, "offer CRC32C for headers")
	fl.BoolVar(&f.o.DataDigest, "data-digest", false, "offer CRC32C for data")
	fl.StringVar(&f.immediate, "immediate-data", "yes", "offer data with the command: yes or no")
	fl.StringVar(&f.initialR2T, "initial-r2t", "no", "ask the target to solicit all data behind the command: yes or no")
	fl.StringVar(&f.maxBurst, "max-burst", "", "most bytes of one solicited burst to offer")
	fl.StringVar(&f.firstBurst, "first-burst", "", "most bytes of unsolicited data to offer")
	fl.IntVar(&f.o.Connections, "connections", 1, "connections of each session")
	fl.IntVar(&f.o.RecoveryLevel, "erl", 0, "error recovery level to ask for: 0, 1 or 2")
	fl.IntVar(&f.o.TargetPID, "target-pid", 0, "process of the target, to measure its processor time, switches and memory")
}

// registerLoad adds the flags that say what the load is, whatever it is put on.
func (f *benchFlags) registerLoad(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.workload, "rw", "randread", "randread, randwrite, read, write or mix=PERCENT of reads")
	fl.StringVar(&f.blockSize, "bs", "4k", "bytes of one operation")
	fl.IntVar(&f.o.Depth, "qd", 32, "operations in progress in each session")
	fl.IntVar(&f.o.Sessions, "sessions", 1, "sessions")
	fl.DurationVar(&f.o.Time, "time", 5*time.Second, "how long to measure")
	fl.DurationVar(&f.o.Warmup, "warmup", 500*time.Millisecond, "how long to run before measuring")
	fl.StringVar(&f.size, "size", "", "use only this many bytes")
	fl.Float64Var(&f.o.Rate, "rate", 0, "operations that become due per second over all sessions, whose latency counts from then; 0 for as many as --qd allows")
	fl.StringVar(&f.poll, "poll", "sleep", "how the generator waits: sleep, spin or auto")
	fl.StringVar(&f.o.Ring, "ring", "auto", "what carries the generator's I/O: auto, uring or epoll")
	fl.IntVar(&f.cpu, "cpu", -1, "keep the generator on this processor")
	fl.Uint64Var(&f.o.Seed, "seed", 1, "makes offsets and contents repeatable")
	fl.StringVarP(&f.output, "output", "o", "table", "table or json")
}

// resolve turns the address and flags into Options and pins the process.
func (f *benchFlags) resolve(address string) (err error) {
	if f.o.URL, err = initiator.ParseURL(address); err != nil {
		return err
	}
	if err := f.resolveOffers(); err != nil {
		return err
	}
	return f.resolveLoad()
}

// resolveOffers reads the flags of what login offers.
func (f *benchFlags) resolveOffers() (err error) {
	if f.o.ImmediateData, err = yesOrNo("immediate-data", f.immediate); err != nil {
		return err
	}
	if f.o.InitialR2T, err = yesOrNo("initial-r2t", f.initialR2T); err != nil {
		return err
	}
	if f.o.MaxBurst, err = burst(f.maxBurst); err != nil {
		return err
	}
	f.o.FirstBurst, err = burst(f.firstBurst)
	return err
}

func yesOrNo(flag, word string) (*bool, error) {
	if word != "yes" && word != "no" {
		return nil, fmt.Errorf("--%s %q is not yes or no", flag, word)
	}
	yes := word == "yes"
	return &yes, nil
}

// burst reads a length; an empty one is 0.
func burst(size string) (uint32, error) {
	if size == "" {
		return 0, nil
	}
	n, err := bench.ParseBytes(size)
	return uint32(min(n, 1<<30)), err // login says what is too much
}

func (f *benchFlags) resolveLoad() (err error) {
	if f.o.Poll, err = reactor.ParsePollMode(f.poll); err != nil {
		return err
	}
	if f.o.Mix, err = bench.ParseMix(f.workload); err != nil {
		return err
	}
	n, err := bench.ParseBytes(f.blockSize)
	if err != nil {
		return err
	}
	f.o.BlockBytes = int(min(n, 1<<30)) // Run says what is too much
	if f.size != "" {
		if f.o.SizeBytes, err = bench.ParseBytes(f.size); err != nil {
			return err
		}
	}
	if f.output != "table" && f.output != "json" {
		return fmt.Errorf("output %q is not table or json", f.output)
	}
	if isTerminal(os.Stderr) {
		f.o.Progress = func(t bench.Tick) {
			fmt.Fprintf(os.Stderr, "%4.0f s  %9.0f IOPS  %8.1f MiB/s\n", t.Elapsed.Seconds(), t.IOPS, t.MiBps)
		}
	}
	if f.cpu >= 0 {
		return bench.Pin(f.cpu)
	}
	return nil
}

func (f *benchFlags) compare(cmd *cobra.Command) error {
	all := []bench.Contestant{{Name: "lunar", URL: f.o.URL, PID: f.o.TargetPID}}
	// So that peers are ended when this is interrupted.
	ctx, done := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer done()
	f.floor.Bytes = f.o.SizeBytes
	for _, name := range f.peers {
		c, stop, err := bench.StartPeer(ctx, name, f.floor)
		if err != nil {
			return err
		}
		defer stop()
		all = append(all, c)
	}
	c, err := bench.Compare(ctx, f.o, f.rounds, all)
	if err != nil {
		return err
	}
	if f.output == "json" {
		return c.JSON(cmd.OutOrStdout())
	}
	return c.Table(cmd.OutOrStdout())
}

func (f *benchFlags) write(cmd *cobra.Command, r *bench.Report) error {
	if f.output == "json" {
		return r.JSON(cmd.OutOrStdout())
	}
	return r.Table(cmd.OutOrStdout())
}

// firstError is the first of errs that is one.
func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// isTerminal says whether somebody is watching f.
func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}
