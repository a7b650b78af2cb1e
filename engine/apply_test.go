package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lunar/initiator"
	"lunar/iscsi/pdu"
	"lunar/scsi/sam"
)

// enter logs in as an initiator, "" being the default one.
func enter(t *testing.T, e *Engine, name, target string) *initiator.Session {
	t.Helper()
	s, err := initiator.Dial(t.Context(), initiator.Config{Portal: e.Portals()[0], Target: target, Initiator: name})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// refused expects a login to end with a status.
func refused(t *testing.T, e *Engine, name, target string, want pdu.LoginStatus) {
	t.Helper()
	s, err := initiator.Dial(t.Context(), initiator.Config{Portal: e.Portals()[0], Target: target, Initiator: name})
	var status *initiator.LoginError
	if !errors.As(err, &status) || status.Status != want {
		t.Errorf("%q to %s: %v, want %04x", name, target, err, uint16(want))
	}
	if err == nil {
		_ = s.Close()
	}
}

// ended waits for the target to end a session.
func ended(t *testing.T, s *initiator.Session) {
	t.Helper()
	select {
	case <-s.Done():
	case <-time.After(10 * time.Second):
		t.Fatal("the session goes on")
	}
}

func apply(t *testing.T, e *Engine, c Config) {
	t.Helper()
	if err := e.Apply(c); err != nil {
		t.Fatal(err)
	}
}

// twoUnits is an engine with a RAM and a file unit behind one target.
func twoUnits(t *testing.T, reactors int) (*Engine, Config) {
	t.Helper()
	c := testConfig(t, reactors,
		Unit{Medium: RAM, Bytes: 8 << 20, BlockBytes: 512},
		Unit{Medium: File, Path: filepath.Join(t.TempDir(), "disk"), Bytes: 8 << 20, BlockBytes: 512, Direct: "auto"},
	)
	return start(t, c), c
}

// again is a copy of a configuration that may be changed.
func again(c Config) Config {
	c.Groups, c.Units, c.Targets = slices.Clone(c.Groups), slices.Clone(c.Units), slices.Clone(c.Targets)
	for i := range c.Groups {
		c.Groups[i].Portals = slices.Clone(c.Groups[i].Portals)
	}
	for i := range c.Targets {
		c.Targets[i].LUNs = slices.Clone(c.Targets[i].LUNs)
	}
	return c
}

// A session that a change does not concern goes on; what is added is found, what is
// removed is not, and its sessions end.
func TestApply_AddAndRemove(t *testing.T) {
	for reactors := 1; reactors <= 2; reactors++ {
		e, c := twoUnits(t, reactors)
		s := enter(t, e, "", DefaultTarget)
		writeAs(t, s, 0, 3)
		more := again(c)
		more.Units = append(more.Units, Unit{Name: "third", Medium: RAM, Bytes: 8 << 20, BlockBytes: 4096})
		more.Targets = append(more.Targets, Target{Name: "iqn.2026-11.lunar:two", LUNs: []Mapping{{Number: 7, Unit: "third"}}})
		apply(t, e, more)
		other := enter(t, e, "", "iqn.2026-11.lunar:two")
		writeAs(t, other, 7, 1)
		readAs(t, other, 7, 1)
		readAs(t, s, 0, 3)

		apply(t, e, c)
		ended(t, other)
		refused(t, e, "", "iqn.2026-11.lunar:two", pdu.LoginTargetRemoved)
		refused(t, e, "", "iqn.2026-11.lunar:never", pdu.LoginNotFound)
		readAs(t, s, 0, 3)
		if n := len(e.units); n != 2 {
			t.Errorf("%d units are open", n)
		}
	}
}

// A LUN that is mapped while a session lives is announced and works; one that goes is
// absent, and what it held is closed.
func TestApply_LUNsOfALiveSession(t *testing.T) {
	e, c := twoUnits(t, 2)
	s := enter(t, e, "", DefaultTarget)
	sensed(t, s, 0, 0x2900)
	writeAs(t, s, 1, 2)
	less := again(c)
	less.Targets[0].LUNs = less.Targets[0].LUNs[:1]
	less.Units = less.Units[:1]
	apply(t, e, less)
	sensed(t, s, 0, 0x3f0e)
	sensed(t, s, 1, 0x2500)
	apply(t, e, c) // the file can be locked anew: it had been closed
	sensed(t, s, 0, 0x3f0e)
	readAs(t, s, 1, 2)
}

// sensed runs TEST UNIT READY, which ends with this sense, and takes what other
// attentions wait behind it.
func sensed(t *testing.T, s *initiator.Session, lun uint16, code uint16) {
	t.Helper()
	got := testReady(t, s, lun)
	if got != code {
		t.Errorf("LUN %d: sense %04x, want %04x", lun, got, code)
	}
	for range 4 {
		if c := testReady(t, s, lun); c == 0 || c == got {
			return
		}
	}
}

// A unit grows and shrinks under a session, which is told.
func TestApply_Resize(t *testing.T) {
	e, c := twoUnits(t, 2)
	s := enter(t, e, "", DefaultTarget)
	d, err := initiator.OpenDisk(t.Context(), s, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, bytes := range []int64{32 << 20, 4 << 20} {
		sized := again(c)
		sized.Units[1].Bytes = bytes
		apply(t, e, sized)
		sensed(t, s, 1, 0x2a09)
		blocks, _, err := d.ReadCapacity16(t.Context())
		if err != nil || int64(blocks)*512 != bytes {
			t.Errorf("%d blocks, %v, want %d bytes", blocks, err, bytes)
		}
		if st, err := os.Stat(c.Units[1].Path); err != nil || st.Size() != bytes {
			t.Errorf("the file: %v, %v", st, err)
		}
		if _, err := d.WriteAt(make([]byte, 4096), bytes-4096); err != nil && bytes < 8<<20 {
			t.Errorf("the last block: %v", err)
		}
	}
}

// Nothing is changed by a configuration that is wrong, or of which a part cannot be
// had, whatever else it holds.
func TestApply_Refusals_ChangeNothing(t *testing.T) {
	e, c := twoUnits(t, 1)
	s := enter(t, e, "", DefaultTarget)
	good := again(c)
	good.Units = append(good.Units, Unit{Name: "new", Medium: RAM, Bytes: 1 << 20, BlockBytes: 512})
	good.Targets[0].LUNs = append(good.Targets[0].LUNs, Mapping{Number: 9, Unit: "new"})
	for name, k := range map[string]struct {
		change func(c *Config)
		words  string
	}{
		"check":    {func(c *Config) { c.Targets[0].Name = "x" }, "iSCSI name"},
		"reactors": {func(c *Config) { c.CPUs = []int{-1, -1} }, "restart"},
		"state":    {func(c *Config) { c.State = "/nowhere" }, "restart"},
		"file": {func(c *Config) {
			c.Units = append(c.Units, Unit{Name: "f", Medium: File, Path: "/nowhere/f", BlockBytes: 512})
		}, "/nowhere/f"},
		"portal":   {func(c *Config) { c.Groups[0].Portals = append(c.Groups[0].Portals, "192.0.2.1:1") }, "192.0.2.1:1"},
		"ram size": {func(c *Config) { c.Units[0].Bytes *= 2 }, "keeps its size"},
		"blocks":   {func(c *Config) { c.Units[1].BlockBytes = 4096 }, "only name and size"},
	} {
		wrong := again(good)
		k.change(&wrong)
		err := e.Apply(wrong)
		if err == nil || !strings.Contains(err.Error(), k.words) {
			t.Errorf("%s: %v", name, err)
		}
		sensed(t, s, 9, 0x2500)
		if len(e.units) != 2 || len(e.Portals()) != 1 {
			t.Errorf("%s: %d units, portals %v", name, len(e.units), e.Portals())
		}
	}
	apply(t, e, good)
	if code := testReady(t, s, 9); code != 0x2900 {
		t.Errorf("the new unit: %04x", code)
	}
}

// Portals come and go; sessions stay when the one they came through goes.
func TestApply_Portals(t *testing.T) {
	e, c := twoUnits(t, 2)
	s := enter(t, e, "", DefaultTarget)
	moved := again(c)
	moved.Groups[0].Portals = []string{"127.0.0.2:0", "127.0.0.3:0"}
	for range 3 {
		before := e.Portals()[0]
		apply(t, e, moved)
		if p := e.Portals(); len(p) != 2 || slices.Contains(p, before) {
			t.Fatalf("portals %v after %s", p, before)
		}
		readBack(t, enter(t, e, "", DefaultTarget))
		readBack(t, s)
		if _, err := initiator.Connect(t.Context(), before); err == nil {
			t.Errorf("%s still answers", before)
		}
		apply(t, e, c)
	}
}

func readBack(t *testing.T, s *initiator.Session) {
	t.Helper()
	writeAs(t, s, 0, 1)
	readAs(t, s, 0, 1)
}

// Changes under load: every command ends, and what was written is read.
func TestApply_UnderLoad(t *testing.T) {
	e, c := twoUnits(t, 2)
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for n := range 4 {
		d, err := initiator.OpenDisk(t.Context(), enter(t, e, "", DefaultTarget), 0)
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			for lap := 0; ctx.Err() == nil; lap++ {
				if err := writeAndRead(d, byte(n), lap); err != nil {
					t.Errorf("session %d: %v", n, err)
					return
				}
			}
		})
	}
	for i := range 20 {
		next := again(c)
		next.Units[1].Bytes = int64(8+i) << 20
		if i%2 == 0 {
			next.Targets[0].LUNs = append(next.Targets[0].LUNs, Mapping{Number: 300, Unit: c.Units[1].Name})
		}
		apply(t, e, next)
	}
	stop()
	wg.Wait()
}

// writeAndRead writes a pattern of this lap and reads it, as a host does that asks
// again after a unit attention.
func writeAndRead(d *initiator.Disk, n byte, lap int) error {
	want := bytes.Repeat([]byte{n, byte(lap)}, 4096)
	got := make([]byte, len(want))
	at := int64(n) << 20
	if err := insist(func() error { _, err := d.WriteAt(want, at); return err }); err != nil {
		return err
	}
	if err := insist(func() error { _, err := d.ReadAt(got, at); return err }); err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("lap %d: other data", lap)
	}
	return nil
}

// insist asks again as long as unit attentions answer.
func insist(f func() error) (err error) {
	for range 64 {
		var sense *initiator.SCSIError
		if err = f(); !errors.As(err, &sense) || sense.Key != sam.UnitAttention {
			return err
		}
	}
	return err
}
