package engine

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"

	"lunar/initiator"
	"lunar/scsi/sam"
)

// designatorOf reads the NAA designator of a unit from VPD page 83h.
func designatorOf(t *testing.T, s *initiator.Session, lun uint16) []byte {
	t.Helper()
	testReady(t, s, lun)
	in := make([]byte, 255)
	r, err := s.Do(t.Context(), initiator.Command{LUN: sam.LUNOf(lun), CDB: []byte{0x12, 1, 0x83, 0, 255, 0}, In: in})
	if err != nil || r.Status != sam.Good || in[5] != 0x03 || in[7] != 16 {
		t.Fatalf("page 83h: %v, %02x, %x", err, r.Status, in[:24])
	}
	return in[8:24]
}

// copyBlocks sends an EXTENDED COPY of blocks to LUN 0, from one unit to another.
func copyBlocks(ctx context.Context, s *initiator.Session, source, destination []byte, from, to uint64, blocks uint16) (initiator.Result, error) {
	list := make([]byte, 16)
	for _, id := range [][]byte{source, destination} {
		list = append(list, 0xe4, 0, 0, 0, 1, 3, 0, 16)
		list = append(append(list, id...), 0, 0, 0, 0, 0, 0, 2, 0)
	}
	list = append(list, 2, 0, 0, 0x18, 0, 0, 0, 1, 0, 0, byte(blocks>>8), byte(blocks))
	list = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(list, from), to)
	list[3], list[11] = 64, 28
	cdb := make([]byte, 16)
	cdb[0], cdb[13] = 0x83, byte(len(list))
	return s.Do(ctx, initiator.Command{CDB: cdb, Out: list})
}

// A copy between a unit in memory and one in a file, at home on one reactor or two, within
// one of them, and what RECEIVE COPY RESULTS tells of the last.
func TestCopy_OverSockets(t *testing.T) {
	for reactors := 1; reactors <= 2; reactors++ {
		e, _ := twoUnits(t, reactors)
		s := enter(t, e, "", DefaultTarget)
		ids := [][]byte{designatorOf(t, s, 0), designatorOf(t, s, 1)}
		var disks []*initiator.Disk
		for lun := range uint16(2) {
			d, err := initiator.OpenDisk(t.Context(), s, lun)
			if err != nil {
				t.Fatal(err)
			}
			disks = append(disks, d)
		}
		want, got := make([]byte, 3<<20), make([]byte, 3<<20)
		for i := range want {
			want[i] = byte(rand.Uint32())
		}
		if _, err := disks[0].WriteAt(want, 0); err != nil {
			t.Fatal(err)
		}
		for _, k := range []struct{ source, destination, from, to int }{{0, 1, 0, 4096}, {1, 1, 4096, 77}, {1, 0, 77, 9000}, {0, 0, 9000, 9001}} {
			r, err := copyBlocks(t.Context(), s, ids[k.source], ids[k.destination], uint64(k.from), uint64(k.to), 6144)
			if err != nil || r.Status != sam.Good {
				t.Fatalf("%+v: %v, %02x %x", k, err, r.Status, r.Sense)
			}
			if _, err := disks[k.destination].ReadAt(got, int64(k.to)*512); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%+v: %v, the first difference is at %d", k, err, differ(want, got))
			}
		}
		in := make([]byte, 12)
		r, err := s.Do(t.Context(), initiator.Command{CDB: []byte{0x84, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12, 0, 0}, In: in})
		if err != nil || r.Status != sam.Good || !bytes.Equal(in, []byte{0, 0, 0, 8, 1, 0, 1, 0, 0, 0x30, 0, 0}) {
			t.Errorf("status of the copy: %v, %02x, %x", err, r.Status, in)
		}
		r, err = copyBlocks(t.Context(), s, ids[0], ids[1], 0, 16384, 1)
		if err != nil || r.Status != sam.CheckCondition || r.Sense[2] != 0x0a {
			t.Errorf("behind the end: %v, %02x %x", err, r.Status, r.Sense)
		}
	}
}

// A unit that is taken away while copies read and write it is found by none afterwards, and
// is closed.
func TestCopy_UnitRemoved(t *testing.T) {
	e, c := twoUnits(t, 2)
	s := enter(t, e, "", DefaultTarget)
	near, far := designatorOf(t, s, 0), designatorOf(t, s, 1)
	ended := make(chan error)
	go func() {
		for {
			r, err := copyBlocks(context.Background(), s, near, far, 0, 100, 9000)
			switch {
			case err != nil:
				ended <- err
				return
			case r.Status == sam.Good, r.Sense[2]&0x0f == byte(sam.UnitAttention):
			case senseCode(r) == 0x0d02:
				ended <- nil
				return
			default:
				ended <- errors.New("another end than that the unit is not there")
				return
			}
		}
	}()
	less := again(c)
	less.Units, less.Targets[0].LUNs = less.Units[:1], less.Targets[0].LUNs[:1]
	apply(t, e, less)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if len(e.units) != 1 {
		t.Errorf("%d units are left", len(e.units))
	}
}
