package scsi

import (
	"bytes"
	"encoding/binary"
	"testing"

	"lunar/lun/blk"
	"lunar/scsi/sam"

	"pgregory.net/rapid"
)

// medium is a model disk that runs programs step by step, as a unit does.
type medium struct {
	data  []byte
	syncs int
	ops   map[blk.Op]int
	// states has one entry for each block that is deallocated or anchored.
	states map[uint64]byte
	// sight is the most blocks one look-up sees; zero sees all.
	sight int64
}

// look answers a Map.
func (m *medium) look(d *Device, s Step) (n int64, state byte) {
	block := int64(d.info.BlockBytes)
	at := uint64(s.Offset / block)
	state = m.states[at]
	for n < s.Length && m.states[at] == state && (m.sight == 0 || n < m.sight*block) {
		n += block
		at++
	}
	return n, state
}

func (m *medium) run(t testing.TB, d *Device, c *sam.Command, p Program) {
	t.Helper()
	m.ops = make(map[blk.Op]int)
	for {
		s, more := d.Next(c, &p)
		if !more {
			return
		}
		m.ops[s.Op]++
		if s.Op == blk.Sync {
			m.syncs++
			continue
		}
		limit := int64(blk.MaxRequestBytes)
		switch s.Op {
		case blk.Discard, blk.Zero:
			limit = maxRangeBytes
		case blk.Map:
			limit = maxMapBytes
		}
		if s.Length <= 0 || s.Length > limit || s.Offset < 0 || s.Offset+s.Length > int64(len(m.data)) ||
			(s.Offset|s.Length)%int64(d.info.BlockBytes) != 0 {
			t.Fatalf("step %+v on %d bytes", s, len(m.data))
		}
		mem := m.data[s.Offset : s.Offset+s.Length]
		switch s.Op {
		case blk.Map:
			n, state := m.look(d, s)
			d.Extent(c, &p, n, state == provisioningDeallocated, state == provisioningAnchored)
		case blk.Write:
			d.Supply(c, &p, s.Offset, mem)
		case blk.Read:
			if !d.Check(c, &p, s.Offset, mem) {
				return
			}
		case blk.Zero, blk.Discard:
			clear(mem)
		}
	}
}

// do serves a whole command on the medium.
func (m *medium) do(t testing.TB, d *Device, c *sam.Command, out []byte) {
	t.Helper()
	_, p := serve(t, d, c, out)
	m.run(t, d, c, p)
}

func newMedium(d *Device) *medium {
	m := &medium{data: make([]byte, d.info.Bytes)}
	for i := range m.data {
		m.data[i] = byte(i>>9) | 1
	}
	return m
}

func descriptors(t testing.TB, pairs ...uint64) []byte {
	t.Helper()
	b := make([]byte, 8, 8+8*len(pairs))
	for i := 0; i < len(pairs); i += 2 {
		b = binary.BigEndian.AppendUint64(b, pairs[i])
		b = binary.BigEndian.AppendUint32(b, uint32(pairs[i+1]))
		b = append(b, 0, 0, 0, 0)
	}
	binary.BigEndian.PutUint16(b, uint16(len(b)-2))
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)-8))
	return b
}

func unmapCommand(list []byte) *sam.Command {
	c := &sam.Command{CDBBytes: 16}
	c.CDB[0] = 0x42
	binary.BigEndian.PutUint16(c.CDB[7:], uint16(len(list)))
	return c
}

func TestUnmap_ListsAndLimits(t *testing.T) {
	d := testDevice(func(c *Config) { c.Info.Bytes = 4 << 30 })
	last := d.blocks - 1
	many := func(n int) []byte {
		pairs := make([]uint64, 0, 2*n)
		for i := range n {
			pairs = append(pairs, uint64(i), 1)
		}
		return descriptors(t, pairs...)
	}
	lie := descriptors(t, 0, 1)
	binary.BigEndian.PutUint16(lie[2:], 32)
	incomplete := descriptors(t, 0, 1)
	incomplete = append(incomplete, 0xff, 0xff, 0xff)
	binary.BigEndian.PutUint16(incomplete[2:], 19)
	for name, k := range map[string]struct {
		list []byte
		code uint16
	}{
		"no list":             {nil, 0},
		"short header":        {make([]byte, 7), 0x1a00},
		"no descriptors":      {descriptors(t), 0},
		"one":                 {descriptors(t, 0, 1), 0},
		"no blocks":           {descriptors(t, 5, 0), 0},
		"no blocks at end":    {descriptors(t, last+1, 0), 0},
		"no blocks behind":    {descriptors(t, last+2, 0), 0x2100},
		"last":                {descriptors(t, last, 1), 0},
		"over the end":        {descriptors(t, last, 2), 0x2100},
		"far":                 {descriptors(t, 1<<63, 1), 0x2100},
		"wraps":               {descriptors(t, 1<<64-1, 1<<32-1), 0x2100},
		"second over the end": {descriptors(t, 0, 1, last+1, 1), 0x2100},
		"most blocks":         {descriptors(t, 0, maxUnmapBlocks/2, maxUnmapBlocks, maxUnmapBlocks/2), 0},
		"one block too many":  {descriptors(t, 0, maxUnmapBlocks/2, maxUnmapBlocks, maxUnmapBlocks/2+1), 0x2600},
		"most descriptors":    {many(maxUnmapDescriptors), 0},
		"too many":            {many(maxUnmapDescriptors + 1), 0x2600},
		"length lies":         {lie, 0x1a00},
		"incomplete is cut":   {incomplete, 0},
	} {
		c := unmapCommand(k.list)
		_, p := serve(t, d, c, k.list)
		if k.code != 0 {
			if p.Kind != 0 {
				t.Errorf("%s: program %+v", name, p)
			}
			wantSense(t, c, sam.IllegalRequest, k.code)
		} else if c.Status != sam.Good {
			t.Errorf("%s: %+v", name, c.Sense)
		}
	}
	c := unmapCommand(descriptors(t, 0, 1))
	serve(t, d, c, descriptors(t, 0, 1)[:20])
	wantSense(t, c, sam.IllegalRequest, 0x1a00)
	thick := testDevice(func(c *Config) { c.Info.Thin = false })
	fails(t, thick, "42 00 00 00 00 00 00 00 18", sam.IllegalRequest, 0x2000)
}

// UNMAP clears exactly the blocks its list names, in any order and overlap.
func TestUnmap_ClearsExactlyTheList(t *testing.T) {
	d := testDevice()
	rapid.Check(t, func(rt *rapid.T) {
		m := newMedium(d)
		want := bytes.Clone(m.data)
		var pairs []uint64
		for range rapid.IntRange(0, 20).Draw(rt, "descriptors") {
			lba := rapid.Uint64Range(0, d.blocks).Draw(rt, "lba")
			n := rapid.Uint64Range(0, min(d.blocks-lba, 500)).Draw(rt, "blocks")
			pairs = append(pairs, lba, n)
			clear(want[lba*512 : (lba+n)*512])
		}
		list := descriptors(t, pairs...)
		c := unmapCommand(list)
		m.do(t, d, c, list)
		if c.Status != sam.Good || !bytes.Equal(m.data, want) {
			rt.Fatalf("status %v, sense %+v", c.Status, c.Sense)
		}
	})
}

// WRITE SAME leaves the same bytes whatever it is turned into, and turns into
// the cheapest of what it may.
func TestWriteSame_AllForms(t *testing.T) {
	d := testDevice()
	ones := bytes.Repeat([]byte{0xff, 0x01}, 256)
	zero := make([]byte, 512)
	for name, k := range map[string]struct {
		opcode, byte1 byte
		out           []byte
		want          blk.Op
	}{
		"10 data":            {0x41, 0, ones, blk.Write},
		"10 zeros":           {0x41, 0, zero, blk.Zero},
		"10 unmap zeros":     {0x41, 0x08, zero, blk.Discard},
		"10 unmap data":      {0x41, 0x08, ones, blk.Discard},
		"16 data":            {0x93, 0, ones, blk.Write},
		"16 zeros":           {0x93, 0, zero, blk.Zero},
		"16 unmap zeros":     {0x93, 0x08, zero, blk.Discard},
		"16 unmap data":      {0x93, 0x08, ones, blk.Discard},
		"16 unmap, no data":  {0x93, 0x08, nil, blk.Discard},
		"16 no buffer":       {0x93, 0x01, nil, blk.Zero},
		"16 no buffer unmap": {0x93, 0x09, nil, blk.Discard},
	} {
		for _, blocks := range []uint32{1, 7, 600, 0} {
			m := newMedium(d)
			want := bytes.Clone(m.data)
			from, n := d.blocks-700, uint64(blocks)
			if n == 0 {
				n = 700 // to the end
			}
			fill := k.out
			if fill == nil || k.byte1&unmapMask != 0 {
				fill = zero // deallocated, whatever the data says: deviation D-2
			}
			copy(want[from*512:], bytes.Repeat(fill, int(n)))
			c := command(k.opcode, from, blocks)
			c.CDB[1] = k.byte1
			m.do(t, d, c, k.out)
			if c.Status != sam.Good || !bytes.Equal(m.data, want) || len(m.ops) != 1 || m.ops[k.want] == 0 {
				t.Errorf("%s of %d blocks: status %v, sense %+v, operations %v", name, blocks, c.Status, c.Sense, m.ops)
			}
		}
	}
}

func TestWriteSame_DataOfAnotherLength(t *testing.T) {
	d := testDevice()
	for _, opcode := range []byte{0x41, 0x93} {
		for _, unmap := range []byte{0, unmapMask} {
			for _, n := range []int{1, 256, 511, 513, 1024} {
				c := command(opcode, 0, 1)
				c.CDB[1] = unmap
				_, p := serve(t, d, c, make([]byte, n))
				wantSense(t, c, sam.IllegalRequest, 0x0e03)
				if p.Kind != 0 || c.DataOutBytes != 512 {
					t.Errorf("%02x with %d bytes: program %+v, DataOutBytes %d", opcode, n, p, c.DataOutBytes)
				}
			}
		}
		// Data that was announced and did not all come.
		c := command(opcode, 0, 1)
		d.Begin(c)
		if _, p := execute(t, d, c, make([]byte, 100)); p.Kind != 0 {
			t.Errorf("%02x cut: program %+v", opcode, p)
		}
		wantSense(t, c, sam.IllegalRequest, 0x0e03)
	}
	fails(t, d, "41 10 00 00 00 00 00 00 01", sam.IllegalRequest, 0x2400) // ANCHOR
	fails(t, d, "41 18 00 00 00 00 00 00 01", sam.IllegalRequest, 0x2400) // ANCHOR and UNMAP
	thick := testDevice(func(c *Config) { c.Info.Thin = false })
	fails(t, thick, "41 08 00 00 00 00 00 00 01", sam.IllegalRequest, 0x2400)
}

func TestVerify_Modes(t *testing.T) {
	d := testDevice()
	m := newMedium(d)
	for _, opcode := range []byte{0x2f, 0xaf, 0x8f} {
		c := command(opcode, 16, 1000)
		m.do(t, d, c, nil)
		if c.Status != sam.Good || m.ops[blk.Read] != 2 || c.DataOutBytes != 0 {
			t.Errorf("%02x BYTCHK 0: %+v, operations %v", opcode, c.Sense, m.ops)
		}
		c = command(opcode, 16, 4)
		c.CDB[1] = 0x02
		d.Begin(c)
		if c.Action != sam.CompareMedium || c.Extent != (sam.Extent{Offset: 8192, Bytes: 2048}) || c.DataOutBytes != 2048 {
			t.Errorf("%02x BYTCHK 1: %+v", opcode, c)
		}
		c = command(opcode, 0, 1)
		c.CDB[1] = 0x04
		d.Begin(c)
		wantSense(t, c, sam.IllegalRequest, 0x2400)

		clear(m.data[512:4096])
		c = command(opcode, 1, 7)
		c.CDB[1] = 0x06
		m.do(t, d, c, make([]byte, 512))
		if c.Status != sam.Good || m.ops[blk.Read] == 0 {
			t.Errorf("%02x BYTCHK 3: %+v", opcode, c.Sense)
		}
		m.data[3*512+77] = 1
		c = command(opcode, 1, 7)
		c.CDB[1] = 0x06
		m.do(t, d, c, make([]byte, 512))
		wantSense(t, c, sam.Miscompare, 0x1d00)
		if !c.Sense.HasInfo || c.Sense.Info != 77 {
			t.Errorf("%02x BYTCHK 3: information %+v", opcode, c.Sense)
		}
		c = command(opcode, 1, 7)
		c.CDB[1] = 0x06
		serve(t, d, c, make([]byte, 100))
		wantSense(t, c, sam.IllegalRequest, 0x0e03)
	}
}

func TestSynchronizeCache_IsOneFlushWithImmedToo(t *testing.T) {
	d := testDevice()
	for _, opcode := range []byte{0x35, 0x91} {
		for _, byte1 := range []byte{0, 2, 4, 6} {
			m := newMedium(d)
			c := command(opcode, 5, 0)
			c.CDB[1] = byte1
			m.do(t, d, c, nil)
			if c.Status != sam.Good || m.syncs != 1 {
				t.Errorf("%02x/%02x: %+v, %d flushes", opcode, byte1, c.Sense, m.syncs)
			}
		}
	}
}

// A range is cut without gap or overlap, into steps no longer than allowed.
func TestProgram_CutsExactly(t *testing.T) {
	d := testDevice()
	rapid.Check(t, func(rt *rapid.T) {
		kind := ProgramKind(rapid.IntRange(int(Discard), int(VerifySame)).Draw(rt, "kind"))
		p := Program{Kind: kind, Offset: rapid.Int64Range(0, 1<<40).Draw(rt, "offset") * 512, Bytes: rapid.Int64Range(0, 1<<20).Draw(rt, "blocks") * 512}
		next, end := p.Offset, p.Offset+p.Bytes
		for {
			s, more := d.Next(nil, &p)
			if !more {
				break
			}
			if s.Offset != next || s.Length <= 0 || s.Length > maxRangeBytes ||
				(s.Op == blk.Read || s.Op == blk.Write) && s.Length > blk.MaxRequestBytes {
				rt.Fatalf("step %+v after %d", s, next)
			}
			next += s.Length
		}
		if next != end {
			rt.Fatalf("ended at %d, want %d", next, end)
		}
	})
	if _, more := d.Next(nil, &Program{}); more {
		t.Error("no program has a step")
	}
}

// WRITE AND VERIFY writes durably and compares, whatever BYTCHK says of the two it
// knows.
func TestWriteVerify_Extent(t *testing.T) {
	for _, opcode := range []byte{0x2e, 0xae, 0x8e} {
		for _, bytchk := range []byte{0, 0x02} {
			d := testDevice()
			c := command(opcode, 16, 4)
			c.CDB[1] = bytchk
			d.Begin(c)
			if c.Action != sam.WriteMedium || c.Extent != (sam.Extent{Offset: 8192, Bytes: 2048, FUA: true, Verify: true}) || c.DataOutBytes != 2048 {
				t.Errorf("%02x BYTCHK %d: %+v", opcode, bytchk>>1, c)
			}
		}
		for _, bytchk := range []byte{0x04, 0x06} {
			c := command(opcode, 16, 4)
			c.CDB[1] = bytchk
			testDevice().Begin(c)
			wantSense(t, c, sam.IllegalRequest, 0x2400)
		}
		c := command(opcode, 16, 4)
		testDevice(func(c *Config) { c.Info.ReadOnly = true }).Begin(c)
		wantSense(t, c, sam.DataProtect, 0x2700)
	}
}
