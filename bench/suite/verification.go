package suite

import (
	"bytes"
	"fmt"
	"io"

	"lunar/bench"
)

// Verification is what Verify found: a row for each cell and instance, in order.
type Verification struct {
	Rows []VerifyRow
}

// VerifyRow is one kind of cell on one instance.
type VerifyRow struct {
	Cell, Instance string
	// Turns is how often it was run, Operations how many its loads had without the
	// sweeps before and after.
	Turns      int
	Operations uint64
	// Verified is how many blocks were compared, Wrong how many of them were not what
	// they had to be, and Mismatches the first of those.
	Verified, Wrong uint64
	Mismatches      []bench.Mismatch
	// Error is why its last turn that failed did.
	Error string
}

// shownMismatches is how many of a row are shown.
const shownMismatches = 4

// add counts a turn, of which there may be no report.
func (w *VerifyRow) add(r *bench.Report) {
	w.Turns++
	if r == nil {
		return
	}
	w.Operations += r.Operations
	w.Verified += r.Verified
	w.Wrong += r.Wrong
	w.Mismatches = append(w.Mismatches, r.Mismatches...)
	w.Mismatches = w.Mismatches[:min(len(w.Mismatches), shownMismatches)]
}

// total sums up all rows and counts those that had a turn.
func (v *Verification) total() (sum VerifyRow, had int) {
	for i := range v.Rows {
		w := &v.Rows[i]
		sum.Turns += w.Turns
		sum.Operations += w.Operations
		sum.Verified += w.Verified
		sum.Wrong += w.Wrong
		if w.Turns > 0 {
			had++
		}
	}
	return sum, had
}

// Table writes the rows that had a turn, and their sum.
func (v *Verification) Table(w io.Writer) error {
	var b bytes.Buffer
	line := func(r *VerifyRow) {
		fmt.Fprintf(&b, "%-42s %-12s %6d %12d %16d %8d  %s\n", r.Cell, r.Instance, r.Turns, r.Operations, r.Verified, r.Wrong, r.Error)
	}
	fmt.Fprintf(&b, "%-42s %-12s %6s %12s %16s %8s\n", "cell", "instance", "turns", "operations", "blocks verified", "wrong")
	for i := range v.Rows {
		if v.Rows[i].Turns > 0 {
			line(&v.Rows[i])
		}
	}
	sum, had := v.total()
	sum.Cell = fmt.Sprintf("all: %d of %d had a turn", had, len(v.Rows))
	line(&sum)
	if _, err := w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("suite: write the verification: %w", err)
	}
	return nil
}

// Err is nil when every block that was read held what was written to it and every
// turn could be run. Otherwise it names the first mismatches and failures; with a
// mismatch it is a bench.ErrWrong.
func (v *Verification) Err() error {
	var b bytes.Buffer
	for i := range v.Rows {
		w := &v.Rows[i]
		for _, m := range w.Mismatches {
			fmt.Fprintf(&b, "\n%s on %s: %v", w.Cell, w.Instance, m)
		}
		if w.Error != "" {
			fmt.Fprintf(&b, "\n%s on %s: %s", w.Cell, w.Instance, w.Error)
		}
	}
	sum, _ := v.total()
	switch {
	case sum.Wrong > 0:
		return fmt.Errorf("suite: %d of %d blocks: %w%s", sum.Wrong, sum.Verified, bench.ErrWrong, &b)
	case b.Len() > 0:
		return fmt.Errorf("suite: not everything could be verified%s", &b)
	case sum.Verified == 0:
		return fmt.Errorf("suite: the time was too short to verify anything; give more to --verify")
	}
	return nil
}
