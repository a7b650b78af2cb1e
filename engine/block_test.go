package engine

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lunar/initiator"
	"lunar/lun/blk"
	"lunar/lun/block/blocktest"
	"lunar/scsi/sam"
)

// until asks for as long as a watch may take to see something, several times over.
func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * watchTime); !f(); {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %v", what, 10*watchTime)
		}
		time.Sleep(watchTime / 20)
	}
}

// settled takes the attentions of a new session.
func settled(t *testing.T, s *initiator.Session) *initiator.Disk {
	t.Helper()
	d, err := initiator.OpenDisk(t.Context(), s, 0)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// A device serves like a file: what is written is on it, it keeps its identity over a
// restart, and has the blocks it has.
func TestBlock_ServesADevice(t *testing.T) {
	for _, sector := range []int{512, 4096} {
		for _, ring := range []string{"auto", "epoll"} {
			l := blocktest.NewLoop(t, 8<<20, sector)
			c := testConfig(t, 2, NewUnit("", Block))
			c.Ring, c.Units[0].Path = ring, l.Path
			e, err := Start(c)
			if err != nil {
				t.Fatal(err)
			}
			s := enter(t, e, "", DefaultTarget)
			if d := settled(t, s); d.BlockBytes() != sector || d.Bytes() != 8<<20 {
				t.Errorf("%d bytes in blocks of %d", d.Bytes(), d.BlockBytes())
			}
			writeAs(t, s, 0, 3)
			before := serialNumber(t, s)
			if err := e.Stop(); err != nil {
				t.Fatal(err)
			}
			s = enter(t, start(t, c), "", DefaultTarget)
			readAs(t, s, 0, 3)
			if after := serialNumber(t, s); after != before {
				t.Errorf("another disk after a restart: %q, %q", before, after)
			}
			d := settled(t, s)
			if err := d.Unmap(t.Context(), 0, 4<<20); err != nil {
				t.Error(err)
			}
			got := make([]byte, 4096)
			if _, err := d.ReadAt(got, 3*shareBytes); err != nil || !bytes.Equal(got, make([]byte, len(got))) {
				t.Errorf("an unmapped block: %x, %v", got[:8], err)
			}
		}
	}
}

// serialNumber is the unit serial number (SPC-4 §7.8.17).
func serialNumber(t *testing.T, s *initiator.Session) string {
	t.Helper()
	in := make([]byte, 252)
	r, err := s.Do(t.Context(), initiator.Command{CDB: []byte{0x12, 1, 0x80, 0, 252, 0}, In: in})
	if err != nil || r.Status != sam.Good {
		t.Fatalf("INQUIRY: %v %v", r.Status, err)
	}
	return strings.TrimRight(string(in[4:]), "\x00")
}

// A device that gets another size says so by 2A/09, and what was added can be used.
func TestWatch_SizeOfADevice(t *testing.T) {
	l := blocktest.NewLoop(t, 8<<20, 512)
	c := testConfig(t, 2, NewUnit("", Block))
	c.Units[0].Path = l.Path
	s := enter(t, start(t, c), "", DefaultTarget)
	settled(t, s)
	for _, bytes := range []int64{32 << 20, 4 << 20} {
		l.Resize(t, bytes)
		until(t, "2A/09", func() bool { return testReady(t, s, 0) == 0x2a09 })
		d := settled(t, s)
		if d.Bytes() != bytes {
			t.Errorf("%d bytes, want %d", d.Bytes(), bytes)
		}
		if _, err := d.WriteAt(make([]byte, 4096), bytes-4096); err != nil {
			t.Errorf("the last block of %d bytes: %v", bytes, err)
		}
	}
}

// A device that goes makes its unit not ready, and one that returns is served and
// announced.
func TestWatch_DeviceGoesAndReturns(t *testing.T) {
	l := blocktest.NewLoop(t, 8<<20, 512)
	c := testConfig(t, 2, NewUnit("", Block))
	c.Units[0].Path = l.Path
	e := start(t, c)
	s := enter(t, e, "", DefaultTarget)
	d := settled(t, s)
	read := func() (sam.SenseKey, uint16) {
		r, err := s.Do(t.Context(), initiator.Command{CDB: []byte{0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0}, In: make([]byte, 512)})
		if err != nil {
			t.Fatal(err)
		}
		if r.Status == sam.Good {
			return 0, 0
		}
		return sam.SenseKey(r.Sense[2] & 0xf), senseCode(r)
	}
	l.Resize(t, 0)
	for range 3 {
		if key, code := read(); key != sam.NotReady || code != 0x0400 {
			t.Errorf("a read of a device that is gone: %v %04x", key, code)
		}
		time.Sleep(watchTime / 2)
	}
	// The paths of multipath initiators are asked so.
	until(t, "TEST UNIT READY ends 04/00", func() bool { return testReady(t, s, 0) == 0x0400 })
	l.Resize(t, 8<<20)
	until(t, "28/00", func() bool { _, code := read(); return code == 0x2800 })
	if key, code := read(); key != 0 {
		t.Errorf("a read after the return: %v %04x", key, code)
	}
	if _, err := d.WriteAt(make([]byte, 512), 0); err != nil {
		t.Error(err)
	}
}

// The units of one file system that is full end with 07/27/07, those of others do not, and
// what is freed can be used again.
func TestThin_FullStore(t *testing.T) {
	l := blocktest.NewLoop(t, 16<<20, 512)
	l.Format(t, "ext4")
	dir := l.Mount(t, "ext4")
	c := testConfig(t, 1, Unit{Medium: File, Path: filepath.Join(dir, "disk"), Bytes: 64 << 20, BlockBytes: 4096, Direct: "auto"})
	e := start(t, c)
	s := enter(t, e, "", DefaultTarget)
	d := settled(t, s)
	block := nonzero(1 << 20)
	var refused error
	full := int64(0)
	for ; full < 64<<20 && refused == nil; full += int64(len(block)) {
		_, refused = d.WriteAt(block, full)
	}
	var check *initiator.SCSIError
	if !errors.As(refused, &check) || check.Key != sam.DataProtect || check.Code != 0x2707 {
		t.Fatalf("a write to a full store: %v", refused)
	}
	if err := d.Unmap(t.Context(), 0, 4<<20); err != nil {
		t.Fatal(err)
	}
	if _, err := d.WriteAt(block, 0); err != nil {
		t.Errorf("a write into what was freed: %v", err)
	}
}

// What a medium takes of its store is measured beside the reactors.
func TestWatch_Measures(t *testing.T) {
	l := blocktest.NewLoop(t, 8<<20, 4096)
	e := start(t, testConfig(t, 1,
		Unit{Medium: RAM, Bytes: 8 << 20, BlockBytes: 512},
		Unit{Medium: File, Path: filepath.Join(t.TempDir(), "disk"), Bytes: 8 << 20, BlockBytes: 4096, Direct: "auto"},
		Unit{Medium: Block, Path: l.Path, Direct: "auto", Cache: 1 << 20},
		Unit{Medium: Null, Bytes: 8 << 20, BlockBytes: 512},
	))
	s := enter(t, e, "", DefaultTarget)
	for name, u := range e.units {
		w := u.watch
		if u.cfg.Medium == Null {
			if w != nil {
				t.Errorf("%s has no store to look at", name)
			}
			continue
		}
		// Its goroutine ends here, and the test looks in its place.
		w.stop()
		again := &watch{e: e, u: u, looker: w.looker, meter: w.meter, told: w.told, end: make(chan struct{}), ending: make(chan struct{})}
		defer func() { u.watch = again; go again.run() }()
		again.look()
		before := again.usage
		d, err := initiator.OpenDisk(t.Context(), s, lunOf(e, name))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.WriteAt(nonzero(1<<20), 0); err != nil {
			t.Fatal(err)
		}
		if err := d.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		again.look()
		if n := again.usage.Used - before.Used; n < 1<<20 || n > 1<<20+64<<10 || !again.usage.Known || again.usage.Available <= 0 {
			t.Errorf("%s (%s): %+v, %+v before a write of 1 MiB", name, u.cfg.Medium, again.usage, before)
		}
		if again.complaint != "" || again.usage == (blk.Usage{}) {
			t.Errorf("%s: %q", name, again.complaint)
		}
	}
}

func lunOf(e *Engine, name string) uint16 {
	for _, m := range e.cfg.Targets[0].LUNs {
		if m.Unit == name {
			return m.Number
		}
	}
	return 0
}

// nonzero is n bytes, none of which is zero.
func nonzero(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i) | 1
	}
	return b
}

// A device that cannot be had is refused by a message that names the unit, the device and
// the remedy, and changes nothing.
func TestBlock_Refusals(t *testing.T) {
	l := blocktest.NewLoop(t, 16<<20, 512)
	l.Format(t, "ext4")
	dir := l.Mount(t, "ext4")
	c := testConfig(t, 1, Unit{Medium: RAM, Bytes: 1 << 20, BlockBytes: 512})
	e := start(t, c)
	with := again(c)
	with.Units = append(with.Units, Unit{Name: "disk", Medium: Block, Path: l.Path})
	says(t, e.Apply(with), `unit "disk"`, l.Path, "mounted on "+dir, "umount")
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, make([]byte, 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	with.Units[1].Path = file
	says(t, e.Apply(with), `unit "disk"`, file, "medium file")
	if len(e.units) != 1 {
		t.Errorf("%d units", len(e.units))
	}
}
