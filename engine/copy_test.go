package engine

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

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

// copyCommand is an EXTENDED COPY with two CSCD descriptors and so many equal segments.
func copyCommand(list []byte, segments int, from, to uint64, blocks uint16) initiator.Command {
	for range segments {
		list = append(list, 2, 0, 0, 0x18, 0, 0, 0, 1, 0, 0, byte(blocks>>8), byte(blocks))
		list = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(list, from), to)
	}
	list[3] = 64
	binary.BigEndian.PutUint32(list[8:], uint32(28*segments))
	cdb := make([]byte, 16)
	cdb[0] = 0x83
	binary.BigEndian.PutUint32(cdb[10:], uint32(len(list)))
	return initiator.Command{CDB: cdb, Out: list}
}

// copyBlocks sends an EXTENDED COPY of blocks to LUN 0, from one unit to another.
func copyBlocks(ctx context.Context, s *initiator.Session, source, destination []byte, from, to uint64, blocks uint16) (initiator.Result, error) {
	list := make([]byte, 16)
	for _, id := range [][]byte{source, destination} {
		list = append(list, 0xe4, 0, 0, 0, 1, 3, 0, 16)
		list = append(append(list, id...), make([]byte, 8)...)
	}
	return s.Do(ctx, copyCommand(list, 1, from, to, blocks))
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

// longCopy begins a copy of 16 GiB within LUN 0 and returns when it is under way.
func longCopy(ctx context.Context, t *testing.T, s *initiator.Session) (ended chan initiator.Result) {
	t.Helper()
	k := copyCommand(make([]byte, 16+64), 64, 0, 1<<20, 65535)
	k.Out[0], k.Out[16], k.Out[48] = 7, 0xe4, 0xe4
	for at := 80; at < len(k.Out); at += 28 {
		copy(k.Out[at+4:], []byte{0xff, 0xff, 0xff, 0xff}) // the unit itself
	}
	ended = make(chan initiator.Result, 1)
	go func() {
		r, _ := s.Do(ctx, k)
		ended <- r
	}()
	for {
		in := make([]byte, 32)
		r, err := s.Do(t.Context(), initiator.Command{CDB: []byte{0x84, 5, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0}, In: in})
		if err == nil && r.Status == sam.Good && in[5] == 0x11 && binary.BigEndian.Uint64(in[16:]) > 0 {
			return ended
		}
		select {
		case r := <-ended:
			t.Fatalf("it has ended: %02x %x", r.Status, r.Sense)
		default:
		}
	}
}

// A long copy does not keep its reactor from serving others, and whatever ends it ends it
// soon.
func TestCopy_Ended(t *testing.T) {
	e := start(t, testConfig(t, 1, Unit{Medium: Null, Bytes: 1 << 40, BlockBytes: 4096}))
	other := enter(t, e, "", DefaultTarget)
	testReady(t, other, 0)
	ask := func(c initiator.Command) {
		t.Helper()
		if r, err := other.Do(t.Context(), c); err != nil || r.Status != sam.Good {
			t.Errorf("%v, %02x %x", err, r.Status, r.Sense)
		}
	}
	for name, end := range map[string]func(s *initiator.Session, cancel context.CancelFunc){
		"ABORT TASK": func(_ *initiator.Session, cancel context.CancelFunc) { cancel() },
		"COPY OPERATION ABORT": func(s *initiator.Session, _ context.CancelFunc) {
			cdb := []byte{0x83, 0x1c, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
			if r, err := s.Do(t.Context(), initiator.Command{CDB: cdb}); err != nil || r.Status != sam.Good {
				t.Errorf("%v, %02x %x", err, r.Status, r.Sense)
			}
		},
		"the connection": func(s *initiator.Session, _ context.CancelFunc) { _ = s.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			s := enter(t, e, "", DefaultTarget)
			testReady(t, s, 0)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended, began := longCopy(ctx, t, s), time.Now()
			ask(initiator.Command{CDB: []byte{0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0}, In: make([]byte, 4096)})
			end(s, cancel)
			if r := <-ended; name == "COPY OPERATION ABORT" && senseCode(r) != 0x2f02 {
				t.Errorf("%02x %x", r.Status, r.Sense)
			}
			// Nothing runs beside an ORDERED command.
			ask(initiator.Command{CDB: make([]byte, 6), Attribute: sam.Ordered})
			if took := time.Since(began); took > time.Second {
				t.Errorf("%v until its end", took)
			}
		})
	}
}
