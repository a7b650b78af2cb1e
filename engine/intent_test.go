package engine

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lunar/initiator"
	"lunar/lun/block/blocktest"
	"lunar/scsi"
	"lunar/scsi/sam"
)

// media are units with a path: a file, and a device.
func media(t *testing.T) []Config {
	t.Helper()
	file := testConfig(t, 2, NewUnit("", File))
	file.Units[0].Path, file.Units[0].Bytes = filepath.Join(t.TempDir(), "f"), 8<<20
	device := testConfig(t, 2, NewUnit("", Block))
	device.Units[0].Path = blocktest.NewLoop(t, 8<<20, 512).Path
	return []Config{file, device}
}

// intended leaves in the state directory what a target leaves there that ends in the middle of a write.
func intended(t *testing.T, c *Config, text []byte) (path string) {
	t.Helper()
	name, err := stateName(c.Units[0])
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(c.State, "writes", name)
	if err := writeDurably(path, text); err != nil {
		t.Fatal(err)
	}
	return path
}

// A write that was under way is done before the unit serves, once.
func TestIntent_IsCarriedOut(t *testing.T) {
	for _, c := range media(t) {
		data := bytes.Repeat([]byte{0x5a}, 64<<10)
		if c.Units[0].Medium == File {
			// The file is there when a write to it was under way.
			if err := start(t, c).Stop(); err != nil {
				t.Fatal(err)
			}
		}
		path := intended(t, &c, (&scsi.Intent{Offset: 1 << 20, Data: data}).Text())
		e := start(t, c)
		d := settled(t, enter(t, e, "", DefaultTarget))
		got := make([]byte, len(data))
		if _, err := d.ReadAt(got, 1<<20); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %v, %x", c.Units[0].Medium, err, got[:4])
		}
		if _, err := os.Stat(path); !os.IsNotExist(err) {
			t.Errorf("%s: it is kept still: %v", c.Units[0].Medium, err)
		}
	}
}

// What cannot be carried out stops the start, and the message names the file and what to do.
func TestIntent_Damaged(t *testing.T) {
	c := media(t)[0]
	text := (&scsi.Intent{Offset: 8<<20 - 512, Data: make([]byte, 1024)}).Text()
	for _, b := range [][]byte{text, text[:len(text)-1], []byte("no such thing")} {
		path := intended(t, &c, b)
		e, err := Start(c)
		if err == nil {
			_ = e.Stop()
			t.Fatal("it starts")
		}
		if !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "remove it") {
			t.Errorf("%v", err)
		}
	}
}

// WRITE ATOMIC(16) leaves no intent behind, is there after a restart, and is refused beyond what page
// B0h says.
func TestIntent_WriteAtomic(t *testing.T) {
	for _, c := range media(t) {
		e, err := Start(c)
		if err != nil {
			t.Fatal(err)
		}
		s := enter(t, e, "", DefaultTarget)
		settled(t, s)
		data := bytes.Repeat([]byte("atomic!\n"), 128<<10)
		for blocks, want := range map[int]sam.Status{2048: sam.Good, 2049: sam.CheckCondition} {
			r, err := s.Do(t.Context(), initiator.Command{
				LUN: sam.LUNOf(0), CDB: []byte{0x9c, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, byte(blocks >> 8), byte(blocks), 0, 0},
				Out: append(data, make([]byte, 512)...)[:blocks*512],
			})
			if r.Status != want {
				t.Errorf("%s: %d blocks: %v %v", c.Units[0].Medium, blocks, r.Status, err)
			}
		}
		if left, err := os.ReadDir(filepath.Join(c.State, "writes")); err != nil || len(left) != 0 {
			t.Errorf("%s: left are %v %v", c.Units[0].Medium, left, err)
		}
		if err := e.Stop(); err != nil {
			t.Fatal(err)
		}
		d := settled(t, enter(t, start(t, c), "", DefaultTarget))
		got := make([]byte, len(data))
		if _, err := d.ReadAt(got, 5*512); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %v, %x", c.Units[0].Medium, err, got[:8])
		}
	}
}
