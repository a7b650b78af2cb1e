package suite

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"lunar/bench"
)

// fioReport is what is read of fio's JSON. CPU shares are in percent.
type fioReport struct {
	Jobs []struct {
		Read, Write fioSide
		UserCPU     float64 `json:"usr_cpu"`
		SystemCPU   float64 `json:"sys_cpu"`
	}
}

type fioSide struct {
	IOPS    float64 `json:"iops"`
	Count   uint64  `json:"total_ios"`
	Millis  float64 `json:"runtime"`
	Latency struct {
		Mean       float64            `json:"mean"`
		Max        float64            `json:"max"`
		Percentile map[string]float64 `json:"percentile"`
	} `json:"lat_ns"`
}

// fio measures a file with the load of a cell, without a target between.
func (r *run) fio(ctx context.Context, c *Cell, file string) (*bench.Report, error) {
	millis := strconv.Itoa(int(c.time(r.cfg.Time) / time.Millisecond))
	args := []string{
		"-c", strconv.Itoa(r.cfg.TargetCPU), "fio", "--name=limit", "--filename=" + file,
		"--size=" + strconv.FormatInt(r.cfg.FileBytes, 10), "--ioengine=io_uring", "--direct=1", "--time_based", "--thread",
		"--rw=" + c.Load.Mix, "--bs=" + strconv.Itoa(c.Load.Block), "--iodepth=" + strconv.Itoa(c.Load.Depth),
		"--runtime=" + millis + "ms", "--ramp_time=" + strconv.Itoa(int(warmup/time.Millisecond)) + "ms",
		"--randrepeat=0", "--norandommap", "--clat_percentiles=0", "--lat_percentiles=1", "--output-format=json",
	}
	cmd := bounded(ctx, "taskset", args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("fio: %w: %s", err, lastLine(stderr.String()))
	}
	return parseFio(out, c)
}

// parseFio turns fio's JSON, of a job that only reads or only writes, into a
// report of our own.
func parseFio(out []byte, c *Cell) (*bench.Report, error) {
	var f fioReport
	if at := bytes.IndexByte(out, '{'); at > 0 {
		out = out[at:] // warnings come first
	}
	if err := json.Unmarshal(out, &f); err != nil {
		return nil, fmt.Errorf("fio: what it reported is no JSON: %w", err)
	}
	if len(f.Jobs) != 1 {
		return nil, fmt.Errorf("fio: it reported %d jobs, not 1", len(f.Jobs))
	}
	j := f.Jobs[0]
	side := j.Read
	if j.Write.Count > 0 {
		side = j.Write
	}
	if side.Count == 0 {
		return nil, fmt.Errorf("fio: it did nothing")
	}
	us := func(p string) float64 { return side.Latency.Percentile[p] / 1000 }
	cpu := (j.UserCPU + j.SystemCPU) / 100
	return &bench.Report{
		URL: "file", Workload: c.Load.Mix, BlockBytes: c.Load.Block, Depth: c.Load.Depth, Sessions: 1,
		Seconds: side.Millis / 1000, Operations: side.Count, IOPS: side.IOPS,
		MiBps: side.IOPS * float64(c.Load.Block) / (1 << 20),
		Latency: bench.Latency{
			Mean: side.Latency.Mean / 1000, P50: us("50.000000"), P90: us("90.000000"),
			P99: us("99.000000"), P999: us("99.900000"), Max: side.Latency.Max / 1000,
		},
		TargetCPU: cpu, TargetMicros: cpu * 1e6 / side.IOPS,
	}, nil
}
