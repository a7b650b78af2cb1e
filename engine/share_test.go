package engine

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"syscall"
	"testing"

	"lunar/initiator"
	"lunar/lun/block/blocktest"
	"lunar/scsi/sam"
)

// twoFiles are units in two files of 64 MiB in a directory.
func twoFiles(t *testing.T, dir string, reactors int) *Engine {
	t.Helper()
	var units []Unit
	for _, name := range []string{"a", "b"} {
		u := NewUnit(name, File)
		u.Path, u.Bytes = filepath.Join(dir, fmt.Sprint(name, reactors)), 64<<20
		units = append(units, u)
	}
	return start(t, testConfig(t, reactors, units...))
}

// allocated is what files take of their file system together, in bytes by its own count of what is
// free.
func allocated(t *testing.T, dir string) int64 {
	t.Helper()
	syscall.Sync()
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		t.Fatal(err)
	}
	return int64(fs.Blocks-fs.Bfree) * fs.Bsize
}

// On a file system that shares blocks EXTENDED COPY takes none, between two files and inside one;
// either side can be written afterwards and the other stays. On another one the copy is as good.
func TestShare_OnFileSystems(t *testing.T) {
	for kind, shares := range map[string]bool{"xfs": true, "ext4": false} {
		t.Run(kind, func(t *testing.T) {
			l := blocktest.NewLoop(t, 512<<20, 512)
			l.Format(t, kind)
			dir := l.Mount(t, kind)
			for reactors := 1; reactors <= 2; reactors++ {
				shareOn(t, dir, reactors, shares)
			}
		})
	}
}

func shareOn(t *testing.T, dir string, reactors int, shares bool) {
	t.Helper()
	e := twoFiles(t, dir, reactors)
	s := enter(t, e, "", DefaultTarget)
	ids := [][]byte{designatorOf(t, s, 0), designatorOf(t, s, 1)}
	disks := []*initiator.Disk{disk(t, s, 0), disk(t, s, 1)}
	const n = 16 << 20
	data, got := make([]byte, n), make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(reactors)}).Read(data)
	if _, err := disks[0].WriteAt(data, 0); err != nil {
		t.Fatal(err)
	}
	before := allocated(t, dir)
	for _, k := range []struct {
		to int
		at int64
	}{{1, 8 << 20}, {0, 32 << 20}} {
		r, err := copyBlocks(t.Context(), s, ids[0], ids[k.to], 0, uint64(k.at/512), n/512)
		if err != nil || r.Status != sam.Good {
			t.Fatalf("copy to %d: %v %v %+v", k.to, err, r.Status, r.Sense)
		}
		if _, err := disks[k.to].ReadAt(got, k.at); err != nil || !bytes.Equal(got, data) {
			t.Fatalf("copy to %d: %v, equal %v", k.to, err, bytes.Equal(got, data))
		}
	}
	if took := allocated(t, dir) - before; shares != (took < n) {
		t.Errorf("two copies of %d bytes took %d", n, took)
	}
	if _, err := disks[0].WriteAt(make([]byte, n), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := disks[1].ReadAt(got, 8<<20); err != nil || !bytes.Equal(got, data) {
		t.Errorf("a write to the source is seen in the copy: %v", err)
	}
	// The file system is unmounted before what the test began ends by itself.
	if err := errors.Join(s.Close(), e.Stop()); err != nil {
		t.Error(err)
	}
}

func disk(t *testing.T, s *initiator.Session, lun uint16) *initiator.Disk {
	t.Helper()
	d, err := initiator.OpenDisk(t.Context(), s, lun)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
