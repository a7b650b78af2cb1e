package scsi

import (
	"bytes"
	"fmt"
	"testing"

	"lunar/scsi/pi"
	"lunar/scsi/sam"
)

// Opcodes with a field of protection whose CDBs are alike, and service actions of 32-byte
// CDBs.
const (
	opRead, opWrite, opVerify, opWriteVerify, opOr = 0x88, 0x8a, 0x8f, 0x8e, 0x8b

	longRead, longVerify, longWrite, longWriteVerify, longSame = 0x09, 0x0a, 0x0b, 0x0c, 0x0d
)

// What is refused, for the type that the unit is formatted with (SBC-4 §4.21.2).
func TestProtected_WhatTheTypeAllows(t *testing.T) {
	shorts := []string{
		"28 %02x 00 00 00 01 00 00 01", "a8 %02x 00 00 00 01 00 00 00 01", "88 %02x 00 00 00 00 00 00 00 01 00 00 00 01",
		"2a %02x 00 00 00 01 00 00 01", "aa %02x 00 00 00 01 00 00 00 01", "8a %02x 00 00 00 00 00 00 00 01 00 00 00 01",
		"2e %02x 00 00 00 01 00 00 01", "ae %02x 00 00 00 01 00 00 00 01", "8e %02x 00 00 00 00 00 00 00 01 00 00 00 01",
		"2f %02x 00 00 00 01 00 00 01", "af %02x 00 00 00 01 00 00 00 01", "8f %02x 00 00 00 00 00 00 00 01 00 00 00 01",
		"41 %02x 00 00 00 01 00 00 01", "93 %02x 00 00 00 00 00 00 00 01 00 00 00 01",
		"89 %02x 00 00 00 00 00 00 00 01 00 00 00 01", "8b %02x 00 00 00 00 00 00 00 01 00 00 00 01",
		"9c %02x 00 00 00 00 00 00 00 01 00 00 00 01",
	}
	refused := func(d *Device, c *sam.Command) uint16 {
		d.Begin(c)
		if c.Action == sam.Execute && c.Status == sam.Good {
			return 0
		}
		return c.Sense.Code
	}
	for kind := pi.Type0; kind <= pi.MaxType; kind++ {
		d, none := protectedDevice(kind), testDevice()
		for _, format := range shorts {
			for code := byte(1); code < 8; code++ {
				text := fmt.Sprintf(format, code<<5)
				want := map[pi.Type]uint16{pi.Type0: codeInvalidField, pi.Type2: codeInvalidOpcode}[kind]
				if want == 0 && code > maxProtect {
					want = codeInvalidField
				}
				if got := refused(d, parse(t, text)); got != want {
					t.Errorf("type %d, %s: %04x, want %04x", kind, text, got, want)
				}
				if got := refused(none, parse(t, text)); got != codeInvalidField {
					t.Errorf("no protection information, %s: %04x", text, got)
				}
			}
		}
		for action := byte(longRead); action <= longSame; action++ {
			for code := byte(0); code < 8; code++ {
				c := long(t, action, code<<5, 1, 1, 0, 0, 1)
				want := uint16(codeInvalidOpcode)
				if kind == pi.Type2 {
					want = map[bool]uint16{true: codeInvalidField}[code > maxProtect]
				}
				if got := refused(d, c); got != want {
					t.Errorf("type %d, 32-byte action %02x, code %d: %04x, want %04x", kind, action, code, got, want)
				}
			}
		}
	}
}

func TestProtected_FieldsOfLongCDBs(t *testing.T) {
	g := newGuarded(protectedDevice(pi.Type2))
	field := func(c *sam.Command, code uint16, at uint16) {
		t.Helper()
		g.fails(t, c, nil, sam.IllegalRequest, code)
		if c.Sense.Field.Byte != at {
			t.Errorf("CDB %x: pointer %+v, want byte %d", c.CDB, c.Sense.Field, at)
		}
	}
	c := long(t, longRead, 0, 0, 0, 0, 0, 1)
	c.CDB[7] = 0x10
	field(c, codeInvalidField, 7)
	c = long(t, longRead, 0, 0, 0, 0, 0, 1)
	c.CDBBytes = 16
	field(c, codeInvalidField, 16)
	field(long(t, 0x10, 0, 0, 0, 0, 0, 1), codeInvalidField, 8)
	field(long(t, longRead, 0, 8192, 0, 0, 0, 1), codeRange, longLBAAt)
	field(long(t, longRead, 0, 8191, 0, 0, 0, 2), codeRange, longLBAAt)
	field(long(t, longRead, 0, 0, 0, 0, 0, g.d.maxBlocks+1), codeInvalidField, longLengthAt)
	field(long(t, longVerify, 0x24, 0, 0, 0, 0, 1), codeInvalidField, longOptionsAt)
	field(long(t, longWriteVerify, 0x26, 0, 0, 0, 0, 1), codeInvalidField, longOptionsAt)
	g.good(t, long(t, longRead, 0x20, 8192, 0, 0, 0, 0), nil)
	if most := int64(g.d.maxBlocks) * (512 + pi.Bytes); most > MaxListBytes || most < MaxListBytes-1024 {
		t.Errorf("%d blocks take %d bytes", g.d.maxBlocks, most)
	}
}

// What was written with protection information is read with it, and what came without has it
// generated.
func TestProtected_GoesThereAndBack(t *testing.T) {
	for _, block := range []int{512, 4096} {
		for _, kind := range []pi.Type{pi.Type1, pi.Type2, pi.Type3} {
			g := newGuarded(protectedDevice(kind, func(c *Config) { c.Info.BlockBytes = uint32(block) }))
			data := pattern(300, block, 1)
			reference := uint32(5)
			if kind == pi.Type2 {
				reference = 0xffffff00
			}
			sent := wire(data, block, right(data, block, reference, 0x1234)...)
			write, read, plain := short(t, opWrite, 1, 0, 5, 300), short(t, opRead, 1, 0, 5, 300), short(t, opRead, 0, 0, 5, 1)
			if kind == pi.Type2 {
				write, read = long(t, longWrite, 0x20, 5, reference, 0, 0, 300), long(t, longRead, 0x20, 5, reference, 0, 0, 300)
			}
			g.good(t, write, sent)
			if in := g.good(t, read, nil); !bytes.Equal(in, sent) {
				t.Fatalf("type %d, blocks of %d: other data came back", kind, block)
			}
			if g.d.Begin(plain); plain.Action != sam.ReadMedium || !bytes.Equal(g.data[5*block:][:300*block], data) {
				t.Errorf("type %d: a plain read is action %d", kind, plain.Action)
			}
		}
	}
	g := newGuarded(protectedDevice(pi.Type2))
	data := pattern(2, 512, 3)
	g.good(t, long(t, longWrite, 0, 9, 0, 0, 0, 2), data)
	in := g.good(t, long(t, longRead, 0x20, 9, 77, 0, 0, 2), nil)
	want := wire(data, 512, pi.Tuple{Guard: pi.CRC(data[:512]), Application: 0xffff, Reference: 0xffffffff},
		pi.Tuple{Guard: pi.CRC(data[512:]), Application: 0xffff, Reference: 0xffffffff})
	if !bytes.Equal(in, want) {
		t.Errorf("WRITE(32) without protection information left %x", in[512:520])
	}
	if in := g.good(t, long(t, longRead, 0, 9, 77, 0, 0, 2), nil); !bytes.Equal(in, data) {
		t.Error("READ(32) without protection information")
	}
}

// flaw is a block whose protection information is wrong in one field.
type flaw struct {
	name   string
	damage func(*pi.Tuple)
	field  pi.Checks
	code   uint16
}

var flaws = []flaw{
	{"guard", func(p *pi.Tuple) { p.Guard ^= 1 }, pi.Guard, codeGuard},
	{"application tag", func(p *pi.Tuple) { p.Application ^= 1 }, pi.Application, codeApplicationTag},
	{"reference tag", func(p *pi.Tuple) { p.Reference ^= 1 }, pi.Reference, codeReferenceTag},
}

// checkedBy is what a code has checked (SBC-4 tables 79 and 133).
func checkedBy(code byte, kind pi.Type, long, owned bool) (f pi.Checks) {
	f = map[byte]pi.Checks{0: pi.All, 1: pi.All, 2: pi.Application | pi.Reference, 4: pi.Guard, 5: pi.All}[code]
	if kind == pi.Type3 {
		f &^= pi.Reference
	}
	if !long || !owned {
		f &^= pi.Application
	}
	return f
}

// Each code finds the flaws that the standard has it find, on the medium and in what the
// initiator sends, and nothing is written when one is found.
func TestProtected_EachCodeChecksItsFields(t *testing.T) {
	for _, k := range []struct {
		kind  pi.Type
		owned bool
	}{{pi.Type1, false}, {pi.Type1, true}, {pi.Type2, false}, {pi.Type2, true}, {pi.Type3, false}} {
		for code := byte(0); code <= maxProtect; code++ {
			isLong := k.kind == pi.Type2
			if code == 0 && !isLong {
				continue
			}
			for _, f := range flaws {
				for _, escaped := range []bool{false, true} {
					checkFlaw(t, k.kind, k.owned, code, f, escaped)
				}
			}
		}
	}
}

func checkFlaw(t *testing.T, kind pi.Type, owned bool, code byte, f flaw, escaped bool) {
	t.Helper()
	d := protectedDevice(kind)
	d.mode.Owned = owned
	g := newGuarded(d)
	name := fmt.Sprintf("type %d, ATO %v, code %d, %s, escaped %v", kind, owned, code, f.name, escaped)
	isLong := kind == pi.Type2
	data := pattern(3, 512, 9)
	tuples := right(data, 512, 40, 0x1234)
	f.damage(&tuples[1])
	if escaped {
		tuples[1].Application = 0xffff
		if kind == pi.Type3 {
			tuples[1].Reference = 0xffffffff
		}
	}
	finds := !escaped && checkedBy(code, kind, isLong, owned)&f.field != 0
	for i, tuple := range tuples {
		copy(g.data[(40+i)*512:], data[i*512:][:512])
		tuple.Put(g.tuples[(40+i)*8:])
	}
	type one struct {
		name string
		c    *sam.Command
	}
	command := func(name string, opcode, action, options byte) one {
		if isLong {
			return one{name, long(t, action, code<<5|options, 40, 40, 0x1234, 0xffff, 3)}
		}
		return one{name, short(t, opcode, code, options, 40, 3)}
	}
	for _, k := range []one{command("READ", opRead, longRead, 0), command("VERIFY", opVerify, longVerify, 0)} {
		g.do(t, k.c, nil)
		if !finds != (k.c.Status == sam.Good) || finds && (k.c.Sense.Key != sam.AbortedCommand || k.c.Sense.Code != f.code || k.c.Sense.Info != 41) {
			t.Errorf("%s, %s: %v %+v", k.name, name, k.c.Status, k.c.Sense)
		}
	}
	if code == 0 {
		return
	}
	g = newGuarded(d)
	sent := wire(data, 512, tuples...)
	for _, k := range []one{
		command("WRITE", opWrite, longWrite, 0), command("WRITE AND VERIFY", opWriteVerify, longWriteVerify, 0),
	} {
		before := bytes.Clone(g.data)
		g.do(t, k.c, sent)
		if !finds != (k.c.Status == sam.Good) || finds && (k.c.Sense.Key != sam.AbortedCommand || k.c.Sense.Code != f.code || k.c.Sense.Info != 41) {
			t.Errorf("%s, %s: %v %+v", k.name, name, k.c.Status, k.c.Sense)
		}
		if finds && !bytes.Equal(before, g.data) {
			t.Errorf("%s, %s: something was written", k.name, name)
		}
	}
}

// ATO decides whether application tags are compared with what a 32-byte CDB expects, in the
// bits of its mask.
func TestProtected_ApplicationTagsByMask(t *testing.T) {
	for _, owned := range []bool{false, true} {
		d := protectedDevice(pi.Type2)
		d.mode.Owned = owned
		g := newGuarded(d)
		data := pattern(1, 512, 1)
		g.good(t, long(t, longWrite, 0x20, 0, 7, 0xab00, 0xff00, 1), wire(data, 512, right(data, 512, 7, 0xabcd)...))
		g.good(t, long(t, longRead, 0x20, 0, 7, 0x0bc0, 0x0ff0, 1), nil)
		c := long(t, longRead, 0x20, 0, 7, 0x0b30, 0x0ff0, 1)
		if owned {
			g.fails(t, c, nil, sam.AbortedCommand, codeApplicationTag)
		} else {
			g.good(t, c, nil)
		}
	}
}

// No command that asks for protection information comes in as a plain one, and those that do
// not still do.
func TestProtected_NoneIsPlain(t *testing.T) {
	for kind := pi.Type0; kind <= pi.MaxType; kind++ {
		d := protectedDevice(kind)
		for i := range opcodes {
			row := &opcodes[i]
			if row.flags&plain == 0 || row.act == 0 {
				continue
			}
			c := commandOf(row)
			c.CDB[len(row.Usage)-3] = 1 // blocks
			if !d.BeginPlain(c) {
				t.Errorf("type %d: %s is no plain command", kind, row.Name)
			}
			c = commandOf(row)
			c.CDB[1] = 0x20
			if d.BeginPlain(c) || c.Action != 0 {
				t.Errorf("type %d: %s with protection information is a plain command", kind, row.Name)
			}
		}
	}
}
