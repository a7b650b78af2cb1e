package suite

import (
	"context"
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lunar/bench"
	"lunar/initiator"
	"lunar/initiator/faketarget"
	"lunar/iscsi/pdu"
)

// Every combination that was promised is there once, and its load is what its name
// says.
func TestVerifyCells_EveryCombination(t *testing.T) {
	cells := VerifyCells()
	if want := 2 * 3 * len(workloads) * 2 * 2; len(cells) != want {
		t.Errorf("%d cells, want %d", len(cells), want)
	}
	for i, c := range cells {
		if slices.ContainsFunc(cells[:i], func(o Cell) bool { return o.Name == c.Name }) {
			t.Errorf("two cells are called %s", c.Name)
		}
		for part, is := range map[string]bool{
			"-x4": c.Load.Sessions == 4, "-r2t": c.Load.R2T, "/header": c.Digests == HeaderDigests, "/both": c.Digests == BothDigests,
			"file/": c.Unit == File, "ram/": c.Unit == Cold,
		} {
			if strings.Contains(c.Name, part) != is {
				t.Errorf("%s: %+v", c.Name, c)
			}
		}
		for _, name := range c.Against {
			if who, ok := contestant(name); !ok || who.Server != name {
				t.Errorf("%s: nobody starts %s for itself", c.Name, name)
			}
		}
	}
}

// against verifies with a fake target in the place of this program's.
func against(t *testing.T, cfg faketarget.Config, total time.Duration) *Verification {
	t.Helper()
	cfg.Blocks = 4 << 20 / faketarget.BlockBytes
	target, err := faketarget.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(target.Stop)
	r := newRun(testConfig())
	for _, c := range VerifyCells() {
		if regexp.MustCompile("^ram/(mix70|read-128k).*/both$").MatchString(c.Name) {
			r.cells = append(r.cells, c)
		}
	}
	for i := range r.cells {
		r.cells[i].Against = instances[:1]
		r.cells[i].Load.Depth = 2 // what the fake holds is little
	}
	r.running["lunar"] = &server{url: initiator.URL{Portal: target.Portal(), Target: "iqn.2026-01.example:disk"}}
	v, err := r.verifyAll(t.Context(), total)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestVerify_GoodTarget_IsClean(t *testing.T) {
	v := against(t, faketarget.Config{}, 300*time.Millisecond)
	sum, had := v.total()
	if err := v.Err(); err != nil || had == 0 || sum.Verified < 8192 {
		t.Errorf("%v, %d had a turn, %+v", err, had, sum)
	}
}

// A target that returns a wrong byte now and then, with a right digest, is told.
func TestVerify_DamagedData_IsFound(t *testing.T) {
	var n atomic.Uint32
	v := against(t, faketarget.Config{Reply: func(h *pdu.Header, data []byte) faketarget.Fate {
		if i := n.Add(1); h.Opcode() == pdu.OpDataIn && i%97 == 0 && len(data) > 1000 {
			data[1000] ^= 1
		}
		return faketarget.Deliver
	}}, 300*time.Millisecond)
	err := v.Err()
	if !errors.Is(err, bench.ErrWrong) || !strings.Contains(err.Error(), " on lunar: LBA ") {
		t.Errorf("got %v", err)
	}
	var out strings.Builder
	if err := v.Table(&out); err != nil {
		t.Fatal(err)
	}
	for _, w := range v.Rows {
		if w.Wrong == 0 && len(w.Mismatches) > 0 || len(w.Mismatches) > shownMismatches {
			t.Errorf("%+v", w)
		}
	}
}

// A target that agrees to something else than the cell is about verifies nothing.
func TestVerify_OtherAgreement_IsAFailure(t *testing.T) {
	v := against(t, faketarget.Config{Answers: map[string]string{"DataDigest": "None"}}, 100*time.Millisecond)
	if err := v.Err(); err == nil || errors.Is(err, bench.ErrWrong) || !strings.Contains(err.Error(), "other digests") {
		t.Errorf("got %v", err)
	}
}

func TestVerification_TableAndErr(t *testing.T) {
	v := &Verification{Rows: []VerifyRow{{Cell: "ram/a", Instance: "lunar"}, {Cell: "ram/b", Instance: "lunar-two"}}}
	if err := v.Err(); err == nil || !strings.Contains(err.Error(), "too short") {
		t.Errorf("nothing was run: %v", err)
	}
	v.Rows[0].add(&bench.Report{Operations: 5, Verified: 70})
	v.Rows[0].add(nil)
	if err := v.Err(); err != nil {
		t.Error(err)
	}
	v.Rows[1].add(&bench.Report{Operations: 2, Verified: 30, Wrong: 9, Mismatches: make([]bench.Mismatch, 9)})
	err := v.Err()
	if !errors.Is(err, bench.ErrWrong) || strings.Count(err.Error(), "ram/b on lunar-two: LBA 0") != shownMismatches {
		t.Errorf("got %v", err)
	}
	var out strings.Builder
	if err := v.Table(&out); err != nil {
		t.Fatal(err)
	}
	got := strings.Fields(strings.Split(out.String(), "\n")[3])
	if want := "all: 2 of 2 had a turn 3 7 100 9"; strings.Join(got, " ") != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestVerify_Refusals(t *testing.T) {
	for want, change := range map[string]func(*Config) time.Duration{
		"verify for 0s":      func(*Config) time.Duration { return 0 },
		"nothing that is":    func(c *Config) time.Duration { c.Only = regexp.MustCompile("tape"); return time.Second },
		"100000 rounds of 1": func(c *Config) time.Duration { c.Rounds = 100000; return time.Second },
	} {
		cfg := testConfig()
		total := change(&cfg)
		if _, err := Verify(t.Context(), cfg, total); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(io.ErrClosedPipe)
	r := newRun(testConfig())
	r.cells = VerifyCells()[:1]
	if _, err := r.verifyAll(ctx, time.Second); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("cancelled: %v", err)
	}
}
