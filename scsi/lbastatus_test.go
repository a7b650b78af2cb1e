package scsi

import (
	"bytes"
	"encoding/binary"
	"testing"

	"lunar/lun/blk"
	"lunar/scsi/sam"

	"pgregory.net/rapid"
)

func statusCommand(lba uint64, room uint32) *sam.Command {
	c := &sam.Command{CDBBytes: 16}
	c.CDB[0], c.CDB[1] = 0x9e, 0x12
	binary.BigEndian.PutUint64(c.CDB[2:], lba)
	binary.BigEndian.PutUint32(c.CDB[10:], room)
	return c
}

// status is one descriptor of an answer.
type status struct {
	lba    uint64
	blocks uint32
	state  byte
}

// statuses decodes an answer, which must be whole.
func statuses(t interface{ Fatalf(string, ...any) }, in []byte) (all []status) {
	if len(in) < 24 || int(binary.BigEndian.Uint32(in)) != len(in)-4 || (len(in)-8)%16 != 0 {
		t.Fatalf("answer of %d bytes: %x", len(in), in)
	}
	for at := 8; at < len(in); at += 16 {
		all = append(all, status{binary.BigEndian.Uint64(in[at:]), binary.BigEndian.Uint32(in[at+8:]), in[at+12]})
	}
	return all
}

func TestLBAStatus_Range(t *testing.T) {
	d := testDevice()
	for _, lba := range []uint64{d.blocks, d.blocks + 1, 1 << 63, 1<<64 - 1} {
		c := statusCommand(lba, 24)
		d.Begin(c)
		wantSense(t, c, sam.IllegalRequest, 0x2100)
		if c.Sense.Field.Byte != 2 {
			t.Errorf("LBA %#x: field pointer %+v", lba, c.Sense.Field)
		}
	}
	for _, lba := range []uint64{0, d.blocks - 1} {
		c := statusCommand(lba, 24)
		newMedium(d).do(t, d, c, nil)
		want := status{lba, uint32(d.blocks - lba), provisioningMapped}
		if got := statuses(t, c.Buffer[:c.DataInBytes]); c.Status != sam.Good || len(got) != 1 || got[0] != want {
			t.Errorf("LBA %#x: %+v, want %+v", lba, got, want)
		}
	}
}

func TestLBAStatus_WithoutThinProvisioning_AllIsMapped(t *testing.T) {
	d := testDevice(func(c *Config) { c.Info.Thin = false })
	c := statusCommand(8, 128)
	goldenMedium(d).do(t, d, c, nil)
	want := status{8, uint32(d.blocks - 8), provisioningMapped}
	if got := statuses(t, c.Buffer[:c.DataInBytes]); len(got) != 1 || got[0] != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// An allocation length cuts the answer; what is left of it does not change, and
// the header counts whole descriptors.
func TestLBAStatus_AllocationLength(t *testing.T) {
	d := testDevice()
	m := goldenMedium(d)
	full := statusCommand(0, 24)
	m.do(t, d, full, nil)
	for n := range uint32(24) {
		c := statusCommand(0, n)
		m.do(t, d, c, nil)
		if c.Status != sam.Good || !bytes.Equal(c.Buffer[:c.DataInBytes], full.Buffer[:n]) {
			t.Errorf("%d bytes: %v %x", n, c.Status, c.Buffer[:c.DataInBytes])
		}
	}
	for _, k := range []struct {
		room        uint32
		descriptors int
	}{{24, 1}, {39, 1}, {40, 2}, {56, 3}, {1 << 31, 3}} {
		c := statusCommand(0, k.room)
		m.do(t, d, c, nil)
		if got := statuses(t, c.Buffer[:c.DataInBytes]); len(got) != k.descriptors {
			t.Errorf("%d bytes: %d descriptors, want %d", k.room, len(got), k.descriptors)
		}
	}
}

// The work of one command is bounded, and a descriptor holds what all its
// look-ups found.
func TestLBAStatus_LookupsAreBounded(t *testing.T) {
	d := testDevice(func(c *Config) { c.Info.Bytes = 1 << 50 })
	c := statusCommand(5, 1<<16)
	_, p := serve(t, d, c, nil)
	lookups, total := 0, int64(0)
	for {
		s, more := d.Next(c, &p)
		if !more {
			break
		}
		if s.Op != blk.Map || s.Offset != 5*512+total || s.Length != maxMapBytes || !p.InOrder() {
			t.Fatalf("step %+v after %d bytes", s, total)
		}
		d.Extent(c, &p, s.Length, true)
		lookups, total = lookups+1, total+s.Length
	}
	want := status{5, uint32(total / 512), provisioningDeallocated}
	if got := statuses(t, c.Buffer[:c.DataInBytes]); lookups != maxLookups || len(got) != 1 || got[0] != want {
		t.Errorf("%d look-ups, %+v, want %+v", lookups, got, want)
	}
}

// However short-sighted the medium, descriptors begin where they were asked to,
// follow each other without a gap in alternate states, and tell the truth.
func TestLBAStatus_DescribesTheMedium(t *testing.T) {
	d := testDevice(func(c *Config) { c.Info.Bytes = 64 * 512 })
	rapid.Check(t, func(rt *rapid.T) {
		m := newMedium(d)
		m.sight = rapid.Int64Range(0, 5).Draw(rt, "sight")
		m.free = rapid.MapOf(rapid.Uint64Range(0, 63), rapid.Just(true)).Draw(rt, "free")
		from := rapid.Uint64Range(0, 63).Draw(rt, "from")
		room := 8 + 16*rapid.Uint32Range(1, 20).Draw(rt, "descriptors")
		c := statusCommand(from, room)
		m.do(t, d, c, nil)
		next, state := from, byte(2)
		for _, s := range statuses(rt, c.Buffer[:c.DataInBytes]) {
			if s.lba != next || s.blocks == 0 || s.state == state {
				rt.Fatalf("descriptor %+v after block %d in state %d", s, next, state)
			}
			for lba := s.lba; lba < s.lba+uint64(s.blocks); lba++ {
				if m.free[lba] != (s.state == provisioningDeallocated) {
					rt.Fatalf("block %d: %+v", lba, s)
				}
			}
			next, state = s.lba+uint64(s.blocks), s.state
		}
		if c.Status != sam.Good || next > d.blocks {
			rt.Fatalf("status %v, ended at %d", c.Status, next)
		}
	})
}
