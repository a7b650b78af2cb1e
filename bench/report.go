package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"lunar/initiator"
	"lunar/initiator/drive"
)

// Report is what a run measured.
type Report struct {
	URL        string  `json:"url"`
	Workload   string  `json:"workload"`
	BlockBytes int     `json:"block_bytes"`
	Depth      int     `json:"depth"`
	Sessions   int     `json:"sessions"`
	Seconds    float64 `json:"seconds"`
	// HeaderDigest to FirstBurst are what was agreed, not what was asked for; a bare
	// echo agrees on nothing. Lengths are in bytes.
	HeaderDigest  bool   `json:"header_digest"`
	DataDigest    bool   `json:"data_digest"`
	ImmediateData bool   `json:"immediate_data"`
	InitialR2T    bool   `json:"initial_r2t"`
	MaxBurst      uint32 `json:"max_burst,omitempty"`
	FirstBurst    uint32 `json:"first_burst,omitempty"`
	// Ring carries the generator's I/O, Poll is how it waits.
	Ring string `json:"ring"`
	Poll string `json:"poll"`
	// Rate is how many operations became due per second, 0 for as many as the depth
	// allows; NotBegun is how many of them were left when the time was over.
	Rate     float64 `json:"rate,omitempty"`
	NotBegun uint64  `json:"not_begun,omitempty"`

	Operations uint64  `json:"operations"`
	IOPS       float64 `json:"iops"`
	MiBps      float64 `json:"mib_per_s"`
	Latency    Latency `json:"latency"`
	// OwnCPU is how many processors the generator kept busy, OwnBusy the share of the
	// time in which it had work, and OwnMicros that time per operation, in
	// microseconds. A sleeping generator has work while it has a processor, a polling
	// one in turns that found something.
	OwnCPU    float64 `json:"own_cpu"`
	OwnBusy   float64 `json:"own_busy"`
	OwnMicros float64 `json:"own_us_per_op"`
	// GeneratorBound says that the generator had no time left: the target could do
	// more.
	GeneratorBound bool `json:"generator_bound,omitempty"`
	// TargetCPU is how many processors the target kept busy; TargetMicros is its
	// processor time per operation in microseconds, TargetSwitches its context
	// switches per operation, TargetRSS its memory at the end in bytes.
	TargetCPU      float64 `json:"target_cpu,omitempty"`
	TargetMicros   float64 `json:"target_us_per_op,omitempty"`
	TargetSwitches float64 `json:"target_switches_per_op,omitempty"`
	TargetRSS      uint64  `json:"target_rss_bytes,omitempty"`

	// Of Verify: blocks compared, how many were wrong, and the first of them.
	Verified   uint64     `json:"verified_blocks,omitempty"`
	Wrong      uint64     `json:"wrong_blocks"`
	Mismatches []Mismatch `json:"mismatches,omitempty"`
}

// newReport is a report of what was agreed.
func newReport(o *Options, p *initiator.Params, loop *drive.Loop) *Report {
	return &Report{
		URL: o.address(), Workload: o.Mix.String(), BlockBytes: o.BlockBytes, Depth: o.Depth,
		Sessions: o.Sessions, HeaderDigest: p.HeaderDigest, DataDigest: p.DataDigest,
		ImmediateData: p.ImmediateData, InitialR2T: p.InitialR2T, MaxBurst: p.MaxBurst, FirstBurst: p.FirstBurst,
		Ring: loop.Ring(), Poll: o.Poll.String(), Rate: o.Rate,
	}
}

// boundShare is the generator's share of its time from which on a figure says
// more of it than of the target.
const boundShare = 0.95

func boundMark(bound bool) string {
	if bound {
		return "  generator-bound"
	}
	return ""
}

// JSON writes the report as one object.
func (r *Report) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	if err := e.Encode(r); err != nil {
		return fmt.Errorf("bench: write report: %w", err)
	}
	return nil
}

// Table writes the report for people.
func (r *Report) Table(w io.Writer) error {
	var b bytes.Buffer
	l := r.Latency
	fmt.Fprintf(&b, "%s  %s bs=%d qd=%d sessions=%d\n", r.URL, r.Workload, r.BlockBytes, r.Depth, r.Sessions)
	if r.MaxBurst > 0 {
		fmt.Fprintf(&b, "  agreed: digests=%s immediate-data=%s initial-r2t=%s max-burst=%d first-burst=%d\n",
			r.digests(), yesNo(r.ImmediateData), yesNo(r.InitialR2T), r.MaxBurst, r.FirstBurst)
	}
	fmt.Fprintf(&b, "  IOPS %.0f   %.1f MiB/s   %d operations in %.2f s\n", r.IOPS, r.MiBps, r.Operations, r.Seconds)
	if r.Rate > 0 {
		fmt.Fprintf(&b, "  open loop: %.0f due per second, %d not begun in time\n", r.Rate, r.NotBegun)
	}
	fmt.Fprintf(&b, "  latency us: mean %.1f  p50 %.1f  p90 %.1f  p99 %.1f  p99.9 %.1f  max %.1f\n",
		l.Mean, l.P50, l.P90, l.P99, l.P999, l.Max)
	fmt.Fprintf(&b, "  generator (%s, %s): %.2f CPU, %.0f%% busy, %.2f us per operation%s\n",
		r.Ring, r.Poll, r.OwnCPU, 100*r.OwnBusy, r.OwnMicros, boundMark(r.GeneratorBound))
	if r.TargetRSS > 0 {
		fmt.Fprintf(&b, "  target: %.2f CPU, %.2f us and %.3f context switches per operation, %.1f MiB resident\n",
			r.TargetCPU, r.TargetMicros, r.TargetSwitches, float64(r.TargetRSS)/(1<<20))
	}
	if r.Verified > 0 {
		fmt.Fprintf(&b, "  verified %d blocks, %d wrong\n", r.Verified, r.Wrong)
	}
	for _, m := range r.Mismatches {
		fmt.Fprintf(&b, "  %v\n", m)
	}
	if _, err := w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("bench: write report: %w", err)
	}
	return nil
}

func yesNo(v bool) string {
	if v {
		return "yes"
	}
	return "no"
}

func (r *Report) digests() string {
	switch {
	case r.HeaderDigest && r.DataDigest:
		return "header+data"
	case r.HeaderDigest:
		return "header"
	case r.DataDigest:
		return "data"
	}
	return "none"
}
