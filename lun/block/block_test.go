package block

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lunar/lun/blk"
	"lunar/lun/blk/blktest"
	"lunar/lun/block/blocktest"
	"lunar/lun/file/filetest"
	"lunar/reactor"

	"golang.org/x/sys/unix"
)

const testBytes = 4 << 20

func openTest(t testing.TB, l *blocktest.Loop, change ...func(*Config)) *Backend {
	t.Helper()
	cfg := Config{Path: l.Path}
	for _, f := range change {
		f(&cfg)
	}
	b, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil && !b.Lost() {
			t.Error(err)
		}
	})
	return b
}

func subject(t testing.TB, b *Backend, f filetest.Fault) (blktest.Subject, *filetest.Loop) {
	l := &filetest.Loop{T: t, Fault: f}
	s := l.Subject(b, b.NewQueue(l, filetest.Kind, filetest.Index))
	s.Keeps = true // a device does not tell of its holes
	return s, l
}

func TestBlock_Suite(t *testing.T) {
	for name, k := range map[string]struct {
		sector int
		change func(*Config)
	}{
		"512":        {512, func(*Config) {}},
		"4096":       {4096, func(*Config) {}},
		"4096on512":  {512, func(c *Config) { c.BlockBytes = 4096 }},
		"syncwrites": {512, func(c *Config) { c.SyncWrites = true }},
	} {
		t.Run(name, func(t *testing.T) {
			blktest.Run(t, func(t testing.TB) blktest.Subject {
				s, _ := subject(t, openTest(t, blocktest.NewLoop(t, testBytes, k.sector), k.change), nil)
				return s
			})
		})
	}
}

func TestBlock_SuiteReadOnly(t *testing.T) {
	blktest.Run(t, func(t testing.TB) blktest.Subject {
		file := filepath.Join(t.TempDir(), "behind")
		if err := os.WriteFile(file, make([]byte, testBytes), 0o600); err != nil {
			t.Fatal(err)
		}
		s, _ := subject(t, openTest(t, blocktest.Attach(t, file, 512, "--read-only")), nil)
		return s
	})
}

// A device without range operations gets zeros written instead.
func TestBlock_Suite_NoRangeOperations(t *testing.T) {
	none := func(op *reactor.Op) (int32, int) {
		if op.Code == reactor.Zero || op.Code == reactor.Discard {
			return -int32(unix.EOPNOTSUPP), 0
		}
		return 0, 0
	}
	blktest.Run(t, func(t testing.TB) blktest.Subject {
		s, _ := subject(t, openTest(t, blocktest.NewLoop(t, testBytes, 512)), none)
		return s
	})
}

func TestBlock_Info_IsTheDevices(t *testing.T) {
	for _, sector := range []uint32{512, 4096} {
		i := openTest(t, blocktest.NewLoop(t, testBytes, int(sector))).Info()
		want := blk.Info{
			Bytes: testBytes, BlockBytes: sector, PhysicalBytes: i.PhysicalBytes, Thin: true,
			DiscardBytes: i.DiscardBytes, VolatileCache: true, Rotational: i.Rotational, OptimalBytes: i.OptimalBytes,
		}
		if i != want || i.DiscardBytes < sector || i.PhysicalBytes < sector {
			t.Errorf("%+v", i)
		}
	}
	// What is behind the last whole block of the unit is not used.
	l := blocktest.NewLoop(t, testBytes+512, 512)
	if i := openTest(t, l, func(c *Config) { c.BlockBytes = 4096 }).Info(); i.Bytes != testBytes || i.BlockBytes != 4096 {
		t.Errorf("%+v", i)
	}
}

// A discard gives room back, and with it everything that was written is durable or not as
// the unit says.
func TestBlock_Discard_GivesRoomBack(t *testing.T) {
	b := openTest(t, blocktest.NewLoop(t, testBytes, 4096))
	s, _ := subject(t, b, nil)
	mem := filetest.Aligned(t, blk.MaxRequestBytes)
	copy(mem, bytes.Repeat([]byte{7}, len(mem)))
	used := func() int64 {
		t.Helper()
		if r := one(t, s, &blk.Request{Op: blk.Sync}); r != blk.OK {
			t.Fatalf("flush: %d", r)
		}
		u, err := b.Usage()
		if err != nil || !u.Known || u.Available <= 0 {
			t.Fatalf("%+v %v", u, err)
		}
		return u.Used
	}
	empty := used()
	one(t, s, &blk.Request{Op: blk.Write, Length: int64(len(mem)), Data: mem})
	if n := used(); n < empty+int64(len(mem)) {
		t.Errorf("%d bytes used after a write of %d, %d before", n, len(mem), empty)
	}
	one(t, s, &blk.Request{Op: blk.Discard, Length: int64(len(mem))})
	if n := used(); n > empty+64<<10 {
		t.Errorf("%d bytes used after a discard, %d at first", n, empty)
	}
	one(t, s, &blk.Request{Op: blk.Zero, Length: int64(len(mem))})
	if n := used(); n < empty+int64(len(mem)) {
		t.Errorf("%d bytes used after zeros that are to be allocated, %d at first", n, empty)
	}
}

var one = filetest.One

// Every refusal names the device and says what to do about it.
func TestOpen_Refusals(t *testing.T) {
	small, held, mounted := blocktest.NewLoop(t, testBytes, 4096), blocktest.NewLoop(t, testBytes, 512), blocktest.NewLoop(t, 16<<20, 512)
	openTest(t, held)
	mounted.Format(t, "ext4")
	dir := mounted.Mount(t, "ext4")
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, make([]byte, 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, k := range map[string]struct {
		cfg  Config
		want []string
	}{
		"missing":     {Config{Path: "/dev/nosuch"}, []string{"no such file", "check the path"}},
		"file":        {Config{Path: file}, []string{"not a block device", "medium file"}},
		"block size":  {Config{Path: small.Path, BlockBytes: 512}, []string{"4096", "512", "bs=4096"}},
		"odd":         {Config{Path: small.Path, BlockBytes: 8192}, []string{"8192", "use 512 or 4096"}},
		"held":        {Config{Path: held.Path, LockWait: 50 * time.Millisecond}, []string{"another program", "waited 50ms", "stop it"}},
		"mounted":     {Config{Path: mounted.Path, LockWait: time.Hour}, []string{"mounted on " + dir, "umount"}},
		"not a block": {Config{Path: "/dev/null"}, []string{"not a block device"}},
	} {
		b, err := Open(k.cfg)
		if err == nil {
			_ = b.Close()
			t.Errorf("%s: opened", name)
			continue
		}
		for _, word := range append(k.want, k.cfg.Path) {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("%s: %q does not say %q", name, err, word)
			}
		}
	}
}

// While a unit is served nobody mounts its device, and afterwards they may.
func TestOpen_KeepsMountsAway(t *testing.T) {
	l := blocktest.NewLoop(t, 16<<20, 512)
	l.Format(t, "ext4")
	b, err := Open(Config{Path: l.Path})
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(l.Path, t.TempDir(), "ext4", 0, ""); !errors.Is(err, unix.EBUSY) {
		t.Errorf("mount of a device that is served: %v", err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	l.Mount(t, "ext4")
}

// Who comes while a predecessor is ending waits for it.
func TestOpen_WaitsForThePredecessor(t *testing.T) {
	l := blocktest.NewLoop(t, testBytes, 512)
	first, err := Open(Config{Path: l.Path})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	time.AfterFunc(100*time.Millisecond, func() { ended <- first.Close() })
	openTest(t, l, func(c *Config) { c.LockWait = time.Minute })
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
