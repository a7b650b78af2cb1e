package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lunar/engine"
	"lunar/mgmt/api"
	"lunar/reactor/host"
)

// run runs the program in process and returns what it printed.
func run(args ...string) (string, error) {
	var out strings.Builder
	root := rootCommand()
	root.SetArgs(args)
	root.SetOut(&out)
	root.SetErr(&out)
	err := root.Execute()
	return out.String(), err
}

// still is a node on which nothing happens.
type still struct{}

func (still) Status(context.Context) (*engine.Status, error) {
	return &engine.Status{Node: engine.NodeStatus{Ring: "uring"}, Sessions: []engine.SessionStatus{{ID: 7, Initiator: "iqn.x:a"}}}, nil
}
func (still) Responding(context.Context) error          { return nil }
func (still) DropSession(context.Context, uint16) error { return nil }

// Every verb with words is a command that asks, in both forms, and takes its argument.
func TestVerbs_AreCommands(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := host.ListenLocal(path)
	if err != nil {
		t.Fatal(err)
	}
	s := api.Serve(l, &api.Service{Node: still{}, Reload: func() error { return nil }}, api.Owner)
	defer s.Close()
	t.Setenv("LUNAR_ADMIN", path)
	asked := 0
	for _, v := range api.Verbs {
		if v.Words == "" {
			continue
		}
		asked++
		words := strings.Fields(v.Words)
		if v.Argument != "" {
			if out, err := run(words...); err == nil {
				t.Errorf("%s without %s: %s", v.Words, v.Argument, out)
			}
			words = append(words, "7")
		}
		table, err := run(words...)
		if err != nil || table == "" || strings.HasPrefix(table, "{") {
			t.Errorf("%s: %v\n%s", v.Words, err, table)
		}
		json, err := run(append(words, "-o", "json")...)
		if err != nil || !strings.HasPrefix(json, "{") && !strings.HasPrefix(json, "[") && json != "null\n" {
			t.Errorf("%s -o json: %v\n%s", v.Words, err, json)
		}
		if _, err := run(append(words, "-o", "xml")...); err == nil || !strings.Contains(err.Error(), "table or json") {
			t.Errorf("%s -o xml: %v", v.Words, err)
		}
	}
	if asked < 7 {
		t.Errorf("only %d verbs are commands", asked)
	}
}

// The socket is the one that is given, then that of the environment, then one that is
// there; a file of that name is none.
func TestSocketOf(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	t.Setenv("HOME", dir)
	t.Setenv("XDG_STATE_HOME", dir)
	t.Setenv("LUNAR_ADMIN", "")
	usual := usualSockets()
	if got := socketOf(""); got != usual[1] {
		t.Errorf("without any: %s", got)
	}
	if err := os.Mkdir(".lunar", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(usual[0], nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := socketOf(""); got != usual[1] {
		t.Errorf("a file was taken for a socket: %s", got)
	}
	if err := os.Remove(usual[0]); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", usual[0])
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if got := socketOf(""); got != usual[0] {
		t.Errorf("that of make run: %s", got)
	}
	t.Setenv("LUNAR_ADMIN", "/env")
	if a, b := socketOf(""), socketOf("/flag"); a != "/env" || b != "/flag" {
		t.Errorf("%s %s", a, b)
	}
	if _, err := run("status", "--admin", filepath.Join(dir, "nobody")); err == nil || !strings.Contains(err.Error(), "no daemon answers at "+dir) {
		t.Error(err)
	}
}
