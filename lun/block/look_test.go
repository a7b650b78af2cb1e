package block

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lunar/lun/blk"
	"lunar/lun/blk/blktest"
	"lunar/lun/block/blocktest"
	"lunar/lun/file/filetest"
	"lunar/reactor"

	"golang.org/x/sys/unix"
)

func look(t testing.TB, b *Backend, want Sight) {
	t.Helper()
	if got, err := b.Look(); got != want || err != nil {
		t.Fatalf("sight %d, %v; want %d", got, err, want)
	}
}

func writes(t testing.TB, s blktest.Subject, offset int64) blk.Result {
	t.Helper()
	mem := filetest.Aligned(t, 4096)
	mem[0] = 1
	return one(t, s, &blk.Request{Op: blk.Write, Offset: offset, Length: 4096, Data: mem})
}

func TestLook_SizeFollowsTheDevice(t *testing.T) {
	l := blocktest.NewLoop(t, testBytes, 512)
	b := openTest(t, l)
	s, _ := subject(t, b, nil)
	look(t, b, Same)
	if r := writes(t, s, testBytes); r != blk.MediumError {
		t.Errorf("a write behind the end: %d", r)
	}
	l.Resize(t, 2*testBytes)
	look(t, b, Resized)
	look(t, b, Same)
	if r := writes(t, s, testBytes); r != blk.OK || b.Info().Bytes != 2*testBytes {
		t.Errorf("a write into what was added: %d, %d bytes", r, b.Info().Bytes)
	}
	l.Resize(t, testBytes/2)
	// Nobody has looked: the kernel says ENOSPC, which must not be called full.
	if r := writes(t, s, testBytes); r != blk.MediumError {
		t.Errorf("a write into what was cut off: %d", r)
	}
	look(t, b, Resized)
	if r := writes(t, s, testBytes/2); r != blk.MediumError || b.Info().Bytes != testBytes/2 {
		t.Errorf("a write behind the new end: %d, %d bytes", r, b.Info().Bytes)
	}
}

// A device that went has no size any more. Requests say so before anybody has looked and
// after, and what comes back is served.
func TestLook_DeviceGoesAndComesBack(t *testing.T) {
	l := blocktest.NewLoop(t, testBytes, 512)
	b := openTest(t, l)
	s, _ := subject(t, b, nil)
	l.Resize(t, 0)
	read := &blk.Request{Op: blk.Read, Length: 512, Data: filetest.Aligned(t, 512)}
	for range 2 {
		if one(t, s, read) != blk.NotReady || writes(t, s, 0) != blk.NotReady {
			t.Errorf("a read of a device that is gone: %d", read.Result)
		}
		if b.Lost() {
			break
		}
		look(t, b, Lost)
	}
	if r := one(t, s, &blk.Request{Op: blk.Sync}); r != blk.NotReady {
		t.Errorf("a flush: %d", r)
	}
	look(t, b, Same)
	l.Resize(t, testBytes)
	look(t, b, Returned)
	look(t, b, Same)
	if r := writes(t, s, 0); r != blk.OK {
		t.Errorf("a write after the return: %d", r)
	}
}

// A device that comes back under another number is served in place of the old one, and
// another device is not.
func TestLook_SameDeviceUnderAnotherNumber(t *testing.T) {
	l := blocktest.NewLoop(t, testBytes, 512)
	path := filepath.Join(t.TempDir(), "disk")
	point := func(to string) {
		t.Helper()
		if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		if to != "" {
			if err := os.Symlink(to, path); err != nil {
				t.Fatal(err)
			}
		}
	}
	point(l.Path)
	b := openTest(t, l, func(c *Config) { c.Path = path })
	s, _ := subject(t, b, nil)
	l.Resize(t, 0)
	point("")
	look(t, b, Lost)
	look(t, b, Same)

	point(blocktest.NewLoop(t, testBytes, 512).Path)
	if _, err := b.Look(); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "another device") {
		t.Errorf("another device: %v", err)
	}
	if r := writes(t, s, 0); r != blk.NotReady {
		t.Errorf("a write while another device is there: %d", r)
	}

	if err := os.Truncate(l.File, 2*testBytes); err != nil {
		t.Fatal(err)
	}
	point(blocktest.Attach(t, l.File, 512).Path)
	look(t, b, Returned)
	if r := writes(t, s, testBytes); r != blk.OK || b.Info().Bytes != 2*testBytes {
		t.Errorf("a write after the return: %d, %d bytes", r, b.Info().Bytes)
	}
	got, err := os.ReadFile(l.File)
	if err != nil || got[testBytes] != 1 {
		t.Errorf("what was written is not on the device: %v", err)
	}
	look(t, b, Same)
}

// What the kernel says of a device that is gone is no error of the medium, and what it says
// of one that is there is.
func TestBlock_ErrnoBecomesResult(t *testing.T) {
	l := blocktest.NewLoop(t, testBytes, 512)
	b := openTest(t, l)
	var errno unix.Errno
	s, _ := subject(t, b, func(*reactor.Op) (int32, int) { return -int32(errno), 0 })
	for _, k := range []struct {
		errno unix.Errno
		want  blk.Result
	}{
		{unix.EIO, blk.MediumError},
		{unix.ENODATA, blk.MediumError},
		{unix.ENODEV, blk.NotReady},
		{unix.ENXIO, blk.NotReady},
		{unix.ENOLINK, blk.NotReady},
		{unix.ENOSPC, blk.NoSpace},
	} {
		if errno = k.errno; writes(t, s, 0) != k.want {
			t.Errorf("%v on a device that is there: not %d", k.errno, k.want)
		}
	}
	l.Resize(t, 0)
	for _, errno = range []unix.Errno{unix.EIO, unix.ENOSPC, unix.ENODEV} {
		if r := writes(t, s, 0); r != blk.NotReady {
			t.Errorf("%v on a device that is gone: %d", errno, r)
		}
	}
}

// A device whose directory has left sysfs is gone, whatever size it shows: partitions keep
// theirs.
func TestLook_GoneFromSysfs(t *testing.T) {
	b := openTest(t, blocktest.NewLoop(t, testBytes, 512))
	b.node.dir = filepath.Join(t.TempDir(), "gone")
	look(t, b, Lost)
}
