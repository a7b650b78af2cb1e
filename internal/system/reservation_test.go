//go:build system

package system

import (
	be "encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"lunar/initiator"
	"lunar/scsi/sam"
)

// host is an initiator whose name and ISID stay.
func host(t *testing.T, d *daemon) *initiator.Session {
	t.Helper()
	s, err := initiator.Dial(t.Context(), initiator.Config{
		Portal: d.portal, Target: target, Initiator: "iqn.2026-11.example:host", ISID: [6]byte{0x80, 0, 0, 1, 0, 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	for range 3 { // what it is told first
		if r, err := s.Do(t.Context(), initiator.Command{LUN: sam.LUNOf(0), CDB: make([]byte, 6)}); err == nil && r.Status == sam.Good {
			return s
		}
	}
	t.Fatal("not ready")
	return nil
}

// register is REGISTER AND IGNORE EXISTING KEY with APTPL.
func register(key uint64) initiator.Command {
	b := be.BigEndian.AppendUint64(make([]byte, 8), key)
	return initiator.Command{
		LUN: sam.LUNOf(0), CDB: []byte{0x5f, 6, 0, 0, 0, 0, 0, 0, 24, 0}, Out: append(b, 0, 0, 0, 0, 1, 0, 0, 0),
	}
}

// keys is READ KEYS.
func keys(t *testing.T, s *initiator.Session) (all []uint64) {
	t.Helper()
	in := make([]byte, 1024)
	r, err := s.Do(t.Context(), initiator.Command{LUN: sam.LUNOf(0), CDB: []byte{0x5e, 0, 0, 0, 0, 0, 0, 4, 0, 0}, In: in})
	if err != nil || r.Status != sam.Good {
		t.Fatalf("READ KEYS: %v %v", r.Status, err)
	}
	for b := in[8:r.Read]; len(b) > 0; b = b[8:] {
		all = append(all, be.BigEndian.Uint64(b))
	}
	return all
}

// Registrations with APTPL survive kill -9 at any moment: what was answered GOOD is there,
// and what was not is there as a whole or not at all (SPC-4 §5.13.5).
func TestReservations_SurviveKill(t *testing.T) {
	laps := 100
	if testing.Short() {
		laps = 10
	}
	d := serve(t, "--state", t.TempDir(), "--lun", "ram:size=16MiB")
	r := rand.New(rand.NewPCG(1, 2))
	kept, answered := uint64(0), 0
	for lap := range uint64(laps) {
		s := host(t, d)
		next := lap + 1
		done := make(chan bool, 1)
		q := &initiator.Request{Command: register(next), Done: func(q *initiator.Request) {
			done <- q.Err == nil && q.Result.Status == sam.Good
		}}
		if err := s.Submit(q); err != nil {
			t.Fatal(err)
		}
		s.Flush()
		time.Sleep(time.Duration(r.IntN(4000)) * time.Microsecond)
		d.kill(t)
		good := <-done
		d.start(t)
		now := keys(t, host(t, d))
		switch {
		case good && !slices.Equal(now, []uint64{next}):
			t.Fatalf("lap %d: GOOD, and the keys are %x", lap, now)
		case !good && !slices.Equal(now, []uint64{next}) && !slices.Equal(now, []uint64{kept}) && (kept != 0 || len(now) != 0):
			t.Fatalf("lap %d: neither the old key %x nor the new one: %x", lap, kept, now)
		}
		if good {
			answered++
		}
		kept = 0
		if len(now) > 0 {
			kept = now[0]
		}
	}
	t.Logf("%d kills, %d registrations had been answered", laps, answered)
}
