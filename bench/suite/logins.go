package suite

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"lunar/engine"
	"lunar/initiator"
	"lunar/iscsi/pdu"
)

const (
	loginFor      = time.Second
	parallel      = 8
	foreignFor    = 3
	defaultTarget = engine.DefaultTarget
)

// logins counts sessions opened and closed, one after the other and eight at a
// time.
func (r *run) logins(ctx context.Context, f *findings) {
	for _, name := range r.present(targets) {
		for _, at := range []int{1, parallel} {
			how := fmt.Sprintf("sessions opened and closed by logout in a second, %d at a time", at)
			var rate float64
			s, err := r.up(name)
			if err == nil {
				rate, err = loginRate(ctx, s.url, at)
			}
			f.add(fmt.Sprintf("logins-%d/%s", at, name), rate, "logins/s", how, err)
		}
	}
}

// turnsOfLogins is how often target and peer take turns for their ratio.
const turnsOfLogins = 5

// loginRatio compares logins with those of tgt in interleaved turns, one after the
// other and eight at a time.
func (r *run) loginRatio(ctx context.Context, f *findings) {
	r.loginTurns(ctx, f, "logins-ratio-1", 1)
	r.loginTurns(ctx, f, "logins-ratio-8", parallel)
}

func (r *run) loginTurns(ctx context.Context, f *findings, name string, at int) {
	how := fmt.Sprintf("sessions opened and closed in a second, %d at a time, against tgt: median of %d interleaved turns", at, turnsOfLogins)
	var ratios []float64
	us, err := r.up("lunar")
	var tgt *server
	if err == nil {
		tgt, err = r.up("tgt")
	}
	for i := 0; i < turnsOfLogins && err == nil; i++ {
		var a, b float64
		if a, err = loginRate(ctx, us.url, at); err == nil {
			b, err = loginRate(ctx, tgt.url, at)
		}
		ratios = append(ratios, a/b)
	}
	m, _ := median(ratios)
	f.add(name, m, "×", how, err)
}

// loginRate is how many sessions at goroutines open and close in a second.
func loginRate(ctx context.Context, url initiator.URL, at int) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, loginFor+turnSlack)
	defer cancel()
	var wg sync.WaitGroup
	counts, errs := make([]int, at), make([]error, at)
	begin := time.Now()
	for i := range at {
		wg.Go(func() {
			for time.Since(begin) < loginFor && errs[i] == nil {
				errs[i] = inAndOut(ctx, url)
				counts[i]++
			}
		})
	}
	wg.Wait()
	elapsed := time.Since(begin).Seconds()
	n := 0
	for i, c := range counts {
		if errs[i] != nil {
			return 0, errs[i] // the others' say the same
		}
		n += c
	}
	return float64(n) / elapsed, nil
}

// inAndOut opens a session and closes it by a logout, with nothing around it: what it
// costs the generator is time that no target is asked anything.
func inAndOut(ctx context.Context, url initiator.URL) error {
	c, err := initiator.Connect(ctx, url.Portal)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }() // the target closes too
	if err := c.SetDeadline(time.Now().Add(turnSlack)); err != nil {
		return err
	}
	p, err := c.Login(ctx, initiator.Config{Portal: url.Portal, Target: url.Target, Lenient: true})
	if err != nil {
		return err
	}
	var h pdu.Header
	h.SetOpcode(pdu.OpLogoutReq)
	h.SetFlags(pdu.FlagFinal)
	q := pdu.AsLogoutRequest(&h)
	q.SetReason(pdu.CloseSession)
	q.SetCmdSN(p.CmdSN)
	q.SetExpStatSN(p.StatSN)
	if err := c.Send(&h, nil, nil); err != nil {
		return err
	}
	for {
		answer, err := c.Receive()
		if err != nil || answer.Header.Opcode() == pdu.OpLogoutResp {
			return err
		}
	}
}

// allocations runs the engine's own benchmarks.
func (r *run) allocations(ctx context.Context, f *findings) {
	const how = "`go test -run - -bench Engine -benchmem ./engine`: target and initiator in one process, both counted"
	cpus := strconv.Itoa(r.cfg.TargetCPU) + "," + strconv.Itoa(r.cfg.CPU)
	cmd := bounded(ctx, "taskset", "-c", cpus, "go", "test", "-run", "-", "-bench", "Engine", "-benchmem", "-benchtime", "1s", "./engine")
	cmd.Dir = r.cfg.Source
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, lastLine(string(out)))
	}
	for _, b := range [][2]string{{"allocations-read", "Read4K"}, {"allocations-write", "Write4K"}} {
		n, e := allocsOf(string(out), b[1])
		if err != nil {
			e = err
		}
		f.add(b[0], n, "allocations per command", how, e)
	}
}

// allocsOf finds the allocations of a benchmark in the output of go test.
func allocsOf(out, bench string) (float64, error) {
	for line := range strings.Lines(out) {
		words := strings.Fields(line)
		if len(words) > 2 && strings.Contains(words[0], bench) && words[len(words)-1] == "allocs/op" {
			return strconv.ParseFloat(words[len(words)-2], 64)
		}
	}
	return 0, fmt.Errorf("there is no benchmark %s in what go test said", bench)
}

// foreignTargets are measured by a generator that is not ours.
var foreignTargets = []string{"lunar", "tgt"}

// foreign runs a generator of other people, and ours next to it.
func (r *run) foreign(ctx context.Context, f *findings) {
	const theirs = "iscsi-perf of libiscsi on the generator's processor: 4 KiB random reads, depth 32, 3 s"
	const ours = "this project's generator, sleeping, the same load right after it"
	for _, name := range r.present(foreignTargets) {
		var rate, busy, own float64
		s, err := r.up(name)
		if err == nil {
			rate, busy, err = r.iscsiPerf(ctx, s)
		}
		f.add("foreign/"+name, rate, "IOPS", theirs, err)
		f.add("foreign-cpu/"+name, 100*busy, "% of a core", "what iscsi-perf used of its processor meanwhile, its start included", err)
		c := quickCell
		report, err := r.turn(ctx, &c, Contestant{Server: name}, 1)
		if err == nil {
			own = report.IOPS
		}
		f.add("own/"+name, own, "IOPS", ours, err)
	}
}

// iscsiPerf is the rate that iscsi-perf reaches and its share of a processor.
func (r *run) iscsiPerf(ctx context.Context, s *server) (rate, busy float64, err error) {
	ctx, cancel := context.WithTimeout(ctx, foreignFor*time.Second+turnSlack)
	defer cancel()
	cmd := bounded(ctx, "taskset", "-c", strconv.Itoa(r.cfg.CPU),
		"iscsi-perf", "-m", "32", "-b", "8", "-r", "-t", strconv.Itoa(foreignFor), s.url.String())
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	begin := time.Now()
	out, err := cmd.Output()
	if err != nil {
		return 0, 0, fmt.Errorf("iscsi-perf: %w: %s", err, lastLine(stderr.String()))
	}
	used := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	rate, err = perfRate(string(out))
	return rate, used.Seconds() / time.Since(begin).Seconds(), err
}

// average is how iscsi-perf says what it measured; the last one is of the whole.
var average = regexp.MustCompile(`iops average (\d+)`)

func perfRate(out string) (float64, error) {
	all := average.FindAllStringSubmatch(out, -1)
	if len(all) == 0 {
		return 0, fmt.Errorf("iscsi-perf: it named no average: %s", lastLine(out))
	}
	return strconv.ParseFloat(all[len(all)-1][1], 64)
}
