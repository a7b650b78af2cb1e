package main

import (
	"fmt"

	"lunar/mgmt/config"
	"lunar/reactor/host"

	"github.com/spf13/cobra"
)

// configCommand is about configuration files.
func configCommand() *cobra.Command {
	c := &cobra.Command{Use: "config", Short: "Check configuration files, show an example, reload"}
	c.AddCommand(&cobra.Command{
		Use:   "validate FILE",
		Short: "Say what is wrong with a file, by line and column",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			f, err := config.Load(args[0], host.CPUs())
			if err != nil {
				return err
			}
			for _, w := range f.Engine.Warnings() {
				fmt.Println("warning:", w)
			}
			fmt.Printf("%s: valid: %d targets, %d units, %d portal groups\n",
				args[0], len(f.Engine.Targets), len(f.Engine.Units), len(f.Engine.Groups))
			return nil
		},
	}, &cobra.Command{
		Use:   "example",
		Short: "Print a commented file with every key",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			fmt.Print(string(config.Example))
			return nil
		},
	})
	return c
}
