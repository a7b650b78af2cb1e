package bench

import (
	"math/bits"
	"time"
)

// Histogram counts durations in buckets whose width grows with their value: 32 for
// each power of two, so that a percentile is at most about 3% too high. The zero
// value is empty.
type Histogram struct {
	buckets [bucketRows * bucketsPerRow]uint64
	count   uint64
	sum     time.Duration
	max     time.Duration
}

const (
	rowBits       = 5
	bucketsPerRow = 1 << rowBits
	// bucketRows covers every positive 63-bit number.
	bucketRows = 64 - rowBits
)

// Add counts one duration; a negative one counts as 0.
func (h *Histogram) Add(d time.Duration) {
	d = max(d, 0)
	h.buckets[bucketOf(uint64(d))]++
	h.count++
	h.sum += d
	h.max = max(h.max, d)
}

// bucketOf is linear below 2*bucketsPerRow, then keeps the rowBits bits behind the
// leading one.
func bucketOf(v uint64) int {
	row := max(bits.Len64(v)-rowBits-1, 0)
	return row<<rowBits + int(v>>row)
}

// bucketTop is the largest value that falls into bucket i.
func bucketTop(i int) uint64 {
	if i < 2*bucketsPerRow {
		return uint64(i)
	}
	row := i>>rowBits - 1
	return uint64(i-row<<rowBits+1)<<row - 1
}

// Merge adds what o has counted.
func (h *Histogram) Merge(o *Histogram) {
	for i, n := range o.buckets {
		h.buckets[i] += n
	}
	h.count += o.count
	h.sum += o.sum
	h.max = max(h.max, o.max)
}

// Count is how many durations were added.
func (h *Histogram) Count() uint64 { return h.count }

// Max is the largest, exactly.
func (h *Histogram) Max() time.Duration { return h.max }

// Mean is the average, 0 when empty.
func (h *Histogram) Mean() time.Duration {
	if h.count == 0 {
		return 0
	}
	return h.sum / time.Duration(h.count)
}

// Percentile is a value that p percent of the durations do not exceed.
func (h *Histogram) Percentile(p float64) time.Duration {
	want := uint64(p / 100 * float64(h.count))
	var seen uint64
	for i, n := range h.buckets {
		if seen += n; seen > 0 && seen >= want {
			return min(time.Duration(bucketTop(i)), h.max)
		}
	}
	return h.max
}
