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
		d.Extent(c, &p, s.Length, true, false)
		lookups, total = lookups+1, total+s.Length
	}
	want := status{5, uint32(total / 512), provisioningDeallocated}
	if got := statuses(t, c.Buffer[:c.DataInBytes]); lookups != maxLookups || len(got) != 1 || got[0] != want {
		t.Errorf("%d look-ups, %+v, want %+v", lookups, got, want)
	}
}

// However short-sighted the medium, descriptors begin where they were asked to,
// follow each other without a gap, none in the state of the one before, and tell the truth.
func TestLBAStatus_DescribesTheMedium(t *testing.T) {
	d := testDevice(func(c *Config) { c.Info.Bytes = 64 * 512 })
	rapid.Check(t, func(rt *rapid.T) {
		m := newMedium(d)
		m.sight = rapid.Int64Range(0, 5).Draw(rt, "sight")
		m.states = rapid.MapOf(rapid.Uint64Range(0, 63), rapid.SampledFrom([]byte{provisioningDeallocated, provisioningAnchored})).Draw(rt, "states")
		from := rapid.Uint64Range(0, 63).Draw(rt, "from")
		room := 8 + 16*rapid.Uint32Range(1, 20).Draw(rt, "descriptors")
		c := statusCommand(from, room)
		m.do(t, d, c, nil)
		next, state := from, byte(0xff)
		for _, s := range statuses(rt, c.Buffer[:c.DataInBytes]) {
			if s.lba != next || s.blocks == 0 || s.state == state {
				rt.Fatalf("descriptor %+v after block %d in state %d", s, next, state)
			}
			for lba := s.lba; lba < s.lba+uint64(s.blocks); lba++ {
				if m.states[lba] != s.state {
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

// ANCHOR, where the medium anchors, zeroes and keeps the store: UNMAP and WRITE SAME with
// UNMAP do that, alone it is refused, and page B2h says so.
func TestAnchor(t *testing.T) {
	list := descriptors(t, 4, 2, 9, 1)
	unmap := func() *sam.Command {
		c := unmapCommand(list)
		c.CDB[1] = anchorUnmapMask
		return c
	}
	same := []string{"41 18 00 00 00 04 00 00 02 00", "93 18 00 00 00 00 00 00 00 04 00 00 00 02 00 00", "93 19 00 00 00 00 00 00 00 04 00 00 00 02 00 00"}
	d := testDevice(func(c *Config) { c.Info.Anchors = true })
	if b := good(t, d, "12 01 b2 00 ff"); b[5]&ancSupMask == 0 {
		t.Errorf("page B2h: %x", b)
	}
	m := newMedium(d)
	m.do(t, d, unmap(), list)
	if m.ops[blk.Zero] != 2 || m.ops[blk.Discard] != 0 || m.data[4*512] != 0 || m.data[9*512] != 0 || m.data[6*512] == 0 {
		t.Errorf("UNMAP: %v", m.ops)
	}
	for _, text := range same {
		c := parse(t, text)
		m = newMedium(d)
		m.do(t, d, c, bytes.Repeat([]byte{1 - c.CDB[1]&ndobMask}, 512*int(1-c.CDB[1]&ndobMask)))
		if c.Status != sam.Good || m.ops[blk.Zero] != 1 || m.data[4*512] != 0 {
			t.Errorf("%s: %v %v %+v", text, m.ops, c.Status, c.Sense)
		}
	}
	fails(t, d, "41 10 00 00 00 04 00 00 02 00", sam.IllegalRequest, 0x2400)
	fails(t, d, "93 10 00 00 00 00 00 00 00 04 00 00 00 02 00 00", sam.IllegalRequest, 0x2400)

	none := testDevice()
	if b := good(t, none, "12 01 b2 00 ff"); b[5]&ancSupMask != 0 {
		t.Errorf("page B2h: %x", b)
	}
	c := unmap()
	serve(t, none, c, list)
	if c.Sense.Code != 0x2400 {
		t.Errorf("UNMAP without anchors: %+v", c.Sense)
	}
	for _, text := range same {
		fails(t, none, text, sam.IllegalRequest, 0x2400)
	}
}
