package file

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lunar/lun/blk"
	"lunar/lun/blk/blktest"
	"lunar/lun/file/filetest"
	"lunar/reactor"

	"golang.org/x/sys/unix"
)

const testBytes = 2 << 20

func openTest(t testing.TB, change ...func(*Config)) *Backend {
	t.Helper()
	cfg := Config{
		Path: filepath.Join(t.TempDir(), "disk"), Bytes: testBytes, BlockBytes: 512, Create: true,
	}
	for _, f := range change {
		f(&cfg)
	}
	b, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if b.fd >= 0 && !b.SyncFailed() {
			if err := b.Close(); err != nil {
				t.Error(err)
			}
		} else if err := b.release(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func subject(t testing.TB, b *Backend, f filetest.Fault) (blktest.Subject, *filetest.Loop) {
	l := &filetest.Loop{T: t, Fault: f}
	s := l.Subject(b, b.NewQueue(l, filetest.Kind, filetest.Index))
	s.Keeps = b.about.Async
	return s, l
}

var one = filetest.One

func TestFile_Suite(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"auto512":    func(*Config) {},
		"auto4096":   func(c *Config) { c.BlockBytes = 4096 },
		"buffered":   func(c *Config) { c.Direct = Off },
		"syncwrites": func(c *Config) { c.SyncWrites = true },
	} {
		t.Run(name, func(t *testing.T) {
			blktest.Run(t, func(t testing.TB) blktest.Subject {
				s, _ := subject(t, openTest(t, change), nil)
				return s
			})
		})
	}
}

func TestFile_SuiteReadOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disk")
	if err := openTest(t, func(c *Config) { c.Path = path }).Close(); err != nil {
		t.Fatal(err)
	}
	blktest.Run(t, func(t testing.TB) blktest.Subject {
		s, _ := subject(t, openTest(t, func(c *Config) { c.Path, c.ReadOnly = path, true }), nil)
		return s
	})
}

// Short and interrupted operations go on where they stopped, and nobody above
// can tell.
func TestFile_Suite_ShortAndInterrupted(t *testing.T) {
	turn := 0
	trouble := func(op *reactor.Op) (int32, int) {
		switch turn++; turn % 5 {
		case 0:
			return -int32(unix.EINTR), 0
		case 1:
			return -int32(unix.EAGAIN), 0
		case 2:
			return 0, 512
		case 3:
			return 0, len(op.Data) / 2 &^ 511
		}
		return 0, 0
	}
	blktest.Run(t, func(t testing.TB) blktest.Subject {
		s, _ := subject(t, openTest(t), trouble)
		return s
	})
}

// A file system without range operations gets zeros written instead.
func TestFile_Suite_NoRangeOperations(t *testing.T) {
	for _, syncWrites := range []bool{false, true} {
		none := func(op *reactor.Op) (int32, int) {
			if op.Code == reactor.Zero || op.Code == reactor.Discard {
				return -int32(unix.EOPNOTSUPP), 0
			}
			return 0, 0
		}
		blktest.Run(t, func(t testing.TB) blktest.Subject {
			s, _ := subject(t, openTest(t, func(c *Config) { c.SyncWrites = syncWrites }), none)
			s.Keeps = true // zeros were written
			return s
		})
	}
}

func TestFile_Durability_FlagsFollowTheContract(t *testing.T) {
	for _, k := range []struct {
		syncWrites, fua, dsync bool
	}{{false, false, false}, {false, true, true}, {true, false, true}, {true, true, true}} {
		b := openTest(t, func(c *Config) { c.SyncWrites = k.syncWrites })
		if b.Info().VolatileCache == k.syncWrites {
			t.Errorf("SyncWrites %v: VolatileCache %v", k.syncWrites, b.Info().VolatileCache)
		}
		s, l := subject(t, b, nil)
		r := &blk.Request{Op: blk.Write, FUA: k.fua, Length: 4096, Data: filetest.Aligned(t, 4096)}
		if one(t, s, r) != blk.OK || l.Seen[0].Flags&reactor.DSync != 0 != k.dsync {
			t.Errorf("%+v: result %d, flags %d", k, r.Result, l.Seen[0].Flags)
		}
		for _, op := range []blk.Op{blk.Discard, blk.Zero} {
			l.Seen = nil
			if got := one(t, s, &blk.Request{Op: op, Length: 4096}); got != blk.OK {
				t.Errorf("op %d: result %d", op, got)
			}
			// Where the file system cannot zero a range, durable zeros are written.
			last := &l.Seen[len(l.Seen)-1]
			durable := last.Code == reactor.Sync || last.Code == reactor.Write && last.Flags&reactor.DSync != 0
			if durable != k.syncWrites {
				t.Errorf("%+v: op %d durable %v", k, op, durable)
			}
		}
	}
}

// A flush that failed is never followed by one that is called good.
func TestFile_SyncFails_StaysFailedUntilReopened(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disk")
	b := openTest(t, func(c *Config) { c.Path = path })
	failing := true
	s, l := subject(t, b, func(op *reactor.Op) (int32, int) {
		if failing && op.Code == reactor.Sync {
			return -int32(unix.EIO), 0
		}
		return 0, 0
	})
	sync := &blk.Request{Op: blk.Sync}
	if one(t, s, sync) != blk.MediumError {
		t.Fatalf("result %d", sync.Result)
	}
	failing = false
	if one(t, s, sync) != blk.MediumError || l.Count(reactor.Sync) != 1 {
		t.Fatalf("second flush: result %d, %d operations", sync.Result, l.Count(reactor.Sync))
	}
	other, _ := subject(t, b, nil)
	if one(t, other, sync) != blk.MediumError {
		t.Fatalf("another queue: result %d", sync.Result)
	}
	if err := b.Close(); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("close: %v", err)
	}
	again, _ := subject(t, openTest(t, func(c *Config) { c.Path = path }), nil)
	if one(t, again, sync) != blk.OK {
		t.Errorf("reopened: result %d", sync.Result)
	}
}

func TestFile_DSyncFailsThroughThePageCache_FlushFailsToo(t *testing.T) {
	for _, k := range []struct {
		direct Mode
		errno  unix.Errno
		want   blk.Result
	}{{Off, unix.EIO, blk.MediumError}, {Off, unix.ENOSPC, blk.OK}, {Auto, unix.EIO, blk.OK}} {
		b := openTest(t, func(c *Config) { c.Direct = k.direct })
		if k.direct == Auto && !b.Direct() {
			continue // this file system has no way past the page cache
		}
		s, _ := subject(t, b, func(op *reactor.Op) (int32, int) {
			if op.Code == reactor.Write {
				return -int32(k.errno), 0
			}
			return 0, 0
		})
		one(t, s, &blk.Request{Op: blk.Write, FUA: true, Length: 512, Data: filetest.Aligned(t, 512)})
		if got := one(t, s, &blk.Request{Op: blk.Sync}); got != k.want {
			t.Errorf("%+v: flush result %d", k, got)
		}
	}
}

func TestFile_CutUnderUs_ReadIsAMediumError(t *testing.T) {
	b := openTest(t)
	if err := unix.Ftruncate(b.fd, 4096); err != nil {
		t.Fatal(err)
	}
	s, _ := subject(t, b, nil)
	r := &blk.Request{Op: blk.Read, Length: 8192, Data: filetest.Aligned(t, 8192)}
	if one(t, s, r) != blk.MediumError {
		t.Errorf("result %d", r.Result)
	}
}

func TestOpen_CreatesSparseAndFindsItAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disk")
	b := openTest(t, func(c *Config) { c.Path, c.Bytes = path, 1<<30 })
	var st unix.Stat_t
	if err := unix.Fstat(b.fd, &st); err != nil || st.Size != 1<<30 || st.Blocks > 64 || st.Mode&0o777 != 0o600 {
		t.Errorf("size %d, %d sectors, mode %o, %v", st.Size, st.Blocks, st.Mode, err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	again := openTest(t, func(c *Config) { c.Path, c.Bytes, c.Create = path, 0, false })
	if again.Info().Bytes != 1<<30 || again.Describe() != "file "+path {
		t.Errorf("%+v %s", again.Info(), again.Describe())
	}
}

// Every refusal names the file and says what to do about it.
func TestOpen_Refusals(t *testing.T) {
	dir := t.TempDir()
	make := func(name string, size int64) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, size); err != nil {
			t.Fatal(err)
		}
		return path
	}
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, k := range map[string]struct {
		cfg  Config
		want []string
	}{
		"missing":    {Config{Path: filepath.Join(dir, "no"), BlockBytes: 512}, []string{"no such file", "create"}},
		"no size":    {Config{Path: filepath.Join(dir, "no"), BlockBytes: 512, Create: true}, []string{"size"}},
		"mismatch":   {Config{Path: make("a", 8192), Bytes: 4096, BlockBytes: 512}, []string{"8192", "4096", "resize"}},
		"not blocks": {Config{Path: make("b", 8704), BlockBytes: 4096}, []string{"8704", "4096", "resize"}},
		"empty":      {Config{Path: make("c", 0), Bytes: 4096, BlockBytes: 512, Create: true}, []string{"empty"}},
		"fifo":       {Config{Path: fifo, BlockBytes: 512}, []string{"not a regular file"}},
		"block size": {Config{Path: make("d", 8192), BlockBytes: 1024}, []string{"1024", "512"}},
		"odd size":   {Config{Path: make("e", 8192), Bytes: 8193, BlockBytes: 512}, []string{"8193"}},
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
	if _, err := os.Stat(filepath.Join(dir, "no")); !os.IsNotExist(err) {
		t.Errorf("a refused create left a file: %v", err)
	}
}

func TestOpen_SecondUserIsRefused_AndGetsInWhenTheFirstLeaves(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disk")
	first := openTest(t, func(c *Config) { c.Path = path })
	_, err := Open(Config{Path: path, BlockBytes: 512})
	if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "another process") {
		t.Fatalf("second user: %v", err)
	}
	time.AfterFunc(60*time.Millisecond, func() {
		if err := first.Close(); err != nil {
			t.Error(err)
		}
	})
	second, err := Open(Config{Path: path, BlockBytes: 512, LockWait: 30 * time.Second})
	if err != nil {
		t.Fatalf("after the first left: %v", err)
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
}

// The page cache is bypassed only in blocks the device takes.
func TestOpen_DirectFollowsModeAndAlignment(t *testing.T) {
	if b := openTest(t, func(c *Config) { c.Direct = Off }); b.Direct() {
		t.Error("direct although off")
	}
	b := openTest(t)
	flags, err := unix.FcntlInt(uintptr(b.fd), unix.F_GETFL, 0)
	if err != nil || flags&unix.O_DIRECT != 0 != b.Direct() {
		t.Errorf("flags %#x, direct %v, %v", flags, b.Direct(), err)
	}
	var st unix.Statx_t
	if err := unix.Statx(b.fd, "", unix.AT_EMPTY_PATH, unix.STATX_DIOALIGN, &st); err != nil {
		t.Fatal(err)
	}
	if st.Mask&unix.STATX_DIOALIGN != 0 && b.Direct() != (st.Dio_offset_align > 0 && st.Dio_offset_align <= 512) {
		t.Errorf("alignment %d, direct %v", st.Dio_offset_align, b.Direct())
	}
}

// What is behind another size is refused or found, and the file has it.
func TestFile_Resize(t *testing.T) {
	b := openTest(t)
	s, _ := subject(t, b, nil)
	last := func(bytes int64) blk.Result {
		return one(t, s, &blk.Request{Op: blk.Write, Offset: bytes - 4096, Length: 4096, Data: s.Alloc(4096)})
	}
	for _, bytes := range []int64{2 * testBytes, testBytes / 2} {
		before := b.Info().Bytes
		if err := b.Resize(bytes); err != nil {
			t.Fatal(err)
		}
		st, err := os.Stat(b.path)
		if err != nil || st.Size() != bytes || b.Info().Bytes != bytes {
			t.Fatalf("%d bytes: the file %v, %v, the medium %d", bytes, st, err, b.Info().Bytes)
		}
		if r := last(bytes); r != blk.OK {
			t.Errorf("the last block of %d bytes: %v", bytes, r)
		}
		if r := last(before); before > bytes && r != blk.MediumError {
			t.Errorf("behind the end: %v", r)
		}
	}
	for _, bytes := range []int64{0, -512, 1000} {
		if err := b.Resize(bytes); err == nil || !strings.Contains(err.Error(), "give a multiple") {
			t.Errorf("%d bytes: %v", bytes, err)
		}
	}
}
