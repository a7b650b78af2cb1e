package bench

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"lunar/initiator"
)

// Contestant is one target of a comparison.
type Contestant struct {
	Name string
	// URL names the unit; Echo instead is the address of a bare echo.
	URL  initiator.URL
	Echo string
	// PID is its process, 0 when unknown.
	PID int
}

// of is o, directed at the contestant.
func (c Contestant) of(o Options) Options {
	o.URL, o.Echo, o.TargetPID = c.URL, c.Echo, c.PID
	return o
}

// Comparison is the outcome of Compare: one Row for each contestant, in order.
type Comparison struct {
	Workload string `json:"workload"`
	Rounds   int    `json:"rounds"`
	Rows     []Row  `json:"rows"`
}

// Row holds the medians of one contestant over the rounds. Ratio is its IOPS to
// those of the first one.
type Row struct {
	Name         string  `json:"name"`
	IOPS         float64 `json:"iops"`
	Ratio        float64 `json:"ratio"`
	MiBps        float64 `json:"mib_per_s"`
	P50          float64 `json:"p50_us"`
	P90          float64 `json:"p90_us"`
	P99          float64 `json:"p99_us"`
	P999         float64 `json:"p999_us"`
	OwnCPU       float64 `json:"own_cpu"`
	OwnBusy      float64 `json:"own_busy"`
	OwnMicros    float64 `json:"own_us_per_op"`
	TargetMicros float64 `json:"target_us_per_op,omitempty"`
	// TargetSwitches is the target's context switches per operation.
	TargetSwitches float64 `json:"target_switches_per_op,omitempty"`
	// GeneratorBound says that the generator, not the target, set the pace.
	GeneratorBound bool      `json:"generator_bound,omitempty"`
	All            []float64 `json:"all_iops"`
}

// Compare runs the same load against all contestants in turn, round by round, and
// reports medians: what else the machine does meanwhile hits all alike. URL and
// TargetPID of o are replaced by each contestant's.
func Compare(ctx context.Context, o Options, rounds int, all []Contestant) (*Comparison, error) {
	if rounds < 1 || rounds > 100 || len(all) == 0 {
		return nil, fmt.Errorf("bench: %d rounds of %d contestants", rounds, len(all))
	}
	reports := make([][]*Report, len(all))
	for range rounds {
		for i, c := range all {
			r, err := Run(ctx, c.of(o))
			if err != nil {
				return nil, fmt.Errorf("bench: %s: %w", c.Name, err)
			}
			reports[i] = append(reports[i], r)
		}
	}
	out := &Comparison{Workload: fmt.Sprintf("%s bs=%d qd=%d sessions=%d", o.Mix, o.BlockBytes, o.Depth, o.Sessions), Rounds: rounds}
	for i, c := range all {
		out.Rows = append(out.Rows, rowOf(c.Name, reports[i]))
		out.Rows[i].Ratio = out.Rows[i].IOPS / out.Rows[0].IOPS
	}
	return out, nil
}

func rowOf(name string, rs []*Report) Row {
	pick := func(f func(*Report) float64) float64 {
		var v []float64
		for _, r := range rs {
			v = append(v, f(r))
		}
		return median(v)
	}
	row := Row{
		Name:           name,
		IOPS:           pick(func(r *Report) float64 { return r.IOPS }),
		MiBps:          pick(func(r *Report) float64 { return r.MiBps }),
		P50:            pick(func(r *Report) float64 { return r.Latency.P50 }),
		P90:            pick(func(r *Report) float64 { return r.Latency.P90 }),
		P99:            pick(func(r *Report) float64 { return r.Latency.P99 }),
		P999:           pick(func(r *Report) float64 { return r.Latency.P999 }),
		OwnCPU:         pick(func(r *Report) float64 { return r.OwnCPU }),
		OwnBusy:        pick(func(r *Report) float64 { return r.OwnBusy }),
		OwnMicros:      pick(func(r *Report) float64 { return r.OwnMicros }),
		TargetMicros:   pick(func(r *Report) float64 { return r.TargetMicros }),
		TargetSwitches: pick(func(r *Report) float64 { return r.TargetSwitches }),
	}
	row.GeneratorBound = row.OwnBusy >= boundShare
	for _, r := range rs {
		row.All = append(row.All, r.IOPS)
	}
	return row
}

// median is the middle of v, or the mean of the two in the middle.
func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	n := len(v)
	return (v[(n-1)/2] + v[n/2]) / 2
}

// JSON writes the comparison as one object.
func (c *Comparison) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	if err := e.Encode(c); err != nil {
		return fmt.Errorf("bench: write comparison: %w", err)
	}
	return nil
}

// Table writes the comparison for people.
func (c *Comparison) Table(w io.Writer) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s, median of %d interleaved rounds\n", c.Workload, c.Rounds)
	fmt.Fprintf(&b, "%-12s %10s %7s %9s %9s %9s %9s %9s %13s %13s %9s %9s\n", "target", "IOPS", "ratio", "MiB/s",
		"p50 us", "p90 us", "p99 us", "p99.9 us", "target us/op", "target cs/op", "gen us/op", "gen busy")
	for _, r := range c.Rows {
		fmt.Fprintf(&b, "%-12s %10.0f %7.2f %9.1f %9.1f %9.1f %9.1f %9.1f %13.2f %13.3f %9.2f %8.0f%%%s\n",
			r.Name, r.IOPS, r.Ratio, r.MiBps, r.P50, r.P90, r.P99, r.P999, r.TargetMicros, r.TargetSwitches,
			r.OwnMicros, 100*r.OwnBusy, boundMark(r.GeneratorBound))
	}
	if _, err := w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("bench: write comparison: %w", err)
	}
	return nil
}

//go:embed peers/tgt.sh
var tgtScript string

// StartPeer starts a peer and returns it with the function that ends it: "tgt", of
// bench/peers, whose core is pinned as TGT_CORE says, 0 unless set, or "floor", the
// echo as floor has it.
func StartPeer(ctx context.Context, name string, floor FloorConfig) (Contestant, func(), error) {
	switch name {
	case "tgt":
	case "floor":
		return StartFloor(ctx, floor)
	default:
		return Contestant{}, nil, fmt.Errorf("bench: peer %q is not known; there are tgt and floor", name)
	}
	out, err := script(ctx, "start")
	stop := func() {
		if _, err := script(context.WithoutCancel(ctx), "stop"); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	if err != nil {
		stop()
		return Contestant{}, nil, err
	}
	address, pid, _ := strings.Cut(strings.TrimSpace(out), " ")
	c := Contestant{Name: name}
	c.PID, err = strconv.Atoi(pid)
	if err == nil {
		c.URL, err = initiator.ParseURL(address)
	}
	if err != nil {
		stop()
		return Contestant{}, nil, fmt.Errorf("bench: peer %s: %w", name, err)
	}
	return c, stop, nil
}

func script(ctx context.Context, verb string) (string, error) {
	cmd := exec.CommandContext(ctx, "sh", "-s", verb)
	cmd.Stdin = strings.NewReader(tgtScript)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("bench: %s tgt: %w: %s", verb, err, stderr.String())
	}
	return string(out), nil
}
