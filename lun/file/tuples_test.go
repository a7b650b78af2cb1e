package file

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"lunar/lun/blk"
)

func openTuples(t *testing.T, path string, blocks uint64) *Backend {
	t.Helper()
	b, err := OpenTuples(path, blocks, false, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// Protection information is eight bytes a block, wherever it begins, and a hole is zeros.
func TestTuples_AreKeptAndHaveTheSizeOfTheUnit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disk")
	b := openTuples(t, path, 1000)
	s, _ := subject(t, b, nil)
	run := func(op blk.Op, block, n int64, data []byte) *blk.Request {
		t.Helper()
		r := &blk.Request{Op: op, Offset: block * 8, Length: n * 8, Data: data}
		for done := s.Queue.Submit([]*blk.Request{r}, nil); len(done) == 0; {
			done = s.Wait(done)
		}
		if r.Result != blk.OK {
			t.Fatalf("op %d: result %d", op, r.Result)
		}
		return r
	}
	run(blk.Write, 7, 3, bytes.Repeat([]byte{0x11}, 24))
	run(blk.Write, 999, 1, bytes.Repeat([]byte{0x22}, 8))
	run(blk.Discard, 8, 1, nil)
	got := run(blk.Read, 6, 5, make([]byte, 40)).Data
	want := append(append(make([]byte, 8), bytes.Repeat([]byte{0x11}, 8)...), make([]byte, 8)...)
	want = append(append(want, bytes.Repeat([]byte{0x11}, 8)...), make([]byte, 8)...)
	if !bytes.Equal(got, want) {
		t.Errorf("%x, want %x", got, want)
	}
	// Cut, and as long again: nothing of what was behind the end comes back.
	for _, bytes := range []int64{999 * 8, 1000 * 8} {
		if err := b.Resize(bytes); err != nil {
			t.Fatal(err)
		}
	}
	if got := run(blk.Read, 999, 1, make([]byte, 8)).Data; !bytes.Equal(got, make([]byte, 8)) {
		t.Errorf("behind a cut: %x", got)
	}
}

// A file that was resized when its process ended gets the size that the unit has.
func TestTuples_AreResizedWhenOpened(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disk")
	for _, blocks := range []uint64{1000, 1500, 300} {
		b, err := OpenTuples(path, blocks, true, 0)
		if err != nil {
			t.Fatal(err)
		}
		st, err := os.Stat(TuplesPath(path))
		if err != nil || st.Size() != int64(blocks)*8 || b.Info().Bytes != st.Size() || b.Info().VolatileCache {
			t.Errorf("%d blocks: %v, %v, %+v", blocks, st.Size(), err, b.Info())
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTuples_Refusals(t *testing.T) {
	dir := t.TempDir()
	held := filepath.Join(dir, "held")
	openTuples(t, held, 8)
	if _, err := OpenTuples(held, 8, false, 0); err == nil {
		t.Error("a second user got in")
	}
	if err := os.Mkdir(filepath.Join(dir, "dir.pi"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenTuples(filepath.Join(dir, "dir"), 8, false, 0); err == nil {
		t.Error("a directory was opened")
	}
	if _, err := OpenTuples(filepath.Join(dir, "none", "disk"), 8, false, 0); err == nil {
		t.Error("a file was made in a directory that is not there")
	}
}
