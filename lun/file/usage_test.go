package file

import (
	"os"
	"path/filepath"
	"testing"

	"lunar/lun/blk"
	"lunar/lun/block/blocktest"
	"lunar/lun/file/filetest"
)

// A file on a store of its own: what it takes of it and what is left add up, the store gets
// full with NoSpace, and what is discarded can be used again.
func TestFile_StoreGetsFull(t *testing.T) {
	l := blocktest.NewLoop(t, 16<<20, 512)
	l.Format(t, "ext4")
	b := openTest(t, func(c *Config) { c.Path, c.Bytes = filepath.Join(l.Mount(t, "ext4"), "disk"), 64<<20 })
	defer func() { _ = os.Remove(b.path) }()
	s, _ := subject(t, b, nil)
	usage := func() blk.Usage {
		t.Helper()
		if r := one(t, s, &blk.Request{Op: blk.Sync}); r != blk.OK {
			t.Fatalf("flush: %d", r)
		}
		u, err := b.Usage()
		if err != nil || !u.Known {
			t.Fatalf("%+v %v", u, err)
		}
		return u
	}
	empty := usage()
	mem := filetest.Aligned(t, blk.MaxRequestBytes)
	mem[0] = 1
	result, at := blk.OK, int64(0)
	for ; result == blk.OK && at < 64<<20; at += int64(len(mem)) {
		result = one(t, s, &blk.Request{Op: blk.Write, Offset: at, Length: int64(len(mem)), Data: mem})
	}
	if result != blk.NoSpace {
		t.Fatalf("a write to a full store: %d", result)
	}
	full := usage()
	if full.Used < empty.Available/2 || full.Available > 1<<20 {
		t.Errorf("%+v when full, %+v when empty", full, empty)
	}
	if r := one(t, s, &blk.Request{Op: blk.Discard, Length: 4 << 20}); r != blk.OK {
		t.Fatalf("discard: %d", r)
	}
	if u := usage(); full.Used-u.Used != 4<<20 || u.Available < full.Available+3<<20 {
		t.Errorf("%+v after a discard of 4 MiB, %+v before", u, full)
	}
	if r := one(t, s, &blk.Request{Op: blk.Write, Length: int64(len(mem)), Data: mem}); r != blk.OK {
		t.Errorf("a write into what was freed: %d", r)
	}
}
