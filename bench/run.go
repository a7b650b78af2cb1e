package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"lunar/initiator"
	"lunar/initiator/drive"
)

// ErrWrong is in the error of a run that read blocks it had not written so; the
// Report names them.
var ErrWrong = errors.New("data read differs from data written")

// Run runs the load and reports it. With ErrWrong the Report is complete.
func Run(ctx context.Context, o Options) (r *Report, err error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	loop, err := drive.Start(drive.Config{Ring: o.Ring, Poll: o.Poll, Links: o.Sessions * max(o.Connections, 1)})
	if err != nil {
		return nil, fmt.Errorf("bench: generator: %w", err)
	}
	defer func() { err = errors.Join(err, loop.Stop()) }()
	jobs, params, err := openAll(ctx, &o, loop)
	defer func() {
		for _, j := range jobs {
			leaveCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), logoutWait)
			_ = j.session.Logout(leaveCtx) // the load's own errors were reported
			cancel()
		}
	}()
	if err != nil {
		return nil, err
	}
	r = newReport(&o, &params, loop)
	stop := context.AfterFunc(ctx, func() { abandon(ctx, jobs, loop) })
	defer stop()
	err = load(jobs, &o, r)
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return r, err
}

// abandon ends the load at once.
func abandon(ctx context.Context, jobs []*job, loop *drive.Loop) {
	// An error says that the loop has ended, and the jobs with it.
	_ = loop.Call(func() {
		for _, j := range jobs {
			j.fail(context.Cause(ctx))
		}
	})
	for _, j := range jobs {
		_ = j.session.Close() // the context's cause is reported
	}
}

const logoutWait = 5 * time.Second

// openAll opens the connections that the load goes over.
func openAll(ctx context.Context, o *Options, loop *drive.Loop) ([]*job, initiator.Params, error) {
	if o.Echo != "" {
		jobs, err := openLines(ctx, o, loop)
		return jobs, initiator.Params{}, err
	}
	return open(ctx, o, loop)
}

// openLines connects to the echo and lays out the jobs.
func openLines(ctx context.Context, o *Options, loop *drive.Loop) ([]*job, error) {
	var jobs []*job
	for i := range o.Sessions {
		l, err := dialLine(ctx, loop, o.Echo, o.Depth+1)
		if err != nil {
			return jobs, err
		}
		j := newJob(l, 0, logicalBytes, o, i)
		j.loop = loop
		jobs = append(jobs, j)
		if err := j.layOut(o.echoBytes(), o, i); err != nil {
			return jobs, err
		}
	}
	return jobs, nil
}

// open logs in the sessions and lays out their jobs.
func open(ctx context.Context, o *Options, loop *drive.Loop) ([]*job, initiator.Params, error) {
	var jobs []*job
	var params initiator.Params
	for i := range o.Sessions {
		s, err := initiator.Dial(ctx, o.config(loop))
		if err != nil {
			return jobs, params, err
		}
		if n := len(s.Connections()); n < o.Connections {
			_ = s.Close() // the error is the one to report
			return jobs, params, fmt.Errorf("bench: the target allows %d of %d connections in a session", n, o.Connections)
		}
		d, err := initiator.OpenDisk(ctx, s, o.URL.LUN)
		if err != nil {
			_ = s.Close() // the error above is the one to report
			return jobs, params, err
		}
		j := newJob(s, d.LUN(), d.BlockBytes(), o, i)
		j.loop = loop
		jobs, params = append(jobs, j), s.Params()
		if err := j.layOut(d.Bytes(), o, i); err != nil {
			return jobs, params, err
		}
	}
	return jobs, params, nil
}

// layOut gives the job its part of the unit: all of it, or its own share when
// contents are verified.
func (j *job) layOut(size int64, o *Options, index int) error {
	if o.Verify && o.SizeBytes == 0 {
		size = min(size, verifyBytes)
	}
	if o.SizeBytes > 0 {
		size = min(size, o.SizeBytes)
	}
	if o.BlockBytes%j.blockBytes != 0 {
		return fmt.Errorf("bench: block size %d is no multiple of the unit's %d", o.BlockBytes, j.blockBytes)
	}
	j.units = size / int64(o.BlockBytes)
	if o.Verify {
		j.units /= int64(o.Sessions)
		j.first = int64(index) * j.units
		j.ledger = newLedger(o.Seed, j.units)
	} else if !o.Mix.Random {
		j.cursor = j.units / int64(o.Sessions) * int64(index)
	}
	least := int64(1)
	if o.Verify {
		least = int64(o.Depth) + 1
	}
	if j.units < least {
		return fmt.Errorf("bench: %d bytes hold %d operations of %d for a session; give a larger size or less depth",
			size, j.units, o.BlockBytes)
	}
	return nil
}

// load runs the load and, with Verify, adds up what was found wrong, also when the
// run ended early.
func load(jobs []*job, o *Options, r *Report) error {
	if !o.Verify {
		return measured(jobs, o, r)
	}
	err := verified(jobs, o, r)
	for _, j := range jobs {
		r.Verified += j.ledger.checked
		r.Wrong += j.ledger.bad
		r.Mismatches = append(r.Mismatches, j.ledger.found...)
	}
	if r.Wrong > 0 {
		wrong := fmt.Errorf("bench: %d of %d blocks of %s: %w", r.Wrong, r.Verified, r.URL, ErrWrong)
		return errors.Join(wrong, err)
	}
	return err
}

// verified runs the phases of Verify: a sweep that writes everything, the mix, and
// a sweep that reads everything.
func verified(jobs []*job, o *Options, r *Report) error {
	sweep := func(write bool) error {
		return together(jobs, func(j *job) error {
			j.measure = never
			return j.run(j.sweep(write), 0)
		})
	}
	if err := sweep(true); err != nil {
		return err
	}
	if err := measured(jobs, o, r); err != nil {
		return err
	}
	return sweep(false)
}

// never is later than any run.
const never = time.Duration(1<<63 - 1)

// measured runs the mix and takes the numbers between the end of the warm-up and
// the end.
func measured(jobs []*job, o *Options, r *Report) error {
	m := &gauge{jobs: jobs, o: o, loop: jobs[0].loop, hist: newHistogram(), base: jobs[0].loop.Clock()}
	for i, j := range jobs {
		j.base, j.hist, j.measure = m.base, m.hist, never
		j.setPace(o.Rate, i, len(jobs))
	}
	quit := make(chan struct{})
	var meter sync.WaitGroup
	if o.Warmup == 0 {
		m.begin()
		m.base = m.at.at
		for _, j := range jobs {
			j.base, j.measure = m.base, 0
		}
	}
	meter.Go(func() { m.watch(quit) })
	err := together(jobs, func(j *job) error {
		pick := j.pickMix
		if j.ledger != nil {
			pick = j.pickFree
		}
		return j.run(pick, o.Warmup+o.Time)
	})
	m.finish(r)
	// What follows checks, as fast as it can. An alarm of a job that failed may still
	// ring, on the loop; one that has ended needs no more.
	_ = m.loop.Call(func() {
		for _, j := range jobs {
			j.pace = pace{}
		}
	})
	close(quit)
	meter.Wait()
	if err == nil {
		err = m.err
	}
	return err
}

// together runs do for all jobs at once and waits for all.
func together(jobs []*job, do func(*job) error) error {
	errs := make([]error, len(jobs))
	var wg sync.WaitGroup
	for i, j := range jobs {
		wg.Go(func() { errs[i] = do(j) })
	}
	wg.Wait()
	return errors.Join(errs...)
}
