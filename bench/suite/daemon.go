package suite

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"lunar/initiator"
)

// daemon is an instance of lunar serve.
type daemon struct {
	name, ring, poll string
	// reactors is "0," for one on the targets' processor, or "two" for one on that
	// and one on the generator's.
	reactors string
	// portal is where it listens, a free port unless named.
	portal string
	luns   []string
}

// command is the daemon as a process that was not started yet. Every thread of it
// is kept on the processors of its reactors.
func (r *run) command(d daemon) (*exec.Cmd, error) {
	program, err := self()
	if err != nil {
		return nil, err
	}
	cpus := strconv.Itoa(r.cfg.TargetCPU)
	list := cpus + ","
	if d.reactors == "two" {
		cpus += "," + strconv.Itoa(r.cfg.CPU)
		list = cpus
	}
	portal := d.portal
	if portal == "" {
		portal = "127.0.0.1:0"
	}
	args := []string{
		"serve", "--portal", portal, "--state", filepath.Join(r.dir, "state-"+d.name),
		"--reactors", list, "--ring", d.ring, "--poll", d.poll, "--log-level", "error",
	}
	for _, l := range d.luns {
		args = append(args, "--lun", l)
	}
	return onCPU(cpus, program, args...), nil
}

// serve starts a daemon and waits until it says that it is ready.
func (r *run) serve(ctx context.Context, d daemon) (*server, error) {
	cmd, err := r.command(d)
	if err != nil {
		return nil, err
	}
	return launch(ctx, d.name, cmd)
}

// launch starts a process that says where its target is, and waits until it does.
func launch(ctx context.Context, name string, cmd *exec.Cmd) (*server, error) {
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("suite: start %s: %w", name, err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("suite: start %s: %w", name, err)
	}
	url, err := awaitReady(ctx, out)
	if err != nil {
		end(cmd)
		return nil, fmt.Errorf("suite: %s did not start: %w: %s", name, err, lastLine(stderr.String()))
	}
	return &server{pid: cmd.Process.Pid, url: url, stop: func() { end(cmd) }}, nil
}

// readyWait is how long a server may take to start.
const readyWait = 20 * time.Second

// awaitReady reads the line in which a daemon names its portal and target, and
// then drops what else it says.
func awaitReady(ctx context.Context, out io.Reader) (initiator.URL, error) {
	type answer struct {
		line string
		err  error
	}
	lines := make(chan answer, 1)
	go func() {
		b := bufio.NewReader(out)
		line, err := b.ReadString('\n')
		lines <- answer{line, err}
		_, _ = io.Copy(io.Discard, b) // until the process ends
	}()
	select {
	case <-ctx.Done():
		return initiator.URL{}, context.Cause(ctx)
	case <-time.After(readyWait):
		return initiator.URL{}, os.ErrDeadlineExceeded
	case a := <-lines:
		if a.err != nil {
			return initiator.URL{}, fmt.Errorf("it said nothing: %w", a.err)
		}
		return parseReady(a.line)
	}
}

// parseReady reads "lunar: ready portal=P target=T …".
func parseReady(line string) (u initiator.URL, err error) {
	for _, word := range strings.Fields(line) {
		if v, ok := strings.CutPrefix(word, "portal="); ok {
			u.Portal = v
		}
		if v, ok := strings.CutPrefix(word, "target="); ok {
			u.Target = v
		}
	}
	if u.Portal == "" || u.Target == "" {
		return u, fmt.Errorf("it said %q, which names no portal and target", strings.TrimSpace(line))
	}
	return u, nil
}
