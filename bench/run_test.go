package bench

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lunar/initiator"
	"lunar/initiator/faketarget"
	"lunar/iscsi/pdu"
	"lunar/reactor"
	"lunar/scsi/sam"
)

func startTarget(t *testing.T, cfg faketarget.Config) (*faketarget.Target, Options) {
	t.Helper()
	target, err := faketarget.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		target.Stop()
		if f := target.Faults(); len(f) > 0 {
			t.Errorf("the target saw: %s", strings.Join(f, "; "))
		}
	})
	return target, Options{
		URL: initiator.URL{Portal: target.Portal(), Target: "iqn.2026-01.example:a"},
		Mix: Mix{ReadPercent: 50, Random: true}, BlockBytes: 4096, Depth: 8, Sessions: 2,
		Time: 100 * time.Millisecond, Seed: 7,
	}
}

func TestRun_EveryMix_MeasuresSomething(t *testing.T) {
	for _, mix := range []string{"randread", "randwrite", "read", "write", "mix=70"} {
		t.Run(mix, func(t *testing.T) {
			_, o := startTarget(t, faketarget.Config{})
			o.Mix, _ = ParseMix(mix)
			o.TargetPID = os.Getpid()
			r, err := Run(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			if r.Operations == 0 || r.IOPS <= 0 || r.Latency.P50 <= 0 || r.TargetMicros <= 0 ||
				r.TargetSwitches <= 0 || r.TargetRSS < 1<<20 {
				t.Errorf("nothing was measured: %+v", r)
			}
			if r.Latency.P50 > r.Latency.P90 || r.Latency.P90 > r.Latency.P99 || r.Latency.P99 > r.Latency.Max {
				t.Errorf("percentiles are out of order: %+v", r.Latency)
			}
		})
	}
}

func TestRun_Verify_Clean(t *testing.T) {
	_, o := startTarget(t, faketarget.Config{R2Ts: 2, R2TBytes: 1000})
	o.Verify, o.HeaderDigest, o.DataDigest = true, true, true
	r, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	// At least the final sweep: 2048 blocks.
	if r.Verified < 2048 || r.Wrong != 0 || !r.DataDigest {
		t.Errorf("verified %d, wrong %d, data digest %v", r.Verified, r.Wrong, r.DataDigest)
	}
}

// One byte of the medium changes behind everybody's back.
func TestRun_Verify_FindsDamagedBlock(t *testing.T) {
	var reads atomic.Int64
	var target *faketarget.Target
	var o Options
	target, o = startTarget(t, faketarget.Config{Request: func(_ *faketarget.Conn, h *pdu.Header, _ []byte) bool {
		if h.Opcode() == pdu.OpSCSICommand && pdu.AsSCSICommand(h).CDB()[0] == opRead16 && reads.Add(1) == 1 {
			target.Disk(func(disk []byte) { disk[100*512+77] ^= 1 })
		}
		return false
	}})
	o.Verify, o.Sessions, o.Mix = true, 1, Mix{ReadPercent: 100, Random: true}
	r, err := Run(t.Context(), o)
	if !errors.Is(err, ErrWrong) {
		t.Fatalf("a damaged byte went unnoticed: %v", err)
	}
	if m := r.Mismatches[0]; m.LBA != 100 || m.Byte != 77 || m.FoundLBA != 100 || m.Generation != 1 {
		t.Errorf("LBA 100 byte 77 was damaged, found %v", m)
	}
}

// A write is acknowledged and lost, and those that follow to the same place, so that
// none hides it: the block says an older generation.
func TestRun_Verify_FindsLostWrite(t *testing.T) {
	var writes atomic.Int64
	var lost [8]byte // of the one session's goroutine
	_, o := startTarget(t, faketarget.Config{Request: func(c *faketarget.Conn, h *pdu.Header, _ []byte) bool {
		if h.Opcode() != pdu.OpSCSICommand || pdu.AsSCSICommand(h).CDB()[0] != opWrite16 {
			return false
		}
		lba := [8]byte(pdu.AsSCSICommand(h).CDB()[2:])
		if n := writes.Add(1); n == 400 { // behind the sweep of 256
			lost = lba
		} else if n < 400 || lba != lost {
			return false
		}
		c.Status(h, sam.Good, 0, 0, nil)
		return true
	}})
	o.Verify, o.Sessions, o.BlockBytes = true, 1, 4096
	r, err := Run(t.Context(), o)
	if !errors.Is(err, ErrWrong) {
		t.Fatalf("a lost write went unnoticed: %v", err)
	}
	m := r.Mismatches[0]
	if m.FoundLBA != m.LBA || m.FoundGeneration >= uint64(m.Generation) {
		t.Errorf("the mismatch does not say that the block is stale: %v", m)
	}
	var out bytes.Buffer
	if err := r.Table(&out); err != nil || !strings.Contains(out.String(), "expected generation") {
		t.Errorf("the table does not name the block: %v\n%s", err, out.String())
	}
}

func TestRun_BadStatus_EndsTheRun(t *testing.T) {
	var n atomic.Int64
	_, o := startTarget(t, faketarget.Config{Request: func(c *faketarget.Conn, h *pdu.Header, _ []byte) bool {
		if h.Opcode() != pdu.OpSCSICommand || n.Add(1) < 100 {
			return false
		}
		c.Status(h, sam.CheckCondition, pdu.ResidualUnderflow, pdu.AsSCSICommand(h).EDTL(),
			[]byte{0x70, 0, 3, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x11, 0, 0, 0, 0, 0})
		return true
	}})
	o.Mix, _ = ParseMix("randread")
	_, err := Run(t.Context(), o)
	var scsi *initiator.SCSIError
	if !errors.As(err, &scsi) || scsi.Key != sam.MediumError || scsi.Code != 0x1100 {
		t.Errorf("want the medium error, got %v", err)
	}
}

// A target that goes away ends the run with the reason, however the generator waits.
func TestRun_TargetGoesAway_EndsTheRun(t *testing.T) {
	for _, poll := range []reactor.PollMode{reactor.Sleep, reactor.Spin} {
		target, o := startTarget(t, faketarget.Config{})
		o.Time, o.Poll = time.Minute, poll
		time.AfterFunc(50*time.Millisecond, target.Stop)
		if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), target.Portal()) {
			t.Errorf("%v: the run ended with %v", poll, err)
		}
	}
}

func TestRun_Options_Refused(t *testing.T) {
	_, good := startTarget(t, faketarget.Config{})
	for name, change := range map[string]func(*Options){
		"block":    func(o *Options) { o.BlockBytes = 1000 },
		"depth":    func(o *Options) { o.Depth = 0 },
		"sessions": func(o *Options) { o.Sessions = 65 },
		"time":     func(o *Options) { o.Time = 0 },
		"size":     func(o *Options) { o.SizeBytes = 512 },
		"verify":   func(o *Options) { o.Verify, o.SizeBytes = true, 8*4096 },
		"rate":     func(o *Options) { o.Rate = -1 },
		"ring":     func(o *Options) { o.Ring = "iocp" },
		"bursts":   func(o *Options) { o.MaxBurst, o.FirstBurst = 4096, 8192 },
		"pid":      func(o *Options) { o.TargetPID = 1 << 30 },
	} {
		o := good
		change(&o)
		if r, err := Run(t.Context(), o); err == nil {
			t.Errorf("%s: was run: %+v", name, r)
		}
	}
}

func TestCompare_TwoTargets_MediansAndRatio(t *testing.T) {
	_, o := startTarget(t, faketarget.Config{})
	_, other := startTarget(t, faketarget.Config{})
	o.Time = 20 * time.Millisecond
	c, err := Compare(t.Context(), o, 3, []Contestant{{Name: "a", URL: o.URL}, {Name: "b", URL: other.URL}})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Rows) != 2 || len(c.Rows[1].All) != 3 || c.Rows[0].Ratio != 1 || c.Rows[1].Ratio <= 0 {
		t.Errorf("%+v", c)
	}
	var out bytes.Buffer
	if err := c.JSON(&out); err != nil || !json.Valid(out.Bytes()) {
		t.Errorf("JSON: %v", err)
	}
}

// Every way to wait measures, and says what of its time the generator worked.
func TestRun_EveryPollAndRing_Measures(t *testing.T) {
	for _, ring := range []string{"auto", "epoll"} {
		for _, poll := range []reactor.PollMode{reactor.Sleep, reactor.Spin, reactor.Auto} {
			_, o := startTarget(t, faketarget.Config{})
			o.Poll, o.Ring, o.Verify = poll, ring, true
			r, err := Run(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			if r.Poll != poll.String() || r.OwnBusy <= 0 || r.OwnMicros <= 0 || r.Verified == 0 || r.Wrong > 0 {
				t.Errorf("%s, %v: %+v", ring, poll, r)
			}
			if poll != reactor.Sleep && r.OwnBusy > 1 {
				t.Errorf("%s, %v: busy %v of the time", ring, poll, r.OwnBusy)
			}
		}
	}
}

// What is offered is agreed on and reported; the default of a first burst gives way
// to a small burst.
func TestRun_Offers_AreAgreedAndReported(t *testing.T) {
	_, o := startTarget(t, faketarget.Config{})
	o.ImmediateData, o.InitialR2T, o.MaxBurst = new(false), new(true), 8192
	r, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if r.ImmediateData || !r.InitialR2T || r.MaxBurst != 8192 || r.FirstBurst > 8192 {
		t.Errorf("%+v", r)
	}
	var out bytes.Buffer
	if err := r.Table(&out); err != nil || !strings.Contains(out.String(), "immediate-data=no initial-r2t=yes max-burst=8192") {
		t.Errorf("the table does not say so: %v\n%s", err, out.String())
	}
	o.FirstBurst = 4096
	if r, err = Run(t.Context(), o); err != nil || r.FirstBurst != 4096 {
		t.Errorf("first burst of 4096: %+v, %v", r, err)
	}
}

// A run of many operations allocates no more than a run of few.
func TestRun_Operations_AllocateNothing(t *testing.T) {
	floor, stop, err := StartFloor(t.Context(), anyFloor)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	o := floor.of(floorOptions("mix=50"))
	o.TargetPID = 0
	mallocs := func(d time.Duration) (uint64, uint64) {
		o.Time = d
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		r, err := Run(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		return after.Mallocs - before.Mallocs, r.Operations
	}
	few, fewOps := mallocs(10 * time.Millisecond)
	var many, manyOps uint64
	// A busy machine takes longer for enough of them.
	for d := 300 * time.Millisecond; manyOps < fewOps+1000; d *= 2 {
		if d > 10*time.Second {
			t.Fatalf("%d operations at first, %d in %v", fewOps, manyOps, d/2)
		}
		many, manyOps = mallocs(d)
	}
	if grown := float64(many) - float64(few); grown > 100 {
		t.Errorf("%d allocations for %d operations, %d for %d", few, fewOps, many, manyOps)
	}
}
