package suite

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"lunar/bench/peers"
	"lunar/initiator"
)

// peerWait bounds one run of a peer's script; the first may build a program.
const peerWait = 3 * time.Minute

// peerServer starts another target by its script.
func (r *run) peerServer(ctx context.Context, name string) (*server, error) {
	text, err := peers.Script(name)
	if err != nil {
		return nil, err
	}
	env, err := r.peerEnv(name)
	if err != nil {
		return nil, err
	}
	stop := func() {
		if _, err := script(context.WithoutCancel(ctx), text, "stop", env); err != nil {
			r.say("stop %s: %v", name, err)
		}
	}
	out, err := script(ctx, text, "start", env)
	if err != nil {
		stop() // it may have come halfway
		return nil, err
	}
	s := &server{perDigest: name == "tgt", stop: stop}
	address, pid, _ := strings.Cut(strings.TrimSpace(out), " ")
	if s.url, err = initiator.ParseURL(address); err == nil {
		s.pid, err = strconv.Atoi(pid)
	}
	if err != nil {
		stop()
		return nil, fmt.Errorf("suite: the script of %s said %q: %w", name, out, err)
	}
	return s, nil
}

// peerEnv tells a script where its peer is to run: on ports that are free now.
func (r *run) peerEnv(name string) ([]string, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	control, err := freePort()
	if err != nil {
		return nil, err
	}
	if name == "tgt" {
		control = port % 30000 // no port but the number of a socket, a short one
	}
	prefix := strings.ToUpper(name) + "_"
	return append(os.Environ(),
		prefix+"PORT="+strconv.Itoa(port), prefix+"CONTROL="+strconv.Itoa(control),
		prefix+"CORE="+strconv.Itoa(r.cfg.TargetCPU), prefix+"MIB="+strconv.Itoa(ramBytes>>20),
		prefix+"DIR="+filepath.Join(r.shm, name), prefix+"FILE="+r.files[name],
	), nil
}

// script runs a script, in a process group of its own.
func script(ctx context.Context, text, verb string, env []string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, peerWait)
	defer cancel()
	cmd := bounded(ctx, "sh", "-s", verb)
	cmd.Stdin, cmd.Env = strings.NewReader(text), env
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, lastLine(stderr.String()))
	}
	return string(out), nil
}

// lastLine is what a program that failed said last.
func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}

// freePort is a TCP port that nobody listens on now.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("suite: find a free port: %w", err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port, nil
}
