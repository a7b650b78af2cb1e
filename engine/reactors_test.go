package engine

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"lunar/initiator"
	"lunar/iscsi/pdu"
	"lunar/reactor/rings"
	"lunar/scsi/sam"
)

// startReactors runs an engine of three reactors with a RAM, a file and a cached unit.
func startReactors(t *testing.T, ring string) *Engine {
	t.Helper()
	cfg := testConfig(t, 3,
		Unit{Medium: RAM, Bytes: transferUnitBytes, BlockBytes: 512},
		Unit{Medium: File, Path: t.TempDir() + "/unit", Direct: "off", Bytes: transferUnitBytes, BlockBytes: 512},
		Unit{Medium: RAM, Bytes: transferUnitBytes, BlockBytes: 4096, Cache: 4 << 20},
	)
	cfg.Ring = ring
	e, err := Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func dial(t *testing.T, e *Engine) *initiator.Session {
	t.Helper()
	s, err := initiator.Dial(t.Context(), initiator.Config{Portal: e.Portals()[0], Target: e.Targets()[0]})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Sessions are spread evenly whatever reactor the kernel gave their connections to,
// every one of them reads what the others wrote, and reads and writes of a shared
// medium run on the reactor of the connection.
func TestEngine_ReactorsShareUnits(t *testing.T) {
	for _, ring := range rings.Available() {
		e := startReactors(t, ring)
		var sessions []*initiator.Session
		for range 9 {
			sessions = append(sessions, dial(t, e))
		}
		for unit := range uint16(3) {
			for i, s := range sessions {
				writeAs(t, s, unit, byte(i))
			}
			for i := range sessions {
				readAs(t, sessions[(i+4)%len(sessions)], unit, byte(i))
			}
		}
		for _, s := range sessions {
			if err := s.Logout(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if err := e.Stop(); err != nil {
			t.Error(err)
		}
		for _, k := range e.cores {
			if n := k.stack.Stats().LoggedIn; n != 3 {
				t.Errorf("%s: reactor %d had %d sessions of 9", ring, k.id, n)
			}
			// Three sessions there, each with one write and one read of two shared units.
			if n := k.local.Passed(); n < 3*2*2 {
				t.Errorf("%s: only %d commands ran on reactor %d", ring, n, k.id)
			}
		}
	}
}

const shareBytes = 64 << 10

func pattern(n byte) []byte {
	p := make([]byte, shareBytes)
	for i := range p {
		p[i] = byte(i)*3 + n
	}
	return p
}

func writeAs(t *testing.T, s *initiator.Session, unit uint16, n byte) {
	t.Helper()
	d, err := initiator.OpenDisk(t.Context(), s, unit)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.WriteAt(pattern(n), int64(n)*shareBytes); err != nil {
		t.Fatal(err)
	}
}

func readAs(t *testing.T, s *initiator.Session, unit uint16, n byte) {
	t.Helper()
	d, err := initiator.OpenDisk(t.Context(), s, unit)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, shareBytes)
	if _, err := d.ReadAt(got, int64(n)*shareBytes); err != nil {
		t.Fatal(err)
	}
	if i := differ(pattern(n), got); i >= 0 {
		t.Fatalf("unit %d: block of session %d differs at %d", unit, n, i)
	}
}

// Under mixed load from several reactors, with ORDERED commands, functions and
// sessions that come and go, every session reads what it wrote and every command ends.
func TestEngine_ReactorsUnderFire(t *testing.T) {
	e := startReactors(t, "auto")
	defer func() {
		if err := e.Stop(); err != nil {
			t.Error(err)
		}
	}()
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			if err := fire(t.Context(), e, i); err != nil {
				t.Errorf("session %d: %v", i, err)
			}
		})
	}
	wg.Wait()
}

// fire is one initiator with a part of every unit of its own.
func fire(ctx context.Context, e *Engine, n int) error {
	r := rand.New(rand.NewPCG(uint64(n), 9))
	for lap := range 3 {
		s, err := initiator.Dial(ctx, initiator.Config{Portal: e.Portals()[0], Target: e.Targets()[0]})
		if err != nil {
			return err
		}
		for range 60 {
			unit := uint16(r.IntN(3))
			if err := oneShot(ctx, s, r, unit, n); err != nil {
				return fmt.Errorf("lap %d, unit %d: %w", lap, unit, err)
			}
		}
		if err := s.Logout(ctx); err != nil {
			return err
		}
	}
	return nil
}

// oneShot writes 4 KiB, SIMPLE or ORDERED, and reads it back. A unit attention, or
// the end by another's CLEAR TASK SET or reset, is no failure.
func oneShot(ctx context.Context, s *initiator.Session, r *rand.Rand, unit uint16, n int) error {
	lba := uint32(n*256+r.IntN(64)) * 8
	want, got := make([]byte, 4096), make([]byte, 4096)
	for i := range want {
		want[i] = byte(r.Uint32())
	}
	cdb := func(op byte, lba uint32, blocks byte) []byte {
		return []byte{op, 0, byte(lba >> 24), byte(lba >> 16), byte(lba >> 8), byte(lba), 0, 0, blocks, 0}
	}
	blocks := byte(8)
	if unit == 2 {
		lba, blocks = lba/8, 1
	}
	attribute := sam.Simple
	if r.IntN(5) == 0 {
		attribute = sam.Ordered
	}
	lun := sam.LUNOf(unit)
	for _, c := range []initiator.Command{
		{LUN: lun, Attribute: attribute, CDB: cdb(0x2a, lba, blocks), Out: want},
		{LUN: lun, Attribute: sam.Simple, CDB: cdb(0x28, lba, blocks), In: got},
	} {
		for {
			res, err := s.Do(ctx, c)
			if err != nil {
				return err
			}
			if res.Status == sam.Good {
				break
			}
			if res.Status != sam.CheckCondition || len(res.Sense) < 3 || res.Sense[2]&0xf != byte(sam.UnitAttention) {
				return fmt.Errorf("status %v, sense %x", res.Status, res.Sense)
			}
		}
	}
	if i := differ(want, got); i >= 0 {
		return fmt.Errorf("LBA %d differs at %d", lba, i)
	}
	if r.IntN(20) == 0 {
		return manageUnit(ctx, s, lun)
	}
	return nil
}

// manageUnit sends ABORT TASK SET, which ends nothing of others.
func manageUnit(ctx context.Context, s *initiator.Session, lun sam.LUN) error {
	_, err := s.TaskManagement(ctx, sam.AbortTaskSet, lun, pdu.NoTag)
	return err
}
