package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"lunar/mgmt/api"

	"github.com/spf13/cobra"
)

// askWait is how long a command waits for the daemon; a reload waits for commands to end.
const askWait = 2 * time.Minute

// addVerbs adds a command for each verb of the admin socket that has words.
func addVerbs(root *cobra.Command) {
	for i := range api.Verbs {
		v := &api.Verbs[i]
		if v.Words == "" {
			continue
		}
		parent, words := root, strings.Fields(v.Words)
		for _, w := range words[:len(words)-1] {
			parent = group(parent, w)
		}
		parent.AddCommand(verbCommand(v, words[len(words)-1]))
	}
}

// group finds the command of a first word, or adds it.
func group(parent *cobra.Command, word string) *cobra.Command {
	for _, c := range parent.Commands() {
		if c.Name() == word {
			return c
		}
	}
	c := &cobra.Command{Use: word, Short: api.Groups[word], Args: cobra.NoArgs}
	parent.AddCommand(c)
	return c
}

func verbCommand(v *api.Verb, word string) *cobra.Command {
	var socket, form string
	n := 0
	if v.Argument != "" {
		n, word = 1, word+" "+v.Argument
	}
	c := &cobra.Command{
		Use: word, Short: v.Help, Args: cobra.ExactArgs(n),
		Long: v.Help + `.

It asks a running daemon at its admin socket: --admin, else $LUNAR_ADMIN, else the
first that there is of
  ` + strings.Join(usualSockets(), "\n  ") + `
Only root and the user of the daemon may ask.`,
		RunE: func(c *cobra.Command, args []string) error {
			if form != "table" && form != "json" {
				return fmt.Errorf("--output %q: use table or json", form)
			}
			return ask(c, v, socketOf(socket), form, strings.Join(args, ""))
		},
	}
	c.Flags().StringVar(&socket, "admin", "", "`PATH` of the admin socket")
	c.Flags().StringVarP(&form, "output", "o", "table", "`FORM` of the answer: table or json")
	return c
}

// ask has the daemon answer, and shows it.
func ask(c *cobra.Command, v *api.Verb, socket, form, argument string) error {
	ctx, cancel := context.WithTimeout(c.Context(), askWait)
	defer cancel()
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	reply, err := api.Ask(ctx, socket, v, argument)
	if err != nil {
		return err
	}
	out := c.OutOrStdout()
	if form == "json" {
		_, err := out.Write(reply)
		return err
	}
	t, err := v.Table(reply)
	if err != nil {
		return errors.Join(fmt.Errorf("the answer of the daemon at %s is not understood; its version may be another", socket), err)
	}
	return t.Write(out)
}

// usualSockets are where daemons have their sockets: that of `make run`, that in the
// state directory, and that of a system service.
func usualSockets() []string {
	return []string{filepath.Join(".lunar", "admin.sock"), filepath.Join(defaultState(), "admin.sock"), "/run/lunar/admin.sock"}
}

// socketOf is the socket to ask. One that is found by itself belongs to this user or to
// root: what somebody else left in a directory is not believed.
func socketOf(given string) string {
	if given == "" {
		given = os.Getenv("LUNAR_ADMIN")
	}
	if given != "" {
		return given
	}
	usual := usualSockets()
	for _, path := range usual {
		info, err := os.Lstat(path)
		if err != nil || info.Mode().Type() != os.ModeSocket {
			continue
		}
		if s, ok := info.Sys().(*syscall.Stat_t); ok && (s.Uid == 0 || int(s.Uid) == os.Geteuid()) {
			return path
		}
	}
	return usual[1]
}
