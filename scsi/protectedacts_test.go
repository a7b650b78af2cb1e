package scsi

import (
	"bytes"
	"testing"

	"lunar/lun/blk"
	"lunar/scsi/pi"
	"lunar/scsi/sam"
)

// stored puts blocks and their protection information on the medium.
func (g *guarded) stored(lba int, data []byte, tuples ...pi.Tuple) {
	copy(g.data[lba*int(g.block):], data)
	for i, tuple := range tuples {
		tuple.Put(g.tuples[(lba+i)*pi.Bytes:])
	}
}

func (g *guarded) tuple(lba int) pi.Tuple { return pi.Get(g.tuples[lba*pi.Bytes:]) }

// VERIFY with data compares user data, and of the protection information what the code says
// (SBC-4 table 128).
func TestProtected_VerifyCompares(t *testing.T) {
	const all, each = 0x02, 0x06
	data := pattern(3, 512, 5)
	for _, k := range []struct {
		kind   pi.Type
		owned  bool
		code   byte
		damage func(*pi.Tuple)
		want   uint16
	}{
		{pi.Type1, false, 1, func(*pi.Tuple) {}, 0},
		{pi.Type1, false, 1, func(p *pi.Tuple) { p.Guard ^= 1 }, codeGuard},
		{pi.Type1, false, 2, func(p *pi.Tuple) { p.Guard ^= 1 }, 0},
		{pi.Type1, false, 3, func(p *pi.Tuple) { p.Guard ^= 1 }, codeGuard},
		{pi.Type1, false, 4, func(p *pi.Tuple) { p.Guard ^= 1 }, codeGuard},
		{pi.Type1, false, 5, func(p *pi.Tuple) { p.Guard ^= 1 }, codeGuard},
		{pi.Type1, false, 1, func(p *pi.Tuple) { p.Reference++ }, codeReferenceTag},
		{pi.Type1, false, 3, func(p *pi.Tuple) { p.Reference++ }, codeReferenceTag},
		{pi.Type1, false, 5, func(p *pi.Tuple) { p.Reference++ }, 0},
		{pi.Type1, false, 1, func(p *pi.Tuple) { p.Application++ }, 0},
		{pi.Type1, true, 1, func(p *pi.Tuple) { p.Application++ }, codeApplicationTag},
		{pi.Type1, true, 5, func(p *pi.Tuple) { p.Application++ }, codeApplicationTag},
		{pi.Type1, true, 1, func(p *pi.Tuple) { p.Application = 0xffff; p.Guard++ }, 0},
		{pi.Type3, false, 1, func(p *pi.Tuple) { p.Reference++ }, 0},
		{pi.Type3, true, 1, func(p *pi.Tuple) { p.Reference++ }, codeReferenceTag},
	} {
		d := protectedDevice(k.kind)
		d.mode.Owned = k.owned
		g := newGuarded(d)
		tuples := right(data, 512, 20, 0x55)
		k.damage(&tuples[1])
		g.stored(20, data, tuples...)
		c := short(t, opVerify, k.code, all, 20, 3)
		g.do(t, c, wire(data, 512, right(data, 512, 20, 0x55)...))
		if k.want == 0 && c.Status != sam.Good || k.want != 0 && (c.Sense.Key != sam.Miscompare || c.Sense.Code != k.want || c.Sense.Info != 21) {
			t.Errorf("%+v: %v %+v", k, c.Status, c.Sense)
		}
	}
	g := newGuarded(protectedDevice(pi.Type1))
	same := bytes.Repeat(data[:512], 3)
	g.stored(20, same, right(same, 512, 20, 0)...)
	g.good(t, short(t, opVerify, 1, each, 20, 3), wire(same, 512, right(same[:512], 512, 20, 0)...))
	g.data[22*512+7]++
	c := short(t, opVerify, 1, each, 20, 3)
	g.fails(t, c, wire(same, 512, right(same[:512], 512, 20, 0)...), sam.Miscompare, codeMiscompare)
	if c.Sense.Info != 7 {
		t.Errorf("the difference is at byte %d of what was sent", c.Sense.Info)
	}
	// What is sent is checked too.
	g.fails(t, short(t, opVerify, 1, all, 20, 3), wire(same, 512, right(same, 512, 21, 0)...), sam.AbortedCommand, codeReferenceTag)
	g.fails(t, short(t, opVerify, 1, all, 20, 3), nil, sam.IllegalRequest, codeInformationUnit)
}

// WRITE SAME writes its guard and application tag to every block, and reference tags that
// count, but of type 3 and where nothing is to be checked (SBC-4 §5.52, §5.53).
func TestProtected_WriteSame(t *testing.T) {
	const opSame, unmap, ndob = 0x93, 0x08, 0x01
	block := pattern(1, 512, 8)
	none := pi.Tuple{Guard: 0xffff, Application: 0xffff, Reference: 0xffffffff}
	guard := pi.CRC(block)
	for _, k := range []struct {
		name        string
		kind        pi.Type
		code, extra byte
		sent        *pi.Tuple // nil: no data
		first, last pi.Tuple
	}{
		{"type 1", pi.Type1, 1, 0, &pi.Tuple{Guard: guard, Application: 3, Reference: 16}, pi.Tuple{Guard: guard, Application: 3, Reference: 16}, pi.Tuple{Guard: guard, Application: 3, Reference: 1015}},
		{"type 3", pi.Type3, 1, 0, &pi.Tuple{Guard: guard, Application: 3, Reference: 16}, pi.Tuple{Guard: guard, Application: 3, Reference: 16}, pi.Tuple{Guard: guard, Application: 3, Reference: 16}},
		{"none", pi.Type1, 1, 0, &none, none, none},
		{"unmap", pi.Type1, 1, unmap, &pi.Tuple{Guard: guard, Reference: 16}, none, none},
		{"no data", pi.Type1, 1, ndob, nil, none, none},
		{"unmap, no data", pi.Type1, 1, unmap | ndob, nil, none, none},
	} {
		g := newGuarded(protectedDevice(k.kind))
		g.good(t, short(t, opWrite, 1, 0, 1016, 1), wire(block, 512, pi.Tuple{Guard: guard, Application: 9, Reference: 1016}))
		var out []byte
		if k.sent != nil {
			out = wire(block, 512, *k.sent)
		}
		g.good(t, short(t, opSame, k.code, k.extra, 16, 1000), out)
		want := block
		if k.extra != 0 {
			want = make([]byte, 512)
		}
		if g.tuple(16) != k.first || g.tuple(1015) != k.last || !bytes.Equal(g.data[1015*512:][:512], want) {
			t.Errorf("%s: %+v … %+v", k.name, g.tuple(16), g.tuple(1015))
		}
		if g.tuple(1016) != (pi.Tuple{Guard: guard, Application: 9, Reference: 1016}) {
			t.Errorf("%s: the block behind says %+v", k.name, g.tuple(1016))
		}
	}
	g := newGuarded(protectedDevice(pi.Type1))
	g.fails(t, short(t, opSame, 1, 0, 16, 10), wire(block, 512, pi.Tuple{Guard: guard, Reference: 17}), sam.AbortedCommand, codeReferenceTag)
	g.fails(t, short(t, opSame, 1, 0, 16, 10), block, sam.IllegalRequest, codeInformationUnit)
	g = newGuarded(protectedDevice(pi.Type2))
	g.good(t, long(t, longSame, 0x20, 30, 0xfffffffe, 0, 0, 4), wire(block, 512, pi.Tuple{Guard: guard, Reference: 0xfffffffe}))
	if g.tuple(31).Reference != 0xffffffff || g.tuple(33).Reference != 1 {
		t.Errorf("WRITE SAME(32): reference tags %x … %x", g.tuple(31).Reference, g.tuple(33).Reference)
	}
	g.good(t, long(t, longSame, 0, 30, 0, 0, 0, 4), block)
	if g.tuple(33) != (pi.Tuple{Guard: guard, Application: 0xffff, Reference: 0xffffffff}) || !bytes.Equal(g.data[33*512:][:512], block) {
		t.Errorf("WRITE SAME(32) without protection information: %+v", g.tuple(33))
	}
	g.good(t, long(t, longSame, ndob, 30, 0, 0, 0, 4), nil)
	if !bytes.Equal(g.data[33*512:][:512], make([]byte, 512)) {
		t.Error("WRITE SAME(32) with NDOB")
	}
}

// COMPARE AND WRITE compares user data alone, and checks what it is to write (SBC-4 §5.3).
func TestProtected_CompareAndWrite(t *testing.T) {
	command := func() *sam.Command {
		return parse(t, "89 20 00 00 00 00 00 00 00 28 00 00 00 03 00 00")
	}
	before, after := pattern(3, 512, 1), pattern(3, 512, 2)
	garbage := pi.Tuple{Guard: 1, Application: 2, Reference: 3}
	first := wire(before, 512, garbage, garbage, garbage)
	g := newGuarded(protectedDevice(pi.Type1))
	g.stored(40, before, right(before, 512, 40, 0)...)
	wrong := right(after, 512, 40, 7)
	wrong[2].Guard++
	g.fails(t, command(), append(bytes.Clone(first), wire(after, 512, wrong...)...), sam.AbortedCommand, codeGuard)
	if !bytes.Equal(g.data[40*512:][:3*512], before) {
		t.Error("something was written")
	}
	g.good(t, command(), append(bytes.Clone(first), wire(after, 512, right(after, 512, 40, 7)...)...))
	if !bytes.Equal(g.data[40*512:][:3*512], after) || g.tuple(42) != right(after, 512, 40, 7)[2] {
		t.Errorf("%+v", g.tuple(42))
	}
	c := command()
	other := bytes.Clone(after)
	other[2*512+9]++
	g.fails(t, c, append(wire(other, 512, garbage, garbage, garbage), wire(after, 512, right(after, 512, 40, 7)...)...), sam.Miscompare, codeMiscompare)
	if c.Sense.Info != 2*520+9 {
		t.Errorf("the difference is at byte %d of what was sent", c.Sense.Info)
	}
	g.fails(t, command(), first, sam.IllegalRequest, codeInformationUnit)
	g.good(t, parse(t, "89 20 00 00 00 00 00 00 00 28 00 00 00 00 00 00"), nil)
}

// ORWRITE checks both sides, and makes a guard of what comes of them (SBC-4 §4.27.1).
func TestProtected_OrWrite(t *testing.T) {
	there, sent := pattern(600, 512, 1), pattern(600, 512, 2)
	g := newGuarded(protectedDevice(pi.Type1))
	g.stored(40, there, right(there, 512, 40, 0)...)
	g.good(t, short(t, opOr, 1, 0, 40, 600), wire(sent, 512, right(sent, 512, 40, 0x77)...))
	want := bytes.Clone(there)
	for i, b := range sent {
		want[i] |= b
	}
	if !bytes.Equal(g.data[40*512:][:600*512], want) || g.tuple(639) != right(want, 512, 40, 0x77)[599] {
		t.Errorf("%+v", g.tuple(639))
	}
	damaged := g.tuple(41)
	damaged.Guard++
	damaged.Put(g.tuples[41*8:])
	g.fails(t, short(t, opOr, 1, 0, 40, 3), wire(sent, 512, right(sent, 512, 40, 0)[:3]...), sam.AbortedCommand, codeGuard)
	g.good(t, short(t, opOr, 2, 0, 40, 3), wire(sent, 512, right(sent, 512, 40, 0)[:3]...))
	wrong := right(sent, 512, 40, 0)[:3]
	wrong[0].Reference--
	g.fails(t, short(t, opOr, 1, 0, 40, 3), wire(sent, 512, wrong...), sam.AbortedCommand, codeReferenceTag)
}

// WRITE ATOMIC is one step, WRITE AND VERIFY reads what it wrote.
func TestProtected_AtomicAndVerified(t *testing.T) {
	data := pattern(100, 512, 6)
	sent := wire(data, 512, right(data, 512, 40, 0)...)
	g := newGuarded(protectedDevice(pi.Type1))
	c := parse(t, "9c 28 00 00 00 00 00 00 00 28 00 00 00 64 00 00")
	_, p := serve(t, g.d, c, sent)
	s, more := g.d.Next(c, &p)
	if !more || !s.FUA || !s.Tuples || s.Length != int64(len(data)) {
		t.Errorf("WRITE ATOMIC: %+v", s)
	}
	if _, more = g.d.Next(c, &p); more {
		t.Error("WRITE ATOMIC has another step")
	}
	for _, lie := range []bool{false, true} {
		c = short(t, opWriteVerify, 3, 0, 40, 100)
		_, p = serve(t, g.d, c, sent)
		for s, more = g.d.Next(c, &p); more; s, more = g.d.Next(c, &p) {
			if lie && s.Op == blk.Read {
				g.tuples[50*8]++
			}
			if !g.step(t, c, &p, s) {
				break
			}
		}
		if lie != (c.Status == sam.CheckCondition) || lie && (c.Sense.Key != sam.Miscompare || c.Sense.Code != codeGuard) {
			t.Errorf("lie %v: %v %+v", lie, c.Status, c.Sense)
		}
	}
}
