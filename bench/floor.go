package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"lunar/bench/echo"
	"lunar/reactor"
)

// FloorVerb is the hidden verb of bench by which a program serves the echo; it must
// call ServeFloor with the argument that follows.
const FloorVerb = "floor-serve"

// floorBytes is the memory of the echo when nothing is said: that of the units in
// BENCHMARKS.md.
const floorBytes = 256 << 20

// FloorConfig is the echo of a floor.
type FloorConfig struct {
	// Ring and Poll are as for the target; CPU is the processor it is kept on, -1
	// for any.
	Ring string `json:"ring"`
	Poll string `json:"poll"`
	CPU  int    `json:"cpu"`
	// Bytes is how much memory is read and written, 0 for 256 MiB.
	Bytes int64 `json:"bytes"`
	// Device is the path of a device of so many bytes that reads are read from, empty for none.
	Device string `json:"device,omitempty"`
}

// StartFloor starts the echo in a process of its own, so that its processor time
// can be told from the generator's, and returns it with the function that ends it.
// It also ends with ctx, and with this process.
func StartFloor(ctx context.Context, cfg FloorConfig) (Contestant, func(), error) {
	if cfg.Bytes == 0 {
		cfg.Bytes = floorBytes
	}
	cmd, in, out, err := floorCommand(ctx, cfg)
	if err != nil {
		return Contestant{}, nil, err
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		return Contestant{}, nil, fmt.Errorf("bench: start the echo: %w", err)
	}
	stop := func() {
		_ = in.Close() // tells it to end
		late := time.AfterFunc(floorWait, func() { _ = cmd.Process.Kill() })
		defer late.Stop()
		_ = cmd.Wait() // it has no result, and may have ended with ctx
	}
	// Its first touch of the memory takes a while; one that hangs is ended.
	late := time.AfterFunc(floorWait, func() { _ = cmd.Process.Kill() })
	line, err := bufio.NewReader(out).ReadString('\n')
	late.Stop()
	if err != nil {
		stop()
		why := strings.TrimPrefix(strings.TrimSpace(stderr.String()), "lunar: ") // we say it already
		return Contestant{}, nil, fmt.Errorf("bench: the echo did not start: %s", why)
	}
	return Contestant{Name: "floor", Echo: strings.TrimSpace(line), PID: cmd.Process.Pid}, stop, nil
}

// floorWait is how long the echo may take to start and to end.
const floorWait = 10 * time.Second

func floorCommand(ctx context.Context, cfg FloorConfig) (*exec.Cmd, io.Closer, io.Reader, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, nil, fmt.Errorf("bench: find this program to start the echo: %w", err)
	}
	arg, err := json.Marshal(cfg)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("bench: configuration of the echo: %w", err)
	}
	cmd := exec.CommandContext(ctx, self, "bench", FloorVerb, string(arg))
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, nil, fmt.Errorf("bench: start the echo: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, nil, fmt.Errorf("bench: start the echo: %w", err)
	}
	return cmd, in, out, nil
}

// ServeFloor is the other process: it runs the echo that arg, written by StartFloor,
// describes, says on out where, and serves until in ends.
func ServeFloor(arg string, in io.Reader, out io.Writer) error {
	var cfg FloorConfig
	if err := json.Unmarshal([]byte(arg), &cfg); err != nil {
		return fmt.Errorf("bench: configuration of the echo, which bench floor writes itself: %w", err)
	}
	poll, err := reactor.ParsePollMode(cfg.Poll)
	if err != nil {
		return fmt.Errorf("bench: echo: %w", err)
	}
	if cfg.CPU >= 0 {
		if err := pinThreads(cfg.CPU); err != nil {
			return err
		}
	}
	// The generator's one processor was inherited; the echo spins on one and needs
	// another to be told to end.
	runtime.GOMAXPROCS(2)
	s, err := echo.Start(echo.Config{Ring: cfg.Ring, Poll: poll, Bytes: cfg.Bytes, Device: cfg.Device})
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(out, s.Addr()); err != nil {
		_ = s.Stop() // nobody is there to hear of it
		return fmt.Errorf("bench: echo: tell the address: %w", err)
	}
	_, _ = io.Copy(io.Discard, in) // however it ends, the generator is gone
	return s.Stop()
}

// Floor measures the machine's limit for a load: Run against the bare echo.
func Floor(ctx context.Context, o Options, cfg FloorConfig) (*Report, error) {
	if cfg.Bytes == 0 {
		cfg.Bytes = o.SizeBytes
	}
	c, stop, err := StartFloor(ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer stop()
	return Run(ctx, c.of(o))
}
