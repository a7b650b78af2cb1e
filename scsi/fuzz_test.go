package scsi

import (
	"bytes"
	"testing"

	"lunar/lun/blk"
	"lunar/scsi/pi"
	"lunar/scsi/sam"
)

// FuzzCDB feeds any CDB and parameter list to units of every shape. Nothing
// panics, the action is one that package sam knows, ranges lie on the medium,
// answers fit, and no byte that nobody wrote reaches the initiator.
func FuzzCDB(f *testing.F) {
	for i := range opcodes {
		f.Add(opcodes[i].Usage, []byte{}, uint8(16), uint8(i))
		if opcodes[i].act != 0 {
			for kind := range uint8(4) {
				asks := longUsageOf(&opcodes[i], 0x20)
				f.Add(asks, bytes.Repeat([]byte{0xff}, 4*520), kind<<6|32, uint8(0))
			}
		}
	}
	f.Add([]byte{0x42, 0, 0, 0, 0, 0, 0, 0, 24, 0}, descriptors(f, 1, 2), uint8(10), uint8(0))
	f.Add([]byte{0x42, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0}, descriptors(f, 1<<63, 1<<31), uint8(10), uint8(0))
	f.Add([]byte{0x93, 0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0}, make([]byte, 512), uint8(16), uint8(1))
	for _, segment := range [][]byte{blocks(2, 0, 1, 8, 1, 3), offsets(1, 0xffff, 4096, 1, 3, 512, 4096)} {
		list := copyListFor(1, 0, append(cscd(0), cscd(2)...), segment)
		f.Add([]byte{0x83, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, byte(len(list) + 32), 0, 0},
			copyListLID4(1, 0, 0, append(cscd(0), cscd(2)...), segment), uint8(16), uint8(0x80))
		f.Add([]byte{0x83, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, byte(len(list)), 0, 0}, list, uint8(16), uint8(0x80))
	}
	for action, list := range map[byte][]byte{
		populateToken: populateList(7, Range{8, 3}, Range{100, 5}), writeUsingToken: writeList(zeroToken(), 3, 1, Range{8, 3}, Range{100, 5}),
	} {
		f.Add([]byte{0x83, action, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, byte(len(list) >> 8), byte(len(list)), 0, 0}, list, uint8(16), uint8(0x80))
	}
	made := change(zeroToken(), 0, 0x00, 0x80, 0x00, 0x01)
	copy(made[16:], cscd(0))
	f.Add([]byte{0x83, 0x11, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 2, 0x38, 0, 0}, writeList(made, 0, 2, Range{8, 3}, Range{100, 5}), uint8(16), uint8(0x80))
	f.Fuzz(func(t *testing.T, cdb, out []byte, length, shape uint8) {
		// The top bits of length are the protection type that the unit is formatted with, where
		// it can be.
		d := fuzzDevice(shape, pi.Type(length>>6))
		c := &sam.Command{CDBBytes: length & 0x3f, ExpectedOutBytes: int64(len(out))}
		copy(c.CDB[:], cdb)
		if shape&0x80 != 0 {
			c.Path = &copyUnits
		}
		d.Begin(c)
		checkAction(t, d, c)
		if c.Action != sam.Execute {
			return
		}
		room := max(c.DataOutBytes, c.DataInBytes)
		if room > MaxListBytes {
			t.Fatalf("asks for a buffer of %d bytes", room)
		}
		c.Buffer = bytes.Repeat([]byte{taint}, int(room))
		c.Received = copy(c.Buffer[:c.DataOutBytes], out)
		given := bytes.Clone(c.Buffer)
		p := d.Execute(c)
		if p.Kind == Count {
			d.Counted(c, Statistics{Reads: 7, Millis: 1 << 40})
			p = Program{}
		}
		if c.Action != sam.Complete || c.DataInBytes < 0 || c.DataInBytes > room {
			t.Fatalf("action %d, %d bytes in a buffer of %d", c.Action, c.DataInBytes, room)
		}
		if p.Kind != Protected {
			untainted(t, c)
		}
		if p.Kind != 0 && (c.Status != sam.Good || !bytes.Equal(given, c.Buffer)) {
			t.Fatalf("program %+v with status %v", p, c.Status)
		}
		runChecked(t, d, c, p)
		if p.Kind == Protected {
			untainted(t, c)
		}
	})
}

// untainted fails when an answer has bytes that nobody wrote.
func untainted(t *testing.T, c *sam.Command) {
	t.Helper()
	if c.DataInBytes > 0 && bytes.Contains(c.Buffer[:c.DataInBytes], []byte{taint, taint, taint, taint}) {
		t.Fatalf("answer holds what nobody wrote: %.64x", c.Buffer[:c.DataInBytes])
	}
}

// longUsageOf is a command of a row that asks for protection information, of four blocks.
func longUsageOf(o *Opcode, protect byte) []byte {
	c := commandOf(o)
	c.CDB[optionsAt(o.Code)] = protect
	if o.Code == opVariable {
		c.CDB[longAdditionalAt] = longAdditional
	}
	if at := fieldsOf(o.Code); o.act != actCompare && o.act != actAtomic {
		c.CDB[at.lengthAt+map[byte]int{1: 1, 2: 1, 3: 3, 4: 3, 5: 3}[o.Code>>5]] = 4
	} else {
		c.CDB[compareBlocksAt] = 4
	}
	return c.CDB[:]
}

// moveChecked lays out and takes the data of a step, on a medium whose blocks are all ones.
func moveChecked(d *Device, c *sam.Command, p *Program, s Step) bool {
	data := bytes.Repeat([]byte{0xff}, int(s.Length))
	tuples := bytes.Repeat([]byte{0xff}, int(s.Length)/int(d.info.BlockBytes)*pi.Bytes)
	switch {
	case s.Op == blk.Read && s.Tuples:
		return d.CheckTuples(c, p, s.Offset, data, tuples)
	case s.Op == blk.Read:
		return d.Check(c, p, s.Offset, data)
	}
	d.Supply(c, p, s.Offset, data)
	if s.Tuples {
		d.SupplyTuples(c, p, s.Offset, tuples)
	}
	return true
}

// fuzzDevice makes a unit whose shape is drawn from the bits of its argument.
func fuzzDevice(shape uint8, kind pi.Type) *Device {
	if shape&0x0f == 0x0f {
		return NewAbsent()
	}
	d := testDevice(func(c *Config) {
		c.Info.Protected, c.Protection = kind != pi.Type0, kind
		c.Info.Thin, c.Info.ReadOnly, c.Info.VolatileCache = shape&1 == 0, shape&2 != 0, shape&4 != 0
		c.Info.Bytes = []int64{4 << 20, 512, 1 << 41, 1<<63 - 512}[shape>>4&3]
		if shape&0x40 != 0 {
			c.Info.BlockBytes, c.Info.Bytes = 4096, c.Info.Bytes&^4095+4096
			if c.Info.Bytes < 0 {
				c.Info.Bytes = 1<<63 - 4096
			}
		}
	})
	if shape&0x80 != 0 {
		d.OpenNexus(0, nil)
	}
	return d
}

func checkAction(t *testing.T, d *Device, c *sam.Command) {
	e := c.Extent
	switch c.Action {
	case sam.Complete:
		if c.Status == sam.CheckCondition && c.Sense.Key == sam.NoSense {
			t.Fatalf("CHECK CONDITION without sense: %+v", c)
		}
	case sam.Execute:
		if c.DataOutBytes < 0 || c.DataInBytes < 0 {
			t.Fatalf("lengths %d and %d", c.DataOutBytes, c.DataInBytes)
		}
	case sam.ReadMedium, sam.WriteMedium, sam.CompareMedium:
		if e.Offset < 0 || e.Bytes <= 0 || e.Offset > d.info.Bytes-e.Bytes ||
			e.Bytes > int64(d.maxBlocks)<<d.blockShift || (e.Offset|e.Bytes)%int64(d.info.BlockBytes) != 0 {
			t.Fatalf("extent %+v on %d bytes", e, d.info.Bytes)
		}
		if (c.Action == sam.ReadMedium) != (c.DataInBytes == e.Bytes) || (c.Action == sam.ReadMedium) != (c.DataOutBytes == 0) {
			t.Fatalf("extent %+v, lengths %d and %d", e, c.DataOutBytes, c.DataInBytes)
		}
		if c.Action == sam.WriteMedium && d.info.ReadOnly {
			t.Fatal("write on a read-only medium")
		}
	default:
		t.Fatalf("action %d", c.Action)
	}
}

// runChecked walks the program; its work is bounded and stays on the medium. What goes on
// without its command, in the background, is as long as the medium.
func runChecked(t *testing.T, d *Device, c *sam.Command, p Program) {
	if p.Detached() {
		return
	}
	if p.Kind == AbortCopy {
		t.Fatal("an abort of no copy")
	}
	if p.Kind == Copy {
		runSegments(t, d, c, p)
		return
	}
	total, lookups, room := int64(0), 0, int64(len(c.Buffer))
	for {
		s, more := d.Next(c, &p)
		if !more {
			return
		}
		if s.Op == blk.Sync {
			continue
		}
		if s.Op == blk.Map {
			// Metadata: bounded by the number of look-ups, not by bytes.
			d.Extent(c, &p, int64(d.info.BlockBytes), p.index%3 == 0, p.index%3 == 1)
			if lookups++; lookups > maxLookups || s.Offset < 0 || s.Offset > d.info.Bytes-s.Length || c.DataInBytes > room {
				t.Fatalf("look-up %d: %+v, %d bytes of answer", lookups, s, c.DataInBytes)
			}
			continue
		}
		if s.Length <= 0 || s.Offset < 0 || s.Offset > d.info.Bytes-s.Length {
			t.Fatalf("step %+v on %d bytes", s, d.info.Bytes)
		}
		if s.Op == blk.Read || s.Op == blk.Write {
			if !moveChecked(d, c, &p, s) {
				return
			}
		}
		if total += s.Length; total > 2*max(int64(d.maxBlocks), maxUnmapBlocks)<<d.blockShift {
			t.Fatalf("%d bytes of work in one command", total)
		}
		if s.Op == blk.Write && d.info.ReadOnly {
			t.Fatal("write on a read-only medium")
		}
	}
}

// runSegments walks a copy; it is bounded, and what it names there is.
func runSegments(t *testing.T, d *Device, c *sam.Command, p Program) {
	most := maxSegments
	if d.transferOf(&p) != nil {
		most = 2 * maxRanges
		if _, _, asks := d.Claims(c, &p); asks && !d.Claimed(c, &p, Claim{Number: 1, Ranges: []Range{{3, 5}, {900, 12}}}) {
			d.EndCopy(c, &p, -1)
			return
		}
	}
	for n := 0; ; n++ {
		s, more := d.NextSegment(c, &p)
		if !more {
			break
		}
		source, destination := c.Path.Units[s.Source].BlockBytes, c.Path.Units[s.Destination].BlockBytes
		if s.Bytes < 0 || s.Bytes > maxSegmentBytes || s.Bytes%int64(source) != 0 || s.Bytes%int64(destination) != 0 || n == most {
			t.Fatalf("segment %d: %+v", n, s)
		}
		if s.SourceLBA+uint64(s.Bytes)/uint64(source) < s.SourceLBA || s.DestinationLBA+uint64(s.Bytes)/uint64(destination) < s.DestinationLBA {
			t.Fatalf("segment %d runs over: %+v", n, s)
		}
	}
	if d.EndCopy(c, &p, -1); d.copying != 0 || c.Status != sam.Good && c.Sense.Key != sam.CopyAborted && c.Sense.Code != codeUnderrun {
		t.Fatalf("%d under way, %v %+v", d.copying, c.Status, c.Sense)
	}
}
