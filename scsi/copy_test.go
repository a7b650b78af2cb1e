package scsi

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"testing"

	"lunar/scsi/sam"
)

// copyUnits are what the initiator of a copy sees: the device under test, another unit, and
// one with longer blocks.
var copyUnits = sam.Path{
	LUNs: []sam.LUN{sam.LUNOf(0), sam.LUNOf(1), sam.LUNOf(300)},
	Units: []sam.Mapped{
		{NAA: IdentityOf(testUUID).NAA, BlockBytes: 512}, {NAA: [16]byte{0x60, 1}, BlockBytes: 512}, {NAA: [16]byte{0x60, 2}, BlockBytes: 4096},
	},
}

// cscd is an Identification Descriptor CSCD descriptor of a unit of copyUnits.
func cscd(unit int) []byte {
	b := make([]byte, 32)
	b[0], b[4], b[5], b[7] = 0xe4, 1, 3, 16
	copy(b[8:], copyUnits.Units[unit].NAA[:])
	binary.BigEndian.PutUint32(b[28:], copyUnits.Units[unit].BlockBytes)
	return b
}

// blocks is a segment descriptor of type 02h.
func blocks(flags byte, source, destination, count uint16, from, to uint64) []byte {
	b := []byte{0x02, flags, 0, 0x18}
	for _, v := range []uint16{source, destination, 0, count} {
		b = binary.BigEndian.AppendUint16(b, v)
	}
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, from), to)
}

// offsets is a segment descriptor of type 0Ah.
func offsets(source, destination uint16, count uint32, from, to uint64, skip, leave uint16) []byte {
	b := []byte{0x0a, 0, 0, 0x1c, byte(source >> 8), byte(source), byte(destination >> 8), byte(destination)}
	b = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(b, count), from), to)
	return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(b, skip), leave)
}

// copyListFor is a parameter list of EXTENDED COPY(LID1).
func copyListFor(id, usage byte, cscds, segments []byte) []byte {
	b := make([]byte, 16, 16+len(cscds)+len(segments))
	b[0], b[1] = id, usage<<3
	binary.BigEndian.PutUint16(b[2:], uint16(len(cscds)))
	binary.BigEndian.PutUint32(b[8:], uint32(len(segments)))
	return append(append(b, cscds...), segments...)
}

// copyCommand serves an EXTENDED COPY with that list.
func copyCommand(t testing.TB, d *Device, list []byte) (*sam.Command, Program) {
	t.Helper()
	c := parse(t, fmt.Sprintf("83 00 00 00 00 00 00 00 00 00 %08x", len(list)))
	c.Path = &copyUnits
	_, p := serve(t, d, c, list)
	return c, p
}

// copyDevice is a device whose nexus 0 has nothing to be told.
func copyDevice() *Device {
	d := testDevice()
	d.OpenNexus(0, nil)
	d.clearAttention(0, PowerOn)
	return d
}

func change(b []byte, at int, to ...byte) []byte {
	b = bytes.Clone(b)
	copy(b[at:], to)
	return b
}

// What is wrong with a list is said before the first segment, with a pointer to it.
func TestExtendedCopy_WrongLists(t *testing.T) {
	segment := blocks(0, 0, 0, 8, 0, 100)
	good := copyListFor(1, 0, cscd(0), segment)
	for name, k := range map[string]struct {
		list []byte
		code uint16
		// at is the byte pointed to, of the CDB when negative.
		at int
	}{
		"no header":                {good[:15], 0x1a00, -10},
		"longer than any":          {make([]byte, 16+4096+1), 0x1a00, -10},
		"less than promised":       {good[:len(good)-1], 0x1a00, 2},
		"CSCD list cut":            {good[:16+31], 0x1a00, 2},
		"lists longer than any":    {copyListFor(1, 0, cscd(0), bytes.Repeat(segment, 146)), 0x1a00, -10},
		"part of a CSCD":           {copyListFor(1, 0, append(cscd(0), 0), segment), 0x1a00, 2},
		"part of a segment":        {copyListFor(1, 0, cscd(0), append(segment, segment[:27]...)), 0x1a00, 8},
		"17 CSCDs":                 {copyListFor(1, 0, bytes.Repeat(cscd(0), 17), segment), 0x2606, 2},
		"65 segments":              {copyListFor(1, 0, cscd(0), bytes.Repeat(segment, 65)), 0x2608, 8},
		"Fibre Channel CSCD":       {change(good, 16, 0xe0), 0x2607, 16},
		"second CSCD an extension": {copyListFor(1, 0, append(cscd(0), change(cscd(0), 0, 0xff)...), segment), 0x2607, 48},
		"stream segment":           {change(good, 48, 0x03), 0x2609, 48},
		"length of segment":        {change(good, 51, 0x1c), 0x2600, 50},
		"length of designator":     {change(good, 16+7, 21), 0x2600, 23},
		"inline data":              {change(good, 15, 1), 0x260b, 12},
		"reserved usage":           {change(good, 1, 1<<3), 0x2600, 1},
		"an identifier with none":  {change(good, 1, 3<<3), 0x2600, 0},
		"long segment":             {copyListFor(1, 0, cscd(0), offsets(0, 0, 256<<20+1, 0, 9, 0, 0)), 0x2600, 56},
	} {
		d := copyDevice()
		c, p := copyCommand(t, d, k.list)
		if c.Status != sam.CheckCondition || c.Sense.Key != sam.IllegalRequest || c.Sense.Code != k.code || p.Kind != 0 {
			t.Errorf("%s: %v %+v, program %d", name, c.Status, c.Sense, p.Kind)
		}
		if f := c.Sense.Field; !f.Valid || f.InCDB != (k.at < 0) || int(f.Byte) != max(k.at, -k.at) {
			t.Errorf("%s: pointer %+v, want %d", name, f, k.at)
		}
		if d.copying != 0 || len(d.nexuses[0].copies) != 0 {
			t.Errorf("%s: %d under way, %d kept", name, d.copying, len(d.nexuses[0].copies))
		}
	}
	c, p := copyCommand(t, copyDevice(), nil)
	if c.Status != sam.Good || p.Kind != 0 {
		t.Errorf("no list: %v", c.Status)
	}
}

// Each segment names its units and blocks, or ends the copy when its turn comes.
func TestExtendedCopy_Segments(t *testing.T) {
	for name, k := range map[string]struct {
		cscds, segment []byte
		want           Segment
		// code and at: it ends, pointing at a byte of the segment or, when negative, of the
		// parameter list.
		code uint16
		at   int
	}{
		"within":               {cscd(0), blocks(0, 0, 0, 8, 1, 100), Segment{0, 0, 1, 100, 4096, false}, 0, 0},
		"between":              {append(cscd(1), cscd(0)...), blocks(0, 0, 1, 8, 1, 100), Segment{1, 0, 1, 100, 4096, false}, 0, 0},
		"own unit":             {nil, blocks(0, 0xffff, 0xffff, 8, 1, 100), Segment{1, 1, 1, 100, 4096, false}, 0, 0},
		"no blocks":            {cscd(0), blocks(0, 0, 0, 0, 1, 100), Segment{0, 0, 1, 100, 0, false}, 0, 0},
		"most blocks":          {cscd(2), blocks(0, 0, 0, 65535, 1, 100), Segment{2, 2, 1, 100, 65535 * 4096, false}, 0, 0},
		"of the source":        {append(cscd(0), cscd(2)...), blocks(0, 0, 1, 8, 16, 3), Segment{0, 2, 16, 3, 4096, false}, 0, 0},
		"of the destination":   {append(cscd(0), cscd(2)...), blocks(2, 0, 1, 8, 16, 3), Segment{0, 2, 16, 3, 32768, false}, 0, 0},
		"any block length":     {change(cscd(0), 29, 0, 0, 0), blocks(0, 0, 0, 8, 1, 100), Segment{0, 0, 1, 100, 4096, false}, 0, 0},
		"LU ID type, PAD, CAT": {change(change(cscd(0), 1, 0xc0), 28, 4), blocks(1, 0, 0, 8, 1, 100), Segment{0, 0, 1, 100, 4096, false}, 0, 0},
		"offsets":              {cscd(0), offsets(0, 0, 4096, 1, 100, 1024, 512), Segment{0, 0, 3, 101, 4096, false}, 0, 0},
		"last address":         {cscd(0), blocks(0, 0, 0, 1, 1<<64-2, 100), Segment{0, 0, 1<<64 - 2, 100, 512, false}, 0, 0},

		"part of a block left":     {append(cscd(0), cscd(2)...), blocks(0, 0, 1, 9, 0, 0), Segment{}, 0x260a, 8},
		"part of a block":          {cscd(0), offsets(0, 0, 4095, 1, 100, 0, 0), Segment{}, 0x260a, 8},
		"part of a block to skip":  {cscd(0), offsets(0, 0, 4096, 1, 100, 511, 0), Segment{}, 0x260d, 28},
		"part of a block to leave": {cscd(0), offsets(0, 0, 4096, 1, 100, 0, 1), Segment{}, 0x260d, 28},
		"source runs over":         {cscd(0), blocks(0, 0, 0, 8, math.MaxUint64-7, 0), Segment{}, 0, 12},
		"destination runs over":    {cscd(0), offsets(0, 0, 4096, 0, math.MaxUint64-8, 0, 512), Segment{}, 0, 20},
		"no such source":           {cscd(0), blocks(0, 1, 0, 8, 1, 100), Segment{}, 0x0804, 4},
		"no such destination":      {cscd(0), blocks(0, 0, 0xf800, 8, 1, 100), Segment{}, 0x0804, 6},
		"a unit not seen":          {change(cscd(0), 9, 9), blocks(0, 0, 0, 8, 1, 100), Segment{}, 0x0d02, -16},
		"another designator":       {change(cscd(0), 5, 1), blocks(0, 0, 0, 8, 1, 100), Segment{}, 0x0d02, -16},
		"the second unit not seen": {append(cscd(0), change(cscd(1), 9, 9)...), blocks(0, 0, 1, 8, 1, 100), Segment{}, 0x0d02, -48},
		"of a port":                {change(cscd(0), 5, 0x13), blocks(0, 0, 0, 8, 1, 100), Segment{}, 0x0d02, -16},
		"in ASCII":                 {change(cscd(0), 4, 2), blocks(0, 0, 0, 8, 1, 100), Segment{}, 0x0d02, -16},
		"short designator":         {change(cscd(0), 7, 15), blocks(0, 0, 0, 8, 1, 100), Segment{}, 0x0d02, -16},
		"a tape":                   {change(cscd(0), 1, 1), blocks(0, 0, 0, 8, 1, 100), Segment{}, 0x0d03, -16},
		"of other blocks":          {change(cscd(0), 30, 0x10), blocks(0, 0, 0, 8, 1, 100), Segment{}, 0x0d03, -16},
	} {
		d := copyDevice()
		// The first segment is right, so that the number of the second shows.
		list := copyListFor(1, 0, k.cscds, append(blocks(0, 0xffff, 0xffff, 1, 0, 0), k.segment...))
		c := parse(t, fmt.Sprintf("83 00 00 00 00 00 00 00 00 00 %08x", len(list)))
		c.Path, c.LUN = &copyUnits, sam.LUNOf(1)
		_, p := serve(t, d, c, list)
		if _, ok := d.NextSegment(c, &p); !ok {
			t.Fatalf("%s: %v %+v", name, c.Status, c.Sense)
		}
		s, ok := d.NextSegment(c, &p)
		if k.at == 0 {
			if !ok || s != k.want {
				t.Errorf("%s: %+v, %v %+v", name, s, c.Status, c.Sense)
			}
			if _, ok := d.NextSegment(c, &p); ok || c.Status != sam.Good {
				t.Errorf("%s: more, %v", name, c.Status)
			}
			continue
		}
		want := sam.NewSense(sam.CopyAborted, k.code).AtSegment(1, k.at)
		if k.at < 0 {
			want = sam.NewSense(sam.CopyAborted, k.code).AtCSCD(1, -k.at)
		}
		if ok || c.Status != sam.CheckCondition || c.Sense != want {
			t.Errorf("%s: %v %+v", name, c.Status, c.Sense)
		}
	}
}

// Who sees no unit at all copies from none, whatever it names.
func TestExtendedCopy_WithoutPath(t *testing.T) {
	d := copyDevice()
	c, p := copyCommand(t, d, copyListFor(1, 0, cscd(0), blocks(0, 0, 0xffff, 8, 1, 100)))
	c.Path = nil
	if _, ok := d.NextSegment(c, &p); ok || c.Sense.Code != 0x0804 {
		t.Errorf("%v %+v", c.Status, c.Sense)
	}
}

// A unit has so many copies under way and no more.
func TestExtendedCopy_TooMany(t *testing.T) {
	d := copyDevice()
	var commands []*sam.Command
	var programs []Program
	for id := range byte(maxCopies) {
		c, p := copyCommand(t, d, copyListFor(id, 0, cscd(0), nil))
		if p.Kind != Copy {
			t.Fatalf("copy %d: %v %+v", id, c.Status, c.Sense)
		}
		commands, programs = append(commands, c), append(programs, p)
	}
	none := copyListFor(0, 3, cscd(0), nil)
	if c, p := copyCommand(t, d, none); c.Status != sam.Busy || p.Kind != 0 {
		t.Errorf("one more: %v", c.Status)
	}
	d.EndCopy(commands[3], &programs[3], -1)
	if c, p := copyCommand(t, d, none); c.Status != sam.Good || p.Kind != Copy {
		t.Errorf("in place of one: %v", c.Status)
	}
}
