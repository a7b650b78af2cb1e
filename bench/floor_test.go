package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"lunar/initiator/drive"
	"lunar/initiator/faketarget"
)

// TestMain lets this program be the other process of a floor, as lunar is.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "bench" && os.Args[2] == FloorVerb {
		if err := ServeFloor(os.Args[3], os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func floorOptions(mix string) Options {
	m, _ := ParseMix(mix)
	return Options{Mix: m, BlockBytes: 4096, Depth: 8, Sessions: 2, Time: 100 * time.Millisecond, Seed: 3, SizeBytes: 8 << 20}
}

var anyFloor = FloorConfig{Ring: "auto", Poll: "auto", CPU: -1}

func TestFloor_EveryMix_MeasuresSomething(t *testing.T) {
	for _, mix := range []string{"randread", "randwrite", "mix=50", "read"} {
		r, err := Floor(t.Context(), floorOptions(mix), anyFloor)
		if err != nil {
			t.Fatal(err)
		}
		if r.Operations == 0 || r.TargetMicros <= 0 || r.OwnCPU <= 0 || !strings.HasPrefix(r.URL, "echo://127.0.0.1:") {
			t.Errorf("%s: nothing was measured: %+v", mix, r)
		}
	}
}

// The echo keeps what it is given: every block read back is the one written, for
// blocks that are received with their headers and blocks that are received apart.
func TestFloor_Verify_Clean(t *testing.T) {
	for _, ring := range []string{"auto", "epoll"} {
		for _, block := range []int{512, 4096, 128 << 10} {
			o := floorOptions("mix=50")
			o.Verify, o.BlockBytes = true, block
			cfg := anyFloor
			cfg.Ring = ring
			r, err := Floor(t.Context(), o, cfg)
			if err != nil || r.Verified < 16384 || r.Wrong != 0 {
				t.Errorf("%s, blocks of %d: %+v, %v", ring, block, r, err)
			}
		}
	}
}

func TestCompare_WithFloor_HasARow(t *testing.T) {
	_, o := startTarget(t, faketarget.Config{})
	o.Time = 30 * time.Millisecond
	floor, stop, err := StartPeer(t.Context(), "floor", anyFloor)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	c, err := Compare(t.Context(), o, 2, []Contestant{{Name: "a", URL: o.URL}, floor})
	if err != nil {
		t.Fatal(err)
	}
	if row := c.Rows[1]; row.Name != "floor" || row.Ratio <= 0 || row.TargetMicros <= 0 || row.OwnCPU <= 0 {
		t.Errorf("%+v", row)
	}
	var out bytes.Buffer
	c.Rows[0].GeneratorBound, c.Rows[1].GeneratorBound = false, true
	if err := c.Table(&out); err != nil || strings.Count(out.String(), "generator-bound") != 1 {
		t.Errorf("the bound row is not marked: %v\n%s", err, out.String())
	}
}

// A run that is cancelled ends at once and takes the echo with it.
func TestFloor_Cancel_LeavesNoProcess(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	floor, stop, err := StartFloor(ctx, anyFloor)
	if err != nil {
		t.Fatal(err)
	}
	o := floor.of(floorOptions("randwrite"))
	o.Time = time.Minute
	time.AfterFunc(100*time.Millisecond, cancel)
	if _, err := Run(ctx, o); !errors.Is(err, context.Canceled) {
		t.Errorf("the run ended with %v", err)
	}
	stop()
	if err := syscall.Kill(floor.PID, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d: %v", floor.PID, err)
	}
}

// The echo ends in order when the process that started it is gone, however that
// ended: all it sees is the end of its standard input.
func TestServeFloor_InputEnds_ProcessEnds(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	cfg := anyFloor
	cfg.Bytes = 1 << 20
	cmd, in, out, err := floorCommand(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	loop, err := drive.Start(drive.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := loop.Stop(); err != nil {
			t.Error(err)
		}
	}()
	l, err := dialLine(ctx, loop, strings.TrimSpace(address), 1)
	if err != nil {
		t.Fatal(err)
	}
	_ = in.Close()
	if err := cmd.Wait(); err != nil {
		t.Errorf("the echo ended with %v", err)
	}
	_ = l.Close()
}

// An echo that dies under the load ends the run with an error.
func TestFloor_EchoDies_RunEnds(t *testing.T) {
	floor, stop, err := StartFloor(t.Context(), anyFloor)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	o := floor.of(floorOptions("randread"))
	o.Time = time.Minute
	time.AfterFunc(100*time.Millisecond, func() { _ = syscall.Kill(floor.PID, syscall.SIGKILL) })
	if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "echo") {
		t.Errorf("the run ended with %v", err)
	}
}

func TestFloor_WrongConfig_SaysWhy(t *testing.T) {
	o := floorOptions("randread")
	for want, cfg := range map[string]FloorConfig{
		"use auto, uring or epoll": {Ring: "iocp", Poll: "auto", CPU: -1},
		"auto, spin or sleep":      {Ring: "auto", Poll: "often", CPU: -1},
		"pin to processor":         {Ring: "auto", Poll: "auto", CPU: 1000},
	} {
		if _, err := Floor(t.Context(), o, cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
	o.DataDigest = true
	if _, err := Floor(t.Context(), o, anyFloor); err == nil || !strings.Contains(err.Error(), "no digests") {
		t.Errorf("digests: %v", err)
	}
}
