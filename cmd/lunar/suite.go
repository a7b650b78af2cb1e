package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"lunar/bench/suite"
)

// plotsDir is where the plots are, beside the page.
const plotsDir = "docs/bench"

// suiteFlags are the flags of bench suite.
type suiteFlags struct {
	only, out, results string
	verify             time.Duration
	cfg                suite.Config
}

// suiteCommand is the verb bench suite: everything, measured together.
func suiteCommand() *cobra.Command {
	f := &suiteFlags{}
	cmd := &cobra.Command{
		Use:   "suite",
		Short: "Measure everything against everybody and write BENCHMARKS.md",
		Long: `Start this target and its peers, let them take turns under every load of the suite,
and write medians, ratios and goals as a page with plots.

With --verify nothing is measured and nothing written: every kind of cell is run
against this target alone with blocks that say what they are, on both rings and on
two reactors, for that time in all. It ends with status 1 when a block that was read
is not what was written there.

With --only, the page goes to standard output unless --out says otherwise. Names
of cells look like ram/randread-4k-qd32/polling, those of probes like probe/idle.
Run it in the directory of the source: it runs the engine's own benchmarks too.`,
		Example: `  lunar bench suite --only '^ram/randread' --rounds 3
  lunar bench suite --verify 10m`,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	fl := cmd.Flags()
	fl.IntVar(&f.cfg.Rounds, "rounds", suite.DefaultRounds, "how often each target has its turn")
	fl.DurationVar(&f.cfg.Time, "time", suite.DefaultTime, "how long a turn is measured")
	fl.StringSliceVar(&f.cfg.Peers, "peers", []string{"tgt", "istgt", "gotgt", "floor"}, "whom to measure besides: tgt, istgt, gotgt, floor")
	fl.DurationVar(&f.verify, "verify", 0, "verify data for this long instead of measuring; file units have at most 256 MiB")
	fl.StringVar(&f.only, "only", "", "only the cells and probes whose names match this regular expression")
	fl.StringVar(&f.out, "out", "BENCHMARKS.md", "the page to write; plots go to "+plotsDir+" beside it")
	fl.StringVar(&f.results, "results", "", "write every round as JSON to this file")
	fl.StringVar(&f.cfg.Dir, "dir", os.TempDir(), "where the files of file units are made: a directory on the disk to measure")
	fl.Int64Var(&f.cfg.FileBytes, "file-bytes", 4<<30, "size of each file unit")
	fl.IntVar(&f.cfg.TargetCPU, "target-cpu", -1, "processor of the targets; -1 for the first that may be used")
	fl.IntVar(&f.cfg.CPU, "cpu", -1, "processor of the generator; -1 for the second that may be used")
	return cmd
}

func (f *suiteFlags) run(cmd *cobra.Command) (err error) {
	if f.only != "" {
		if f.cfg.Only, err = regexp.Compile(f.only); err != nil {
			return fmt.Errorf("--only: %w", err)
		}
	}
	f.cfg.Progress, f.cfg.Source = cmd.ErrOrStderr(), "."
	// So that all that was started is ended when this is interrupted.
	ctx, done := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer done()
	if cmd.Flags().Changed("verify") {
		return f.runVerify(ctx, cmd.OutOrStdout())
	}
	results, err := suite.Run(ctx, f.cfg)
	if err != nil {
		return err
	}
	if f.results != "" {
		if err := write(f.results, results.JSON); err != nil {
			return err
		}
	}
	if f.only != "" && !cmd.Flags().Changed("out") {
		return results.Page(cmd.OutOrStdout(), plotsDir)
	}
	if err := results.Plots(filepath.Join(filepath.Dir(f.out), plotsDir)); err != nil {
		return err
	}
	if err := results.Page(cmd.OutOrStdout(), plotsDir); err != nil {
		return err
	}
	return write(f.out, func(w io.Writer) error { return results.Page(w, plotsDir) })
}

// runVerify verifies data and tells what was found, also when it was interrupted.
func (f *suiteFlags) runVerify(ctx context.Context, out io.Writer) error {
	v, err := suite.Verify(ctx, f.cfg, f.verify)
	if v == nil {
		return err
	}
	return errors.Join(v.Table(out), v.Err(), err)
}

// write makes a file of what do writes.
func write(path string, do func(io.Writer) error) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return do(f)
}

// allocServeCommand is the process of the suite that allocates.
func allocServeCommand() *cobra.Command {
	return serverOf(suite.ChurnVerb, "Serve a target that allocates when told, until standard input ends", suite.ServeChurn)
}
