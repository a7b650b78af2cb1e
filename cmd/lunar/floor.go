package main

import (
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"lunar/bench"
)

// floorCommand is the verb bench floor: the load on a server that does nothing.
func floorCommand() *cobra.Command {
	f := &benchFlags{}
	cmd := &cobra.Command{
		Use:   "floor",
		Short: "Measure the machine's limit for a load",
		Long: `Put the load on a bare server that answers requests of the same sizes and does
nothing else, and report the same figures: a read is 48 bytes that are answered by
48 and a block, a write 48 and a block that are answered by 48. The server runs on
this program's own reactor in a process of its own. No target on this machine,
with this generator, can do better.`,
		Example:       `  lunar bench floor --rw randread --qd 32 --poll spin --cpu 1 --target-cpu 0`,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.resolveLoad(); err != nil {
				return err
			}
			// So that the server is seen to end before this process does.
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			report, err := bench.Floor(ctx, f.o, f.floor)
			if report == nil {
				return err
			}
			return firstError(f.write(cmd, report), err)
		},
	}
	f.registerLoad(cmd)
	f.registerFloor(cmd, "target-poll", "target-ring", "the server")
	return cmd
}

// registerFloor adds the flags of the echo; poll and ring name two of them, who is
// what they speak of.
func (f *benchFlags) registerFloor(cmd *cobra.Command, poll, ring, who string) {
	fl := cmd.Flags()
	fl.StringVar(&f.floor.Ring, ring, "auto", "what carries I/O of "+who+": auto, uring or epoll")
	fl.StringVar(&f.floor.Poll, poll, "auto", "how "+who+" waits: auto, spin or sleep")
	fl.IntVar(&f.floor.CPU, "target-cpu", 0, "keep "+who+" on this processor; -1 for any the generator may use")
}

// floorServeCommand is the other process of a floor.
func floorServeCommand() *cobra.Command {
	return serverOf(bench.FloorVerb, "Serve the echo of bench floor until standard input ends", bench.ServeFloor)
}

// serverOf is a verb that nobody types: this program starts itself with it and a
// configuration, to have a server in a process of its own.
func serverOf(verb, short string, serve func(cfg string, in io.Reader, out io.Writer) error) *cobra.Command {
	return &cobra.Command{
		Use:           verb + " CONFIG",
		Short:         short,
		Hidden:        true,
		Args:          cobra.ExactArgs(1),
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			// A signal for the whole group is for the generator, which then ends this.
			signal.Ignore(os.Interrupt)
			return serve(args[0], cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
}
