package scsi

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"lunar/lun/blk"
	"lunar/scsi/sam"
)

// rangeList are block device range descriptors, behind their length.
func rangeList(ranges ...Range) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(16*len(ranges)))
	for _, r := range ranges {
		b = binary.BigEndian.AppendUint64(b, r.LBA)
		b = binary.BigEndian.AppendUint32(b, r.Blocks)
		b = append(b, 0, 0, 0, 0)
	}
	return b
}

func populateList(timeout uint32, ranges ...Range) []byte {
	b := make([]byte, 14)
	binary.BigEndian.PutUint32(b[4:], timeout)
	b = append(b, rangeList(ranges...)...)
	binary.BigEndian.PutUint16(b, uint16(len(b)-2))
	return b
}

func writeList(token []byte, offset uint64, flags byte, ranges ...Range) []byte {
	b := make([]byte, 534)
	b[2] = flags
	binary.BigEndian.PutUint64(b[8:], offset)
	copy(b[16:], token)
	b = append(b, rangeList(ranges...)...)
	binary.BigEndian.PutUint16(b, uint16(len(b)-2))
	return b
}

// tokenCommandOf serves one of the two commands with a list identifier.
func tokenCommandOf(t testing.TB, d *Device, action byte, id uint32, list []byte) (*sam.Command, Program) {
	t.Helper()
	c := parse(t, fmt.Sprintf("83 %02x 00 00 00 00 %08x %08x", action, id, len(list)))
	c.Path = &copyUnits
	_, p := serve(t, d, c, list)
	return c, p
}

// information is the answer of RECEIVE ROD TOKEN INFORMATION.
func information(t testing.TB, d *Device, id uint32) []byte {
	t.Helper()
	return good(t, d, fmt.Sprintf("84 07 %08x 00 00 00 00 00 00 04 00", id))
}

// populated makes a token and fetches it.
func populated(t testing.TB, d *Device, timeout uint32, ranges ...Range) []byte {
	t.Helper()
	if c, _ := tokenCommandOf(t, d, populateToken, 5, populateList(timeout, ranges...)); c.Status != sam.Good {
		t.Fatalf("POPULATE TOKEN: %v %+v", c.Status, c.Sense)
	}
	in := information(t, d, 5)
	return in[len(in)-512:]
}

// claimed begins a WRITE USING TOKEN at the unit that made the token, as the unit does.
func claimed(t testing.TB, d *Device, list []byte) (*sam.Command, Program) {
	t.Helper()
	c, p := tokenCommandOf(t, d, writeUsingToken, 6, list)
	if place, token, asks := d.Claims(c, &p); p.Kind == Copy && asks {
		if place != 0 {
			t.Fatalf("asks unit %d", place)
		}
		if !d.Claimed(c, &p, d.Claim(token)) {
			d.EndCopy(c, &p, -1)
			return c, Program{}
		}
	}
	return c, p
}

// A token looks as SPC-4 §5.17.6.5 has it, and nobody can guess it.
func TestToken_Layout(t *testing.T) {
	d := copyDevice()
	token := populated(t, d, 0, Range{8, 3}, Range{100, 5})
	head := make([]byte, 96)
	copy(head, []byte{0x00, 0x80, 0x00, 0x01, 0, 0, 0x01, 0xf8})
	copy(head[8:16], token[8:16])
	copy(head[16:], cscd(0))
	head[62], head[63] = 8*512>>8, 0
	if !bytes.Equal(token[:96], head) {
		t.Errorf("token %x\nwant  %x", token[:96], head)
	}
	capacity := good(t, d, "9e 10 00 00 00 00 00 00 00 00 00 00 00 20")
	if !bytes.Equal(token[96:104], capacity[8:16]) {
		t.Errorf("device type specific data %x, capacity %x", token[96:104], capacity)
	}
	for at := 256; at < 512; at += 32 {
		if bytes.Equal(token[at:at+32], make([]byte, 32)) {
			t.Errorf("nothing random at %d", at)
		}
	}
	other := testDevice(func(c *Config) { c.TokenSeed = [32]byte{1} })
	other.OpenNexus(0, nil)
	other.clearAttention(0, PowerOn)
	if b := populated(t, other, 0, Range{8, 3}, Range{100, 5}); bytes.Equal(b[8:16], token[8:16]) || bytes.Equal(b[256:], token[256:]) {
		t.Error("another seed makes the same token")
	}
}

// What is wrong with a list is said, with a pointer to it, and nothing comes of it.
func TestPopulateToken_WrongLists(t *testing.T) {
	last := testDevice().blocks
	good := populateList(0, Range{0, 8})
	many := make([]Range, 65)
	for i := range many {
		many[i] = Range{uint64(2 * i), 1}
	}
	for name, k := range map[string]struct {
		list []byte
		code uint16
		at   int // of the CDB when negative
	}{
		"no header":              {good[:15], 0x1a00, -10},
		"longer than any":        {make([]byte, 16+4096+1), 0x1a00, -10},
		"data length":            {change(good, 1, 29), 0x2600, 0},
		"timeout":                {populateList(301, Range{0, 8}), 0x2600, 4},
		"default type":           {change(good, 2, 2, 0, 0, 0, 0, 0, 0x00, 0x80, 0, 0), 0x2600, 8},
		"persistent":             {change(good, 2, 2, 0, 0, 0, 0, 0, 0x00, 0x80, 0, 2), 0x2600, 8},
		"zero by name":           {change(good, 2, 2, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 1), 0x2600, 8},
		"no range":               {change(good, 15, 15), 0x2600, 14},
		"range cut off":          {good[:31], 0x1a00, -10},
		"65 ranges":              {populateList(0, many...), 0x2608, 14},
		"behind the end":         {populateList(0, Range{0, 8}, Range{last - 1, 2}), 0x2100, 32},
		"far behind the end":     {populateList(0, Range{1<<64 - 1, 1}), 0x2100, 16},
		"twice the same":         {populateList(0, Range{8, 8}, Range{0, 4}, Range{15, 1}), 0x2600, 16},
		"empty, behind the end ": {populateList(0, Range{last + 1, 0}), 0x2100, 16},
	} {
		d := copyDevice()
		c, p := tokenCommandOf(t, d, populateToken, 5, k.list)
		if c.Status != sam.CheckCondition || c.Sense.Key != sam.IllegalRequest || c.Sense.Code != k.code || p.Kind != 0 {
			t.Errorf("%s: %v %+v", name, c.Status, c.Sense)
		}
		if f := c.Sense.Field; !f.Valid || f.InCDB != (k.at < 0) || int(f.Byte) != max(k.at, -k.at) {
			t.Errorf("%s: pointer %+v, want %d", name, f, k.at)
		}
		if d.Tokens() != 0 || len(d.nexuses[0].copies) != 0 {
			t.Errorf("%s: %d tokens, %d kept", name, d.Tokens(), len(d.nexuses[0].copies))
		}
	}
	big := testDevice(func(c *Config) { c.Info.Bytes = 1 << 40 })
	c, _ := tokenCommandOf(t, big, populateToken, 5, populateList(0, Range{0, 1 << 18}, Range{1 << 18, 1<<18 + 1}))
	if c.Sense.Code != 0x2600 || c.Sense.Field.Byte != 40 {
		t.Errorf("more than a token stands for: %v %+v", c.Status, c.Sense)
	}
	for _, list := range [][]byte{nil, change(good, 2, 3, 0, 0, 0, 0, 0, 0x00, 0x80, 0, 1), populateList(0, Range{5, 0})} {
		d := copyDevice()
		if c, _ := tokenCommandOf(t, d, populateToken, 5, list); c.Status != sam.Good {
			t.Errorf("%x: %v %+v", list, c.Status, c.Sense)
		}
		if blocks := len(list) > 0 && list[27] > 0; d.Tokens() == 1 != blocks {
			t.Errorf("%x: %d tokens", list, d.Tokens())
		}
	}
}

// What cannot be used says why (SPC-4 §5.17.6.5.2.3), before anything is written.
func TestWriteUsingToken_Refused(t *testing.T) {
	good := func(token []byte) []byte { return writeList(token, 0, 0, Range{50, 8}) }
	for name, k := range map[string]struct {
		list func(token []byte) []byte
		code uint16
		at   int
	}{
		"no header":         {func(b []byte) []byte { return good(b)[:535] }, 0x1a00, -10},
		"range cut off":     {func(b []byte) []byte { return good(b)[:551] }, 0x1a00, -10},
		"data length":       {func(b []byte) []byte { return change(good(b), 0, 2, 0x25) }, 0x2600, 0},
		"lengths":           {func(b []byte) []byte { return change(good(b), 534, 0, 32) }, 0x2600, 0},
		"behind the end":    {func(b []byte) []byte { return writeList(b, 0, 0, Range{1 << 50, 1}) }, 0x2100, 536},
		"twice the same":    {func(b []byte) []byte { return writeList(b, 0, 0, Range{8, 8}, Range{15, 1}) }, 0x2600, 536},
		"offset at the end": {func(b []byte) []byte { return writeList(b, 8, 0, Range{50, 1}) }, 0x2600, 8},
		"offset far behind": {func(b []byte) []byte { return writeList(b, 1<<64-1, 0, Range{50, 1}) }, 0x2600, 8},
		"token length":      {func(b []byte) []byte { return good(change(b, 7, 0xf0)) }, 0x230a, 22},
		"type":              {func(b []byte) []byte { return good(change(b, 3, 0)) }, 0x2301, 16},
		"internal type":     {func(b []byte) []byte { return good(change(b, 1, 0, 0, 0)) }, 0x2301, 16},
		"no creator":        {func(b []byte) []byte { return good(change(b, 16, 0)) }, 0x2305, 32},
		"another creator":   {func(b []byte) []byte { return good(change(b, 30, 0xee)) }, 0x2302, 32},
		"number":            {func(b []byte) []byte { return good(change(b, 15, b[15]+1)) }, 0x2304, 16},
		"bytes represented": {func(b []byte) []byte { return good(change(b, 63, 1)) }, 0x2305, 16},
		"last byte":         {func(b []byte) []byte { return good(change(b, 511, ^b[511])) }, 0x2305, 16},
		"all but the name":  {func(b []byte) []byte { return good(append(bytes.Clone(b[:96]), make([]byte, 416)...)) }, 0x2305, 16},
	} {
		d := copyDevice()
		token := populated(t, d, 0, Range{8, 8})
		c, p := claimed(t, d, k.list(token))
		if c.Status != sam.CheckCondition || c.Sense.Key != sam.IllegalRequest || c.Sense.Code != k.code || p.Kind != 0 {
			t.Errorf("%s: %v %+v, program %d", name, c.Status, c.Sense, p.Kind)
		}
		if f := c.Sense.Field; !f.Valid || f.InCDB != (k.at < 0) || int(f.Byte) != max(k.at, -k.at) {
			t.Errorf("%s: pointer %+v, want %d", name, f, k.at)
		}
		if d.copying != 0 || d.Tokens() != 1 {
			t.Errorf("%s: %d under way, %d tokens", name, d.copying, d.Tokens())
		}
	}
	c, _ := claimed(t, testDevice(func(c *Config) { c.Info.ReadOnly = true }), good(make([]byte, 512)))
	if c.Sense.Code != 0x2700 {
		t.Errorf("read-only: %v %+v", c.Status, c.Sense)
	}
}

// A program that changes blocks of which a token is made is one that spoilFor knows.
func TestToken_EveryProgramIsKnown(t *testing.T) {
	d := copyDevice()
	for kind := Sync; kind <= AbortCopy; kind++ {
		if kind == DiscardList {
			continue // its ranges are in the list
		}
		populated(t, d, 0, Range{0, 8})
		p := Program{Kind: kind, Bytes: 512, run: run{bytes: 512}}
		d.spoilFor(&sam.Command{}, &p)
		writes := false
		for q, n := p, 0; n < 4 && kind != Extents && !q.Detached(); n++ {
			s, more := d.Next(&sam.Command{}, &q)
			if !more {
				break
			}
			writes = writes || s.Op == blk.Write || s.Op == blk.Zero || s.Op == blk.Discard
		}
		if writes && d.Tokens() > 0 {
			t.Errorf("program %d writes, and a token lives", kind)
		}
		d.spoilAll()
	}
}
