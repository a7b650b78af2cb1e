package bench

import (
	"encoding/json"
	"fmt"
	"io"
)

// Report is what a run measured.
type Report struct {
	URL        string  `json:"url"`
	Workload   string  `json:"workload"`
	BlockBytes int     `json:"block_bytes"`
	Depth      int     `json:"depth"`
	Sessions   int     `json:"sessions"`
	Seconds    float64 `json:"seconds"`
	// HeaderDigest and DataDigest are what was agreed, not what was asked for.
	HeaderDigest bool `json:"header_digest"`
	DataDigest   bool `json:"data_digest"`

	Operations uint64  `json:"operations"`
	IOPS       float64 `json:"iops"`
	MiBps      float64 `json:"mib_per_s"`
	Latency    Latency `json:"latency"`
	// OwnCPU is how many processors the generator kept busy, TargetCPU the target;
	// TargetMicros is the target's processor time per operation, in microseconds.
	OwnCPU float64 `json:"own_cpu"`
	// GeneratorBound says that the generator had no processor time left: the target
	// could do more.
	GeneratorBound bool    `json:"generator_bound,omitempty"`
	TargetCPU      float64 `json:"target_cpu,omitempty"`
	TargetMicros   float64 `json:"target_us_per_op,omitempty"`

	// Of Verify: blocks compared, how many were wrong, and the first of them.
	Verified   uint64     `json:"verified_blocks,omitempty"`
	Wrong      uint64     `json:"wrong_blocks"`
	Mismatches []Mismatch `json:"mismatches,omitempty"`
}

// boundShare is the generator's share of its processor from which on a figure says
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
	l := r.Latency
	_, err := fmt.Fprintf(w, `%s  %s bs=%d qd=%d sessions=%d digests=%s
  IOPS %.0f   %.1f MiB/s   %d operations in %.2f s
  latency us: mean %.1f  p50 %.1f  p90 %.1f  p99 %.1f  p99.9 %.1f  max %.1f
  generator %.2f CPU%s
`, r.URL, r.Workload, r.BlockBytes, r.Depth, r.Sessions, r.digests(),
		r.IOPS, r.MiBps, r.Operations, r.Seconds, l.Mean, l.P50, l.P90, l.P99, l.P999, l.Max, r.OwnCPU, boundMark(r.GeneratorBound))
	if err == nil && r.TargetCPU > 0 {
		_, err = fmt.Fprintf(w, "  target %.2f CPU, %.2f us per operation\n", r.TargetCPU, r.TargetMicros)
	}
	if err == nil && r.Verified > 0 {
		_, err = fmt.Fprintf(w, "  verified %d blocks, %d wrong\n", r.Verified, r.Wrong)
	}
	for _, m := range r.Mismatches {
		if err == nil {
			_, err = fmt.Fprintf(w, "  %v\n", m)
		}
	}
	if err != nil {
		return fmt.Errorf("bench: write report: %w", err)
	}
	return nil
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
