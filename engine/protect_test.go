package engine

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lunar/initiator"
	"lunar/lun/file"
	"lunar/scsi/pi"
	"lunar/scsi/sam"
)

// protectedUnit is a unit that is formatted with a type at first.
func protectedUnit(t *testing.T, m Medium, kind pi.Type, block uint32) Unit {
	t.Helper()
	u := Unit{Medium: m, Bytes: 8 << 20, BlockBytes: block, Direct: "auto", Protects: true, Protection: kind}
	if m == File {
		u.Path = filepath.Join(t.TempDir(), "disk")
	}
	return u
}

// sends runs a command and returns its sense, 0 for GOOD.
func sends(t *testing.T, s *initiator.Session, c initiator.Command) uint32 {
	t.Helper()
	r, err := s.Do(t.Context(), c)
	if err != nil {
		t.Fatalf("CDB %x: %v", c.CDB, err)
	}
	if r.Status == sam.Good {
		return 0
	}
	return uint32(r.Sense[2]&0xf)<<16 | uint32(senseCode(r))
}

// moves reads or writes blocks with their protection information, by a 16-byte CDB or, of a
// unit of type 2, by one of 32 bytes.
func moves(kind pi.Type, write bool, lba uint64, data []byte, wire int) initiator.Command {
	blocks := uint32(len(data) / wire)
	cdb := make([]byte, 16)
	if kind == pi.Type2 {
		cdb = make([]byte, 32)
		cdb[0], cdb[7], cdb[9], cdb[10] = 0x7f, 0x18, 0x09, 0x20
		if write {
			cdb[9] = 0x0b
		}
		binary.BigEndian.PutUint64(cdb[12:], lba)
		binary.BigEndian.PutUint32(cdb[20:], uint32(lba)+5)
		binary.BigEndian.PutUint32(cdb[28:], blocks)
	} else {
		cdb[0], cdb[1] = 0x88, 0x20
		if write {
			cdb[0] = 0x8a
		}
		binary.BigEndian.PutUint64(cdb[2:], lba)
		binary.BigEndian.PutUint32(cdb[10:], blocks)
	}
	if write {
		return initiator.Command{CDB: cdb, Out: data}
	}
	return initiator.Command{CDB: cdb, In: data}
}

// wired is n blocks with what belongs to them.
func wired(kind pi.Type, lba uint64, n, block int, seed byte) (b []byte) {
	reference := uint32(lba)
	if kind == pi.Type2 {
		reference += 5
	}
	for i := range n {
		data := bytes.Repeat([]byte{seed + byte(i), byte(i >> 8)}, block/2)
		b = append(append(b, data...), make([]byte, pi.Bytes)...)
		pi.Tuple{Guard: pi.CRC(data), Application: 0x1234, Reference: reference + uint32(i)}.Put(b[len(b)-pi.Bytes:])
	}
	return b
}

// formattedAs is the protection type that READ CAPACITY(16) says.
func formattedAs(t *testing.T, s *initiator.Session) pi.Type {
	t.Helper()
	in := make([]byte, 32)
	if sense := sends(t, s, initiator.Command{CDB: []byte{0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0}, In: in}); sense != 0 {
		t.Fatalf("READ CAPACITY(16): %06x", sense)
	}
	if in[12]&1 == 0 {
		return pi.Type0
	}
	return pi.Type(in[12]>>1&7) + 1
}

// Units of every type on every medium carry protection information of the initiator over a
// restart, where the medium outlives one; commands without find data that fits.
func TestProtection_OverTheWire(t *testing.T) {
	for _, m := range []Medium{RAM, File} {
		for kind := pi.Type1; kind <= pi.MaxType; kind++ {
			for n, block := range []uint32{512, 4096} {
				t.Run(fmt.Sprintf("%s type %d blocks of %d", m, kind, block), func(t *testing.T) {
					overTheWire(t, protectedUnit(t, m, kind, block), []string{"auto", "epoll"}[n])
				})
			}
		}
	}
}

func overTheWire(t *testing.T, u Unit, ring string) {
	t.Helper()
	kind, wire := u.Protection, int(u.BlockBytes)+pi.Bytes
	c := testConfig(t, 2, u)
	c.Ring = ring
	e, err := Start(c)
	if err != nil {
		t.Fatal(err)
	}
	s := enter(t, e, "", DefaultTarget)
	d := settled(t, s)
	if got := formattedAs(t, s); got != kind {
		t.Errorf("formatted with type %d", got)
	}
	writeAs(t, s, 0, 3)
	readAs(t, s, 0, 3)
	lba := uint64(4<<20) / uint64(u.BlockBytes)
	n := min(1500, (2<<20)/wire)
	sent := wired(kind, lba, n, int(u.BlockBytes), 1)
	if sense := sends(t, s, moves(kind, true, lba, sent, wire)); sense != 0 {
		t.Fatalf("write: %06x", sense)
	}
	look := func(s *initiator.Session) {
		t.Helper()
		got := make([]byte, len(sent))
		if sense := sends(t, s, moves(kind, false, lba, got, wire)); sense != 0 || !bytes.Equal(got, sent) {
			t.Errorf("read: %06x, equal %v", sense, bytes.Equal(got, sent))
		}
	}
	look(s)
	plain := make([]byte, u.BlockBytes)
	if _, err := d.ReadAt(plain, int64(lba+1)*int64(u.BlockBytes)); err != nil || !bytes.Equal(plain, sent[wire:][:u.BlockBytes]) {
		t.Errorf("without protection information: %v", err)
	}
	wrong := bytes.Clone(sent)
	wrong[len(wrong)-1]++ // the reference tag of the last block
	want := uint32(sam.AbortedCommand)<<16 | 0x1003
	if kind == pi.Type3 {
		wrong[wire-7]++ // and the guard of the first
		want = uint32(sam.AbortedCommand)<<16 | 0x1001
	}
	if sense := sends(t, s, moves(kind, true, lba, wrong, wire)); sense != want {
		t.Errorf("a write that does not fit: %06x, want %06x", sense, want)
	}
	look(s)
	if err := e.Stop(); err != nil {
		t.Fatal(err)
	}
	c.Units[0].Protection = pi.Type0 // it is formatted already
	e = start(t, c)
	s = enter(t, e, "", DefaultTarget)
	settled(t, s)
	if got := formattedAs(t, s); got != kind {
		t.Errorf("after a restart formatted with type %d", got)
	}
	if u.Medium == File {
		look(s)
		readAs(t, s, 0, 3)
	}
}

// What is damaged on the disk is found, by commands without protection information too.
func TestProtection_FindsDamageOfTheFile(t *testing.T) {
	u := protectedUnit(t, File, pi.Type1, 512)
	u.Direct = "off"
	e := start(t, testConfig(t, 1, u))
	s := enter(t, e, "", DefaultTarget)
	d := settled(t, s)
	if _, err := d.WriteAt(bytes.Repeat([]byte{0x5a}, 4096), 4096); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(u.Path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if _, err := f.WriteAt([]byte{0x5b}, 4096+3*512); err != nil {
		t.Fatal(err)
	}
	c := initiator.Command{CDB: []byte{0x28, 0, 0, 0, 0, 8, 0, 0, 8, 0}, In: make([]byte, 4096)}
	r, err := s.Do(t.Context(), c)
	if err != nil || len(r.Sense) < 14 || r.Sense[2] != byte(sam.AbortedCommand) || senseCode(r) != 0x1001 || r.Sense[6] != 11 {
		t.Errorf("%v %x, %v", r.Status, r.Sense, err)
	}
	// Unchecked it is read, and written anew it is good.
	if sense := sends(t, s, initiator.Command{CDB: []byte{0x28, 0x60, 0, 0, 0, 8, 0, 0, 8, 0}, In: make([]byte, 8*520)}); sense != 0 {
		t.Errorf("RDPROTECT 011b: %06x", sense)
	}
	if _, err := d.WriteAt(bytes.Repeat([]byte{0x5a}, 512), 4096+3*512); err != nil {
		t.Fatal(err)
	}
	if sense := sends(t, s, c); sense != 0 {
		t.Errorf("written anew: %06x", sense)
	}
}

// FORMAT UNIT gives the unit another type, and nothing that is checked is left of before.
func TestProtection_FormatUnit(t *testing.T) {
	for _, m := range []Medium{RAM, File} {
		c := testConfig(t, 2, protectedUnit(t, m, pi.Type1, 512))
		e, err := Start(c)
		if err != nil {
			t.Fatal(err)
		}
		s := enter(t, e, "", DefaultTarget)
		settled(t, s)
		writeAs(t, s, 0, 3)
		if sense := sends(t, s, initiator.Command{CDB: []byte{0x04, 0xd0, 0, 0, 0, 0}, Out: []byte{1, 0, 0, 0}}); sense != 0 {
			t.Fatalf("FORMAT UNIT: %06x", sense)
		}
		if got := formattedAs(t, s); got != pi.Type3 {
			t.Errorf("formatted with type %d", got)
		}
		got := make([]byte, 520*100)
		if sense := sends(t, s, moves(pi.Type3, false, 0, got, 520)); sense != 0 {
			t.Errorf("read: %06x", sense)
		}
		want := append(make([]byte, 512), bytes.Repeat([]byte{0xff}, 8)...)
		if !bytes.Equal(got, bytes.Repeat(want, 100)) {
			t.Errorf("%s: blocks are not what a format operation leaves: %x", m, got[:16])
		}
		if err := e.Stop(); err != nil {
			t.Fatal(err)
		}
		s = enter(t, start(t, c), "", DefaultTarget)
		settled(t, s)
		if got := formattedAs(t, s); got != pi.Type3 {
			t.Errorf("%s: after a restart formatted with type %d", m, got)
		}
	}
}

// A unit that gets another size has protection information for all its blocks, and nothing
// behind an end comes back.
func TestProtection_Resize(t *testing.T) {
	u := protectedUnit(t, File, pi.Type1, 512)
	c := testConfig(t, 2, u)
	e := start(t, c)
	s := enter(t, e, "", DefaultTarget)
	d := settled(t, s)
	if _, err := d.WriteAt(bytes.Repeat([]byte{7}, 4096), 8<<20-4096); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int64{8<<20 - 512, 8 << 20, 12 << 20} {
		next := again(c)
		next.Units[0].Bytes = size
		apply(t, e, next)
		until(t, "2A/09", func() bool { return testReady(t, s, 0) == 0x2a09 })
		d = settled(t, s)
		if st, err := os.Stat(file.TuplesPath(u.Path)); d.Bytes() != size || err != nil || st.Size() != size/512*8 {
			t.Errorf("%d bytes: %d, tuples %v, %v", size, d.Bytes(), st, err)
		}
		got := make([]byte, 4096)
		if _, err := d.ReadAt(got, size-4096); err != nil {
			t.Errorf("the end of %d bytes: %v", size, err)
		}
		if size == 8<<20 && !bytes.Equal(got[4096-512:], make([]byte, 512)) {
			t.Errorf("what was behind the end came back: %x", got[4096-512:][:8])
		}
	}
	if _, err := d.WriteAt(make([]byte, 4096), 12<<20-4096); err != nil {
		t.Error(err)
	}
}

// Units that cannot have protection information, or would lose it, say so.
func TestProtection_Configuration(t *testing.T) {
	for spec, want := range map[string]string{
		"ram:size=1MiB,protection=4":          "protection=\"4\": use 0 to 3",
		"ram:size=1MiB,protection=":           "use 0 to 3",
		"null:size=1MiB,protection=1":         "leave protection out of a null unit",
		"block:path=/dev/null,protection=1":   "leave protection out of a block unit",
		"file:path=/x,size=1MiB,protection=1": "",
		"ram:size=1MiB,protection=0":          "",
	} {
		u, err := ParseLUN(spec)
		if want == "" && (err != nil || !u.Protects) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, %+v", spec, err, u)
		}
	}
	u := protectedUnit(t, File, pi.Type1, 512)
	c := testConfig(t, 1, u)
	e, err := Start(c)
	if err != nil {
		t.Fatal(err)
	}
	other := again(c)
	other.Units[0].Protection = pi.Type2
	if err := e.Apply(other); err == nil || !strings.Contains(err.Error(), "only name and size") {
		t.Errorf("another type while it serves: %v", err)
	}
	if err := e.Stop(); err != nil {
		t.Fatal(err)
	}
	bare := again(c)
	bare.Units[0].Protects, bare.Units[0].Protection = false, 0
	if _, err := Start(bare); err == nil || !strings.Contains(err.Error(), file.TuplesPath(u.Path)) {
		t.Errorf("without the protection information it has: %v", err)
	}
	if err := os.Remove(u.Path); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(again(c)); err == nil || !strings.Contains(err.Error(), "remove "+file.TuplesPath(u.Path)) {
		t.Errorf("with the protection information of a file that is gone: %v", err)
	}
	both := again(c)
	both.Units = append(both.Units, Unit{Name: "beside", Medium: File, Path: file.TuplesPath(u.Path), Bytes: 1 << 20, BlockBytes: 512, Direct: "auto"})
	if err := both.Check(); err == nil {
		t.Error("a unit on the protection information of another")
	}
}

// With two cores and many commands on the same blocks at once, nobody finds data that does
// not fit.
func TestProtection_UnderLoad(t *testing.T) {
	for _, m := range []Medium{RAM, File} {
		u := protectedUnit(t, m, pi.Type1, 512)
		u.Cache = 1 << 20
		e := start(t, testConfig(t, 2, u))
		errs := make(chan error)
		const sessions = 4
		for n := range sessions {
			s := enter(t, e, fmt.Sprintf("iqn.2026-11.test:load%d", n), DefaultTarget)
			d := settled(t, s)
			go func() {
				buf := make([]byte, 64<<10)
				for i, end := 0, time.Now().Add(300*time.Millisecond); time.Now().Before(end); i++ {
					at := int64((i*7+n)%32) * 4096
					for j := range buf {
						buf[j] = byte(i + n)
					}
					_, err := d.WriteAt(buf, at)
					if err == nil {
						_, err = d.ReadAt(buf, at/2)
					}
					if err == nil && i%16 == 0 {
						err = d.Unmap(t.Context(), at, 4096)
					}
					if err != nil {
						errs <- err
						return
					}
				}
				errs <- nil
			}()
		}
		for range sessions {
			if err := <-errs; err != nil {
				t.Errorf("%s: %v", m, err)
			}
		}
	}
}
