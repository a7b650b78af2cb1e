package descriptor

import (
	"testing"

	"lunar/lun/blk"

	"golang.org/x/sys/unix"
)

// A hole smaller than a block, or beside one, never hides the data in a block.
func TestMap_BlockMappedInPartIsMapped(t *testing.T) {
	b := newTest(t, func(c *Config) {
		// Blocks as large as several of the file system's, as a larger block size of the
		// unit would have it.
		c.Info.BlockBytes = 16384
	})
	s, _ := subject(t, b, nil)
	for _, at := range []int64{20480, 65536, 69632, 73728, 77824, 81920} {
		if _, err := unix.Pwrite(b.cfg.FD, []byte{1}, at); err != nil {
			t.Fatal(err)
		}
	}
	for _, k := range []struct {
		offset, bytes int64
		hole          bool
	}{{0, 16384, true}, {16384, 16384, false}, {32768, 32768, true}, {65536, 32768, false}, {98304, testBytes - 98304, true}} {
		r := &blk.Request{Op: blk.Map, Offset: k.offset, Length: testBytes - k.offset}
		if one(t, s, r) != blk.OK || r.Progress != k.bytes || r.Hole != k.hole {
			t.Errorf("%+v: result %d, %d bytes, hole %v", k, r.Result, r.Progress, r.Hole)
		}
	}
}

// Behind a file system that may wait nothing is asked and everything is mapped.
func TestMap_AsyncFileSystemIsAllMapped(t *testing.T) {
	b := newTest(t, func(c *Config) { c.Async = true })
	s, l := subject(t, b, nil)
	r := &blk.Request{Op: blk.Map, Offset: 512, Length: testBytes - 512, Hole: true}
	if one(t, s, r) != blk.OK || r.Hole || r.Progress != r.Length || len(l.Seen) != 0 {
		t.Errorf("%+v", r)
	}
}

func TestMap_ErrnoBecomesResult(t *testing.T) {
	for errno, want := range map[unix.Errno]blk.Result{
		unix.EINVAL: blk.OK, unix.EOPNOTSUPP: blk.OK, unix.EIO: blk.MediumError, unix.ESTALE: blk.NotReady,
	} {
		r := &blk.Request{Op: blk.Map, Length: 4096}
		got := unknown(r, errno)
		if got != want || r.Hole || (r.Progress == r.Length) != (got == blk.OK) {
			t.Errorf("%v: result %d, want %d, %d bytes", errno, got, want, r.Progress)
		}
	}
}
