package suite

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"time"

	"lunar/engine"
	"lunar/reactor"
)

// ChurnVerb is the hidden verb of bench by which a program serves a target and
// allocates besides; it must call ServeChurn with the argument that follows.
const ChurnVerb = "alloc-serve"

// churnConfig is what the suite tells the other process.
type churnConfig struct {
	CPU   int    `json:"cpu"`
	Bytes int64  `json:"bytes"`
	State string `json:"state"`
}

const (
	// churnRate is in bytes a second.
	churnRate = 100 << 20
	// churnLive is how many bytes are alive at a time.
	churnLive = 32 << 20
	churnNode = 1 << 10
	churnTick = time.Millisecond
)

// node has a pointer, so that collections have to look into it.
type node struct {
	next *node
	_    [churnNode - 8]byte
}

// churnServer starts the other process. It may use both processors, as a daemon
// that nobody confines: its reactor is on the targets'.
func (r *run) churnServer(ctx context.Context) (*server, error) {
	program, err := self()
	if err != nil {
		return nil, err
	}
	arg, err := json.Marshal(churnConfig{CPU: r.cfg.TargetCPU, Bytes: ramBytes, State: r.dir + "/state-churn"})
	if err != nil {
		return nil, fmt.Errorf("suite: configuration of the allocating target: %w", err)
	}
	cpus := strconv.Itoa(r.cfg.TargetCPU) + "," + strconv.Itoa(r.cfg.CPU)
	cmd := onCPU(cpus, program, "bench", ChurnVerb, string(arg))
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("suite: start the allocating target: %w", err)
	}
	s, err := launch(ctx, "the allocating target", cmd)
	if err != nil {
		return nil, err
	}
	s.allocate = func(on bool) error {
		_, err := fmt.Fprintln(in, strconv.FormatBool(on))
		return err
	}
	if err := r.fill(ctx, s); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// ServeChurn is that process: it runs a target with the settings of lunar serve,
// says on out where, and allocates or does not as the lines of in say, true or
// false, until in ends.
func ServeChurn(arg string, in io.Reader, out io.Writer) error {
	var cfg churnConfig
	if err := json.Unmarshal([]byte(arg), &cfg); err != nil {
		return fmt.Errorf("suite: configuration of the allocating target, which the suite writes itself: %w", err)
	}
	engine.Tune(1)
	c := engine.Single(engine.DefaultTarget, []string{"127.0.0.1:0"}, engine.Unit{Medium: engine.RAM, Bytes: cfg.Bytes, BlockBytes: 512})
	c.CPUs, c.Ring, c.Poll, c.State = []int{cfg.CPU}, "auto", reactor.Auto, cfg.State
	e, err := engine.Start(c)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(out, "lunar: ready portal=%s target=%s pid=%d\n", e.Portals()[0], e.Targets()[0], os.Getpid()); err != nil {
		_ = e.Stop() // nobody is there to hear of it
		return fmt.Errorf("suite: tell the address: %w", err)
	}
	obey(in)
	return e.Stop()
}

// obey starts and stops churning as in says, and stops at its end.
func obey(in io.Reader) {
	var quit chan struct{}
	var done sync.WaitGroup
	kept := make([]*node, churnLive/churnNode) // stays alive between two turns
	halt := func() {
		if quit != nil {
			close(quit)
			done.Wait()
			quit = nil
		}
	}
	defer halt()
	for words := bufio.NewScanner(in); words.Scan(); {
		halt()
		if words.Text() == "true" {
			quit = make(chan struct{})
			done.Go(func() {
				tick := time.NewTicker(churnTick)
				defer tick.Stop()
				churn(quit, time.Now(), tick.C, kept)
			})
		}
	}
}

// churn allocates at churnRate from begin on, as much as is due at every tick, and keeps what it
// allocated last. It returns how many bytes it allocated.
func churn(quit <-chan struct{}, begin time.Time, ticks <-chan time.Time, kept []*node) int64 {
	nodes := int64(0)
	for {
		var now time.Time
		select {
		case <-quit:
			return nodes * churnNode
		case now = <-ticks:
		}
		due := int64(now.Sub(begin).Seconds() * churnRate / churnNode)
		for ; nodes < due; nodes++ {
			n := &node{}
			n.next = n // prolongs no other's life
			kept[nodes%int64(len(kept))] = n
		}
	}
}
