package suite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"syscall"
	"time"

	"lunar/bench"
	"lunar/initiator"
)

// server is a process that contestants use.
type server struct {
	pid int
	// url names its RAM unit; the unit in a file has the next number. echo instead
	// is the address of a floor, and file what fio measures.
	url  initiator.URL
	echo string
	file string
	// size is how much of its device an echo reads; others say it themselves.
	size int64
	// perDigest says that sessions with digests need a target of their own.
	perDigest bool
	// allocate, when set, switches allocating on and off.
	allocate func(bool) error
	stop     func()
}

// servers says how each is started, in the order they are.
var servers = []struct {
	name  string
	start func(*run, context.Context) (*server, error)
}{
	{"lunar", func(r *run, ctx context.Context) (*server, error) {
		return r.ownServer(ctx, "lunar", "0,", "auto", "auto")
	}},
	{"lunar-epoll", func(r *run, ctx context.Context) (*server, error) {
		return r.ownServer(ctx, "lunar-epoll", "0,", "epoll", "auto")
	}},
	{"lunar-sleep", func(r *run, ctx context.Context) (*server, error) {
		return r.ownServer(ctx, "lunar-sleep", "0,", "auto", "sleep")
	}},
	{"lunar-two", func(r *run, ctx context.Context) (*server, error) {
		return r.ownServer(ctx, "lunar-two", "two", "auto", "sleep")
	}},
	{"lunar-churn", (*run).churnServer},
	{"floor", func(r *run, ctx context.Context) (*server, error) { return r.floorServer(ctx, "auto") }},
	{"floor-sleep", func(r *run, ctx context.Context) (*server, error) { return r.floorServer(ctx, "sleep") }},
	{"tgt", func(r *run, ctx context.Context) (*server, error) { return r.peerServer(ctx, "tgt") }},
	{"istgt", func(r *run, ctx context.Context) (*server, error) { return r.peerServer(ctx, "istgt") }},
	{"gotgt", func(r *run, ctx context.Context) (*server, error) { return r.peerServer(ctx, "gotgt") }},
	{"fio", func(r *run, _ context.Context) (*server, error) {
		return &server{file: r.files[fileOf("fio")], stop: func() {}}, nil
	}},
	{onDevice, (*run).deviceServer},
	{deviceLimit, (*run).deviceFio}, // behind the one whose device it is
	{deviceFloor, (*run).deviceEcho},
}

// startServers starts those that the cells and probes of the run need. One that
// does not start is remembered with its error: its rows say so.
func (r *run) startServers(ctx context.Context) error {
	need := r.needed()
	for _, s := range servers {
		if !slices.Contains(need, s.name) {
			continue
		}
		r.say("starting %s", s.name)
		started, err := s.start(r, ctx)
		if ctx.Err() != nil {
			if started != nil {
				started.stop()
			}
			return context.Cause(ctx)
		}
		if err != nil {
			r.say("%s: %v", s.name, err)
			r.broken[s.name] = err
			continue
		}
		r.running[s.name] = started
	}
	return nil
}

// stopServers ends all processes, the last started first.
func (r *run) stopServers() {
	for _, s := range slices.Backward(servers) {
		if up := r.running[s.name]; up != nil {
			up.stop()
			delete(r.running, s.name)
		}
	}
}

// ownServer is an instance of this program's target.
func (r *run) ownServer(ctx context.Context, name, reactors, ring, poll string) (*server, error) {
	d := daemon{name: name, reactors: reactors, ring: ring, poll: poll, luns: []string{"ram:size=" + strconv.Itoa(ramBytes)}}
	if f := r.files[name]; f != "" {
		d.luns = append(d.luns, "file:path="+f+",direct=on")
	}
	s, err := r.serve(ctx, d)
	if err != nil {
		return nil, err
	}
	if err := r.fill(ctx, s); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// fill writes the whole RAM unit: reads of pages that were never written all show
// the kernel's one page of zeros, which is always in the cache.
func (r *run) fill(ctx context.Context, s *server) error {
	session, err := initiator.Dial(ctx, initiator.Config{Portal: s.url.Portal, Target: s.url.Target})
	if err != nil {
		return err
	}
	defer func() { _ = session.Close() }()
	disk, err := initiator.OpenDisk(ctx, session, s.url.LUN)
	if err != nil {
		return err
	}
	block := make([]byte, 1<<20)
	for i := range block {
		block[i] = byte(i*7 + i>>8)
	}
	for at := int64(0); at < ramBytes; at += int64(len(block)) {
		if _, err := disk.WriteAtContext(ctx, block, at); err != nil {
			return err
		}
	}
	return session.Logout(ctx)
}

func (r *run) floorServer(ctx context.Context, poll string) (*server, error) {
	c, stop, err := bench.StartFloor(ctx, bench.FloorConfig{Ring: "auto", Poll: poll, CPU: r.cfg.TargetCPU, Bytes: ramBytes})
	if err != nil {
		return nil, err
	}
	return &server{pid: c.PID, echo: c.Echo, stop: stop}, nil
}

// endWait is how long a process may take to end before it is killed.
const endWait = 5 * time.Second

// end asks a process to end and kills it when it does not.
func end(cmd *exec.Cmd) {
	_ = cmd.Process.Signal(syscall.SIGTERM) // one that has ended already is as good
	late := time.AfterFunc(endWait, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	_ = cmd.Wait() // it has no result
}

// onCPU is a command pinned to a processor, in a process group of its own: a ^C is
// for this program, which then ends the others in order.
func onCPU(cpus, name string, args ...string) *exec.Cmd {
	cmd := exec.Command("taskset", append([]string{"-c", cpus, name}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// bounded is a command in a process group of its own, which ends with ctx as a
// whole: programs such as go and fio start others.
func bounded(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second // one that escaped may hold the pipes
	return cmd
}

// self is the path of this program.
func self() (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("suite: find this program to start its target: %w", err)
	}
	return path, nil
}

// errNotStarted says that a server of the suite is not there.
var errNotStarted = errors.New("it was not started")

// up is a running server, or why there is none.
func (r *run) up(name string) (*server, error) {
	if s := r.running[name]; s != nil {
		return s, nil
	}
	if err := r.broken[name]; err != nil {
		return nil, fmt.Errorf("it did not start: %w", err)
	}
	return nil, errNotStarted
}
