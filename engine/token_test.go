package engine

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lunar/initiator"
	"lunar/scsi/sam"
)

// tokenSpan is how many blocks a token of these tests stands for, in two ranges.
const tokenSpan = 600

// spanRanges are the block device range descriptors of a span, the second half first.
func spanRanges(lba uint64) []byte {
	b := []byte{0, 32}
	for _, at := range []uint64{lba + tokenSpan/2, lba} {
		b = binary.BigEndian.AppendUint64(b, at)
		b = append(binary.BigEndian.AppendUint32(b, tokenSpan/2), 0, 0, 0, 0)
	}
	return b
}

// tokenUser has ROD tokens made and used over a session of its own.
type tokenUser struct {
	s  *initiator.Session
	id uint32
}

// out sends POPULATE TOKEN or WRITE USING TOKEN and returns what is told of it at its end.
func (u *tokenUser) out(t *testing.T, lun uint16, action byte, list []byte) (initiator.Result, []byte) {
	t.Helper()
	u.id++
	binary.BigEndian.PutUint16(list, uint16(len(list)-2))
	cdb := make([]byte, 16)
	cdb[0], cdb[1] = 0x83, action
	binary.BigEndian.PutUint32(cdb[6:], u.id)
	binary.BigEndian.PutUint32(cdb[10:], uint32(len(list)))
	r, err := u.s.Do(t.Context(), initiator.Command{LUN: sam.LUNOf(lun), CDB: cdb, Out: list})
	if err != nil {
		t.Fatal(err)
	}
	if c := senseCode(r); r.Status != sam.Good && c>>8 == 0x23 {
		return r, nil // it never began
	}
	for {
		in := make([]byte, 1024)
		cdb := make([]byte, 16)
		cdb[0], cdb[1] = 0x84, 0x07
		binary.BigEndian.PutUint32(cdb[2:], u.id)
		binary.BigEndian.PutUint32(cdb[10:], uint32(len(in)))
		told, err := u.s.Do(t.Context(), initiator.Command{LUN: sam.LUNOf(lun), CDB: cdb, In: in})
		if err != nil || told.Status != sam.Good {
			t.Fatalf("%v, %02x %x, behind %02x %x", err, told.Status, told.Sense, r.Status, r.Sense)
		}
		if in[5] != 0x12 {
			return r, in
		}
	}
}

// populate makes a token for a span.
func (u *tokenUser) populate(t *testing.T, lun uint16, lba uint64) []byte {
	t.Helper()
	r, in := u.out(t, lun, 0x10, append(make([]byte, 14), spanRanges(lba)...))
	if r.Status != sam.Good || in[5] != 1 {
		t.Fatalf("POPULATE TOKEN: %02x %x", r.Status, r.Sense)
	}
	return in[38:550]
}

// use writes what a token stands for to a span, and returns how many blocks were written.
func (u *tokenUser) use(t *testing.T, lun uint16, token []byte, immed byte, lba uint64) (count uint64, r initiator.Result) {
	t.Helper()
	list := make([]byte, 534)
	list[2] = immed
	copy(list[16:], token)
	r, in := u.out(t, lun, 0x11, append(list, spanRanges(lba)...))
	if in != nil {
		count = binary.BigEndian.Uint64(in[16:])
	}
	return count, r
}

// stamped is a span in which every block says a number.
func stamped(v uint64) []byte {
	b := make([]byte, tokenSpan*512)
	for at := 0; at < len(b); at += 8 {
		binary.BigEndian.PutUint64(b[at:], v)
	}
	return b
}

// Sessions on three reactors write a span again and again while others make tokens of it and use
// them. What a use writes is what stood there at one moment while its token was made, or
// nothing.
func TestToken_NeverOtherData(t *testing.T) {
	e, _ := twoUnits(t, 3)
	var begun, ended [2]atomic.Uint64
	var stop atomic.Bool
	var writers, users sync.WaitGroup
	for n := range 2 {
		d := diskOf(t, dialWith(t, e, initiator.Config{}))
		s := d.Session()
		testReady(t, s, 0)
		testReady(t, s, 1)
		writers.Go(func() {
			r := rand.New(rand.NewPCG(uint64(n), 3))
			for v := uint64(1); !stop.Load(); v++ {
				begun[n].Store(v)
				cdb := make([]byte, 16)
				cdb[0] = 0x8a
				binary.BigEndian.PutUint32(cdb[10:], tokenSpan)
				if w, err := s.Do(t.Context(), initiator.Command{LUN: sam.LUNOf(uint16(n)), CDB: cdb, Out: stamped(v)}); err != nil || w.Status != sam.Good {
					t.Errorf("write: %v, %02x %x", err, w.Status, w.Sense)
					return
				}
				ended[n].Store(v)
				time.Sleep(time.Duration(r.IntN(4000)) * time.Microsecond)
			}
		})
	}
	var whole, partly, cancelled atomic.Uint64
	for n := range 6 {
		d := diskOf(t, dialWith(t, e, initiator.Config{}))
		u := &tokenUser{s: d.Session()}
		testReady(t, u.s, 0)
		testReady(t, u.s, 1)
		users.Go(func() {
			r := rand.New(rand.NewPCG(uint64(n), 5))
			got := make([]byte, tokenSpan*512)
			to := uint64(1000 * (n + 1))
			for range 60 {
				from, target := r.IntN(2), uint16(r.IntN(2))
				least := ended[from].Load()
				token := u.populate(t, uint16(from), 0)
				most := begun[from].Load()
				count, res := u.use(t, target, token, byte(r.IntN(2)), to)
				cdb := make([]byte, 16)
				cdb[0] = 0x88
				binary.BigEndian.PutUint64(cdb[2:], to)
				binary.BigEndian.PutUint32(cdb[10:], tokenSpan)
				if w, err := u.s.Do(t.Context(), initiator.Command{LUN: sam.LUNOf(target), CDB: cdb, In: got}); err != nil || w.Status != sam.Good {
					t.Errorf("read: %v, %02x %x", err, w.Status, w.Sense)
					return
				}
				switch count {
				case tokenSpan:
					whole.Add(1)
				case 0:
					cancelled.Add(1)
					continue
				default:
					partly.Add(1)
				}
				// The second half of the span is the first of what the token stands for.
				half := min(count, tokenSpan/2) * 512
				data := append(bytes.Clone(got[tokenSpan*512/2:][:half]), got[:(count*512)-half]...)
				v := binary.BigEndian.Uint64(data)
				if v < least || v > most || !bytes.Equal(data, stamped(v)[:len(data)]) {
					t.Errorf("unit %d to %d: %d blocks written that say %d, the token is of %d to %d: %02x %x", from, target, count, v, least, most, res.Status, res.Sense)
					return
				}
			}
		})
	}
	users.Wait()
	stop.Store(true)
	writers.Wait()
	t.Logf("%d whole, %d partly, %d cancelled, of %d and %d writes", whole.Load(), partly.Load(), cancelled.Load(), ended[0].Load(), ended[1].Load())
	if whole.Load() == 0 || cancelled.Load() == 0 {
		t.Error("the writers never raced, or always won")
	}
}

// A token ends when nobody has used it for its inactivity timeout, and is no token of the
// next engine.
func TestToken_Ends(t *testing.T) {
	e, c := twoUnits(t, 2)
	u := &tokenUser{s: enter(t, e, "", DefaultTarget)}
	testReady(t, u.s, 0)
	testReady(t, u.s, 1)
	list := append(make([]byte, 14), spanRanges(0)...)
	list[7] = 2
	_, in := u.out(t, 0, 0x10, list)
	token := in[38:550]
	if count, r := u.use(t, 1, token, 0, 0); count != tokenSpan {
		t.Fatalf("%02x %x", r.Status, r.Sense)
	}
	time.Sleep(5 * time.Second)
	if _, r := u.use(t, 1, token, 0, 0); senseCode(r) != 0x2307 {
		t.Errorf("behind its timeout: %02x %x", r.Status, r.Sense)
	}
	token = u.populate(t, 0, 0)
	if err := e.Stop(); err != nil {
		t.Fatal(err)
	}
	next := start(t, c)
	v := &tokenUser{s: enter(t, next, "", DefaultTarget)}
	testReady(t, v.s, 0)
	testReady(t, v.s, 1)
	if _, r := v.use(t, 1, token, 0, 0); senseCode(r) != 0x2304 {
		t.Errorf("%02x %x", r.Status, r.Sense)
	}
}
