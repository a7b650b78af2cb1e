// Command lunar is an iSCSI target.
//
// Each file here is a thin group of verbs: it parses flags, calls one function,
// and sets the exit code.
package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

func main() {
	if err := rootCommand().Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "lunar:", err)
		os.Exit(1)
	}
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "lunar",
		Short:         "An iSCSI target for Linux",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.AddCommand(serveCommand(), configCommand(), benchCommand())
	addVerbs(root)
	return root
}
