//go:build system

package system

import (
	"bytes"
	be "encoding/binary"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"lunar/initiator"
	"lunar/scsi/pi"
	"lunar/scsi/sam"
)

const (
	guardedBlocks = 2048
	guardedBlock  = 512
	// guardedWrite is how many blocks a write has.
	guardedWrite = 8
)

// guardedCDB is READ or WRITE of blocks, with their protection information: by a 32-byte CDB,
// in an additional header segment, where the unit has type 2.
func guardedCDB(kind pi.Type, write bool, lba uint64, blocks uint32, protect byte) []byte {
	cdb := make([]byte, 16)
	if kind == pi.Type2 {
		cdb = make([]byte, 32)
		cdb[0], cdb[7], cdb[9], cdb[10] = 0x7f, 0x18, 0x09, protect<<5
		if write {
			cdb[9] = 0x0b
		}
		be.BigEndian.PutUint64(cdb[12:], lba)
		be.BigEndian.PutUint32(cdb[20:], uint32(lba))
		be.BigEndian.PutUint32(cdb[28:], blocks)
		return cdb
	}
	cdb[0], cdb[1] = 0x88, protect<<5
	if write {
		cdb[0] = 0x8a
	}
	be.BigEndian.PutUint64(cdb[2:], lba)
	be.BigEndian.PutUint32(cdb[10:], blocks)
	return cdb
}

// guardedData is what a write writes, with protection information where it has some.
func guardedData(lba uint64, version byte, protect byte) (b []byte) {
	for i := range guardedWrite {
		data := bytes.Repeat([]byte{version, byte(i)}, guardedBlock/2)
		b = append(b, data...)
		if protect != 0 {
			b = append(b, make([]byte, pi.Bytes)...)
			pi.Tuple{Guard: pi.CRC(data), Application: 1, Reference: uint32(lba) + uint32(i)}.Put(b[len(b)-pi.Bytes:])
		}
	}
	return b
}

// wholeUnit reads all blocks, and fails when the protection information of one does not fit.
func wholeUnit(t *testing.T, s *initiator.Session, kind pi.Type, protect byte) (user []byte) {
	t.Helper()
	wire := guardedBlock
	if protect != 0 {
		wire += pi.Bytes
	}
	in := make([]byte, guardedBlocks*wire)
	r, err := s.Do(t.Context(), initiator.Command{CDB: guardedCDB(kind, false, 0, guardedBlocks, protect), In: in})
	if err != nil || r.Status != sam.Good {
		t.Fatalf("type %d, RDPROTECT %d: %v %x, %v", kind, protect, r.Status, r.Sense, err)
	}
	for ; len(in) > 0; in = in[wire:] {
		user = append(user, in[:guardedBlock]...)
	}
	return user
}

// Whenever the daemon is killed, every block can be read: it holds what was written last, or
// what was being written, and its protection information fits.
func TestProtection_SurvivesKill(t *testing.T) {
	laps := 30
	if testing.Short() {
		laps = 5
	}
	for kind := pi.Type1; kind <= pi.MaxType; kind++ {
		t.Run(fmt.Sprintf("type %d", kind), func(t *testing.T) { t.Parallel(); killGuarded(t, kind, laps) })
	}
}

func killGuarded(t *testing.T, kind pi.Type, laps int) {
	dir := t.TempDir()
	d := serve(t, "--state", dir, "--lun", fmt.Sprintf("file:path=%s,size=1MiB,protection=%d", filepath.Join(dir, "disk"), kind))
	r := rand.New(rand.NewPCG(3, uint64(kind)))
	holds, answered := make([]byte, guardedBlocks), 0 // the version of each block
	for lap := range laps {
		s := host(t, d)
		version := byte(lap + 1)
		const writes = 32
		done := make(chan int, writes)
		pending := map[int]bool{}
		for range writes {
			at := r.IntN(guardedBlocks/guardedWrite) * guardedWrite
			if pending[at] {
				continue
			}
			pending[at] = true
			protect := byte(r.IntN(2))
			q := &initiator.Request{Command: initiator.Command{
				CDB: guardedCDB(kind, true, uint64(at), guardedWrite, protect), Out: guardedData(uint64(at), version, protect),
			}}
			q.Done = func(q *initiator.Request) {
				if q.Err == nil && q.Result.Status == sam.Good {
					done <- at
					return
				}
				done <- -1
			}
			if err := s.Submit(q); err != nil {
				t.Fatal(err)
			}
		}
		s.Flush()
		time.Sleep(time.Duration(r.IntN(15000)) * time.Microsecond)
		d.kill(t)
		for range len(pending) {
			if at := <-done; at >= 0 {
				delete(pending, at)
				answered++
				for i := range guardedWrite {
					holds[at+i] = version
				}
			}
		}
		d.start(t)
		s = host(t, d)
		user := wholeUnit(t, s, kind, 0)
		if again := wholeUnit(t, s, kind, 1); !bytes.Equal(again, user) {
			t.Fatal("with protection information other data is read")
		}
		for n := range guardedBlocks {
			got := user[n*guardedBlock]
			if underWay := pending[n/guardedWrite*guardedWrite]; got != holds[n] && (!underWay || got != version) {
				t.Fatalf("lap %d: block %d has version %d, want %d", lap, n, got, holds[n])
			}
			holds[n] = got
		}
	}
	t.Logf("%d kills, %d writes had been answered", laps, answered)
}

// A FORMAT UNIT that is cut off by kill -9 has happened as a whole after the restart, or not
// at all.
func TestProtection_FormatSurvivesKill(t *testing.T) {
	dir := t.TempDir()
	d := serve(t, "--state", dir, "--lun", fmt.Sprintf("file:path=%s,size=1MiB,protection=1", filepath.Join(dir, "disk")))
	r := rand.New(rand.NewPCG(5, 6))
	kind := pi.Type1
	for lap := range 12 {
		s := host(t, d)
		data := guardedData(0, 0x77, 0)
		if w, err := s.Do(t.Context(), initiator.Command{CDB: guardedCDB(pi.Type0, true, 0, guardedWrite, 0), Out: data}); err != nil || w.Status != sam.Good {
			t.Fatalf("write: %v %x, %v", w.Status, w.Sense, err)
		}
		next := pi.Type(lap%3) + 1
		cdb, list := []byte{0x04, 0xd0, 0, 0, 0, 0}, []byte{0, 0, 0, 0}
		switch next {
		case pi.Type1:
			cdb[1] = 0x90
		case pi.Type3:
			list[0] = 1
		default:
		}
		done := make(chan bool, 1)
		q := &initiator.Request{Command: initiator.Command{CDB: cdb, Out: list}, Done: func(q *initiator.Request) {
			done <- q.Err == nil && q.Result.Status == sam.Good
		}}
		if err := s.Submit(q); err != nil {
			t.Fatal(err)
		}
		s.Flush()
		time.Sleep(time.Duration(r.IntN(12000)) * time.Microsecond)
		d.kill(t)
		good := <-done
		d.start(t)
		s = visitor(t, d)
		now := formattedType(t, s)
		if now != next && (good || now != kind) {
			t.Fatalf("lap %d: type %d, was %d, asked for %d, answered %v", lap, now, kind, next, good)
		}
		first := make([]byte, guardedBlock)
		for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
			q, err := s.Do(t.Context(), initiator.Command{CDB: guardedCDB(pi.Type0, false, 0, 1, 0), In: first})
			if err != nil || time.Now().After(end) {
				t.Fatalf("lap %d: %x, %v", lap, q.Sense, err)
			}
			if q.Status == sam.Good {
				break // until then the operation goes on
			}
		}
		wholeUnit(t, s, now, 1)
		if good && first[0] != 0 {
			t.Fatalf("lap %d: formatted, and a block has %x", lap, first[:4])
		}
		kind = now
	}
}

// formattedType is the protection type that READ CAPACITY(16) says.
func formattedType(t *testing.T, s *initiator.Session) pi.Type {
	t.Helper()
	in := make([]byte, 32)
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		r, err := s.Do(t.Context(), initiator.Command{CDB: []byte{0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0}, In: in})
		if err != nil || time.Now().After(end) {
			t.Fatalf("READ CAPACITY(16): %x, %v", r.Sense, err)
		}
		if r.Status == sam.Good {
			break
		}
	}
	if in[12]&1 == 0 {
		return pi.Type0
	}
	return pi.Type(in[12]>>1&7) + 1
}

// visitor is an initiator of a unit that may be formatted still.
func visitor(t *testing.T, d *daemon) *initiator.Session {
	t.Helper()
	s, err := initiator.Dial(t.Context(), initiator.Config{Portal: d.portal, Target: target})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}
