package bench

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Bounds of a measured latency: shorter ones count as shortest, longer ones as
// longest. Three digits keep a percentile within a thousandth.
const (
	shortest         = time.Nanosecond
	longest          = time.Minute
	histogramDigits  = 3
	nanosPerMicrosec = 1000
)

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(int64(shortest), int64(longest), histogramDigits)
}

// record counts one latency.
func record(h *hdrhistogram.Histogram, d time.Duration) {
	// Within the bounds, RecordValue cannot fail.
	_ = h.RecordValue(int64(min(max(d, shortest), longest)))
}

// Latency is the times of one kind of operation, in microseconds.
type Latency struct {
	Mean float64 `json:"mean_us"`
	P50  float64 `json:"p50_us"`
	P90  float64 `json:"p90_us"`
	P99  float64 `json:"p99_us"`
	P999 float64 `json:"p999_us"`
	Max  float64 `json:"max_us"`
}

func latencyOf(h *hdrhistogram.Histogram) Latency {
	at := func(percent float64) float64 { return float64(h.ValueAtPercentile(percent)) / nanosPerMicrosec }
	return Latency{
		Mean: h.Mean() / nanosPerMicrosec, P50: at(50), P90: at(90), P99: at(99), P999: at(99.9),
		Max: float64(h.Max()) / nanosPerMicrosec,
	}
}
