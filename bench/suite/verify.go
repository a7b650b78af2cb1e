package suite

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"lunar/bench"
)

// instances are the contestants whose data is verified: both rings, and two reactors
// that share a unit.
var instances = []string{"lunar", "lunar-epoll", "lunar-two"}

// workloads are what is run to verify data, each in one session and in four, with
// immediate data and by R2T.
var workloads = []Load{read1, read32, write32, mixed32, read128, write128, read1m, write1m}

const (
	// verifyFile is the most that a unit in a file has: verifying is not about disks.
	verifyFile = 256 << 20
	// Each turn writes and reads all of what it uses, so that is little, but enough
	// for four sessions that keep to their own part.
	verifySmall = 16 << 20
	verifyLarge = 64 << 20
	// leastVerify is the least time of the load between the two sweeps of a turn.
	leastVerify = 5 * time.Millisecond
)

// VerifyCells are the kinds of cell that Verify runs: every workload on every kind of
// unit with all digests, both ways for data to travel, and one session and four.
func VerifyCells() []Cell {
	var all []Cell
	for _, unit := range []Unit{Cold, File} {
		for _, digests := range []Digests{NoDigests, HeaderDigests, BothDigests} {
			for _, load := range workloads {
				for _, sessions := range []int{1, 4} {
					for _, asked := range []bool{false, true} {
						all = append(all, verifyCell(unit, digests, load, sessions, asked))
					}
				}
			}
		}
	}
	return all
}

func verifyCell(unit Unit, digests Digests, load Load, sessions int, asked bool) Cell {
	load.Sessions, load.R2T = sessions, asked
	if sessions > 1 {
		load.Name += "-x" + strconv.Itoa(sessions)
	}
	if asked {
		load.Name += "-r2t"
	}
	c := Cell{Name: string(unit) + "/" + load.Name, Unit: unit, Load: load, Digests: digests, Against: instances}
	if digests != NoDigests {
		c.Name += "/" + string(digests)
	}
	return c
}

// verifyTurn is what takes turns: a cell and who runs it.
type verifyTurn struct {
	cell *Cell
	row  *VerifyRow
}

// Verify runs every kind of cell against this program's target with blocks that say
// what they are, turn by turn in a shuffled order, for about the given time; what
// does not fit into it has no turn. Rounds, Time and Peers of cfg mean nothing here.
// An error is what made the run impossible or ended it; then what was found before
// is returned too, when there is something. What was wrong, Verification.Err says.
func Verify(ctx context.Context, cfg Config, total time.Duration) (*Verification, error) {
	cfg.FileBytes = min(cfg.FileBytes, verifyFile)
	r := newRun(cfg)
	if err := r.check(); err != nil {
		return nil, err
	}
	if total <= 0 {
		return nil, fmt.Errorf("suite: verify for %v; give a time such as 10m", total)
	}
	for _, c := range VerifyCells() {
		if r.wanted(c.Name) {
			r.cells = append(r.cells, c)
		}
	}
	if len(r.cells) == 0 {
		return nil, fmt.Errorf("suite: nothing that is verified has a name like %q", cfg.Only)
	}
	var v *Verification
	err := r.among(ctx, func(ctx context.Context) (err error) {
		v, err = r.verifyAll(ctx, total)
		return err
	})
	return v, err
}

// verifyAll lets cells and instances take turns until the time is over.
func (r *run) verifyAll(ctx context.Context, total time.Duration) (*Verification, error) {
	v := &Verification{Rows: make([]VerifyRow, 0, len(r.cells)*len(instances))}
	var turns []verifyTurn
	for i := range r.cells {
		c := &r.cells[i]
		for _, name := range c.Against {
			v.Rows = append(v.Rows, VerifyRow{Cell: c.Name, Instance: name})
			turns = append(turns, verifyTurn{c, &v.Rows[len(v.Rows)-1]})
		}
	}
	end, seed := time.Now().Add(total), uint64(0)
	for pass := uint64(1); time.Now().Before(end); pass++ {
		for i, at := range rand.New(rand.NewPCG(pass, 0)).Perm(len(turns)) {
			left := time.Until(end)
			if left <= 0 {
				break
			}
			seed++ // no turn takes what an earlier one left for its own
			r.say("verify %d of %d: %s on %s", i+1, len(turns), turns[at].cell.Name, turns[at].row.Instance)
			if err := r.verify(ctx, turns[at], left/time.Duration(len(turns)-i), seed); err != nil {
				return v, err
			}
		}
	}
	return v, nil
}

// verify is one turn, of about the time it may take. Its error is the context's; all
// others belong to the row.
func (r *run) verify(ctx context.Context, t verifyTurn, may time.Duration, seed uint64) error {
	report, err := r.verified(ctx, t, max(may/2, leastVerify), seed) // the sweeps take their part too
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	t.row.add(report)
	if err != nil && !errors.Is(err, bench.ErrWrong) {
		t.row.Error = reason(err)
	}
	if err != nil {
		r.say("%s: %s: %s", t.row.Cell, t.row.Instance, reason(err))
	}
	return nil
}

// verified runs the load for the given time.
func (r *run) verified(ctx context.Context, t verifyTurn, d time.Duration, seed uint64) (*bench.Report, error) {
	s, err := r.up(t.row.Instance)
	if err != nil {
		return nil, err
	}
	o, err := t.cell.options(s, t.cell.Digests)
	if err != nil {
		return nil, err
	}
	o.Verify, o.Seed, o.Time, o.SizeBytes = true, seed, d, verifySmall
	if o.BlockBytes > 4<<10 {
		o.SizeBytes = verifyLarge
	}
	ctx, cancel := context.WithTimeout(ctx, d+turnSlack)
	defer cancel()
	report, err := bench.Run(ctx, o)
	if err == nil {
		err = agreed(report, &o, t.cell.Load.R2T)
	}
	return report, err
}

// agreed says whether a session was what the cell is about.
func agreed(r *bench.Report, o *bench.Options, asked bool) error {
	if r.HeaderDigest != o.HeaderDigest || r.DataDigest != o.DataDigest {
		return fmt.Errorf("it agreed to other digests: header %v, data %v", r.HeaderDigest, r.DataDigest)
	}
	if r.ImmediateData == asked || r.InitialR2T != asked {
		return fmt.Errorf("it agreed to ImmediateData=%v and InitialR2T=%v", r.ImmediateData, r.InitialR2T)
	}
	return nil
}
