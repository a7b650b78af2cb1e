package scsi

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"lunar/scsi/sam"
)

// why is the code that a WRITE USING TOKEN would end with, 0 when it would begin.
func why(d *Device, token []byte) uint16 { return d.Claim(token).Code }

// Whatever changes a block that a token stands for ends it first; nothing else does.
func TestToken_EndsBeforeItsBlocksChange(t *testing.T) {
	block := func(n int) []byte { return make([]byte, n*512) }
	for name, k := range map[string]struct {
		cdb  string
		out  []byte
		ends bool
	}{
		"WRITE(6), last block":      {"0a 00 00 12 01", nil, true},
		"WRITE(10), first block":    {"2a 00 00 00 00 08 00 00 01", nil, true},
		"WRITE(16), around":         {"8a 00 00 00 00 00 00 00 00 00 00 00 00 40", nil, true},
		"WRITE(16), second range":   {"8a 00 00 00 00 00 00 00 00 28 00 00 00 01", nil, true},
		"WRITE(10), before":         {"2a 00 00 00 00 00 00 00 08", nil, false},
		"WRITE(10), behind":         {"2a 00 00 00 00 13 00 00 0d", nil, false},
		"WRITE(10), between":        {"2a 00 00 00 00 14 00 00 0c", nil, false},
		"WRITE AND VERIFY":          {"2e 00 00 00 00 08 00 00 01", nil, true},
		"ORWRITE":                   {"8b 00 00 00 00 00 00 00 00 08 00 00 00 01", nil, true},
		"WRITE ATOMIC":              {"9c 00 00 00 00 00 00 00 00 08 00 00 00 08", block(8), true},
		"WRITE ATOMIC, intended":    {"9c 00 00 00 00 00 00 00 00 08 00 00 00 08", block(8), true},
		"COMPARE AND WRITE":         {"89 00 00 00 00 00 00 00 00 08 00 00 00 01", block(2), true},
		"COMPARE AND WRITE, before": {"89 00 00 00 00 00 00 00 00 07 00 00 00 01", block(2), false},
		"WRITE SAME":                {"41 00 00 00 00 08 00 00 01", block(1), true},
		"WRITE SAME, to the end":    {"93 00 00 00 00 00 00 00 00 13 00 00 00 01", block(1), false},
		"WRITE SAME, UNMAP":         {"93 08 00 00 00 00 00 00 00 08 00 00 00 01", block(1), true},
		"UNMAP":                     {"42 00 00 00 00 00 00 00 28", descriptors(t, 50, 4, 9, 1), true},
		"UNMAP, elsewhere":          {"42 00 00 00 00 00 00 00 28", descriptors(t, 50, 4, 0, 8), false},
		"FORMAT UNIT":               {"04", nil, true},
		"SANITIZE":                  {"48 82", nil, true},
		"READ":                      {"28 00 00 00 00 08 00 00 01", nil, false},
		"VERIFY":                    {"2f 00 00 00 00 08 00 00 01", nil, false},
		"SYNCHRONIZE CACHE":         {"35", nil, false},
	} {
		d := testDevice(func(c *Config) {
			c.Info.Thin = true
			if name == "WRITE ATOMIC, intended" {
				c.Info.AtomicBytes, c.Keeps, c.Intends = 0, true, true
			}
		})
		d.OpenNexus(0, nil)
		d.clearAttention(0, PowerOn)
		token := populated(t, d, 0, Range{40, 1}, Range{8, 11})
		c := parse(t, k.cdb)
		c.ExpectedOutBytes = int64(len(k.out))
		d.Begin(c)
		if c.Action == sam.Execute {
			c.Buffer = make([]byte, max(c.DataOutBytes, c.DataInBytes))
			c.Received = copy(c.Buffer[:c.DataOutBytes], k.out)
			if p := d.Execute(c); p.Kind == Keep {
				d.Kept(c, true)
			}
		}
		if c.Status != sam.Good {
			t.Errorf("%s: %v %+v", name, c.Status, c.Sense)
		}
		if ended := why(d, token) == codeTokenCancelled; ended != k.ends || ended != (d.Tokens() == 0) {
			t.Errorf("%s: ended %v, %d tokens", name, ended, d.Tokens())
		}
		if d.Plain(0) != (d.Tokens() == 0 && d.operation == nil) {
			t.Errorf("%s: %d tokens, plain %v", name, d.Tokens(), d.Plain(0))
		}
	}
}

// What happens to the unit ends a token or does not.
func TestToken_AndItsUnit(t *testing.T) {
	for name, k := range map[string]struct {
		event func(d *Device)
		code  uint16
	}{
		"nothing":               {func(*Device) {}, 0},
		"LOGICAL UNIT RESET":    {func(d *Device) { d.Reset(UnitReset) }, 0},
		"target warm reset":     {func(d *Device) { d.Reset(HardReset) }, 0},
		"target cold reset":     {func(d *Device) { d.Reset(PowerOn) }, codeTokenCancelled},
		"loss of its nexus":     {func(d *Device) { d.NexusLoss(0) }, 0},
		"a medium that is back": {func(d *Device) { d.Present(false); d.Present(true) }, codeTokenCancelled},
		"a larger medium":       {func(d *Device) { resize(d, 1<<30) }, 0},
		"a smaller medium":      {func(d *Device) { resize(d, 20*512) }, 0},
		"one that is too small": {func(d *Device) { resize(d, 19*512) }, codeTokenCancelled},
		"its timeout":           {func(d *Device) { age(d, 7) }, 0},
		"a second more":         {func(d *Device) { age(d, 8) }, codeTokenExpired},
		"use":                   {func(d *Device) { age(d, 7); d.Vouch(d.tokens.alive[0].number); age(d, 7) }, 0},
		"the end of a use":      {func(d *Device) { age(d, 7); d.Release(d.tokens.alive[0].number, false); age(d, 7) }, 0},
		"DEL_TKN":               {func(d *Device) { d.Release(d.tokens.alive[0].number, true) }, codeTokenDeleted},
		"another one deleted":   {func(d *Device) { d.Release(d.tokens.alive[0].number+1, true) }, 0},
	} {
		d := copyDevice()
		token := populated(t, d, 7, Range{10, 10})
		k.event(d)
		if code := why(d, token); code != k.code {
			t.Errorf("%s: %04x, want %04x", name, code, k.code)
		}
		if d.Claim(change(token, 300, ^token[300])).Code != codeTokenCorrupt {
			t.Errorf("%s: a token that was changed is not corrupt", name)
		}
	}
}

func resize(d *Device, bytes int64) {
	info := d.info
	info.Bytes = bytes
	d.Resize(info)
}

func age(d *Device, seconds int) {
	for range seconds {
		d.Age()
	}
}

// One token too many ends the one that was used least recently; of those that are gone a
// bounded number is remembered.
func TestToken_Bounds(t *testing.T) {
	d := copyDevice()
	var all [][]byte
	for n := range maxTokens {
		all = append(all, populated(t, d, 0, Range{uint64(n), 1}))
	}
	if why(d, all[0]) != codeNone {
		t.Fatal("the first is gone")
	}
	all = append(all, populated(t, d, 0, Range{0, 1}))
	if why(d, all[0]) != codeNone || why(d, all[1]) != codeTokenCancelled || d.Tokens() != maxTokens {
		t.Errorf("first %04x, second %04x, %d tokens", why(d, all[0]), why(d, all[1]), d.Tokens())
	}
	for range maxForgone {
		populated(t, d, 0, Range{0, 1})
	}
	if code := why(d, all[1]); code != codeTokenUnknown || len(d.tokens.gone) != maxForgone {
		t.Errorf("%04x, %d remembered", code, len(d.tokens.gone))
	}
	in := good(t, d, "84 08 00 00 00 00 00 00 00 00 00 00 ff ff")
	if len(in) != 8+maxTokens*96 || binary.BigEndian.Uint32(in) != uint32(len(in)-4) || !bytes.Equal(in[8:24], d.tokens.alive[0].image[:16]) {
		t.Errorf("%d bytes, %x", len(in), in[:24])
	}
	if in := good(t, copyDevice(), "84 08 00 00 00 00 00 00 00 00 00 00 ff ff"); !bytes.Equal(in, []byte{0, 0, 0, 4, 0, 0, 0, 0}) {
		t.Errorf("without tokens: %x", in)
	}
}

// Segments are what is consecutive on both sides.
func TestWriteUsingToken_Segments(t *testing.T) {
	d := copyDevice()
	token := populated(t, d, 0, Range{100, 10}, Range{200, 6})
	for name, k := range map[string]struct {
		list []byte
		want []Segment
		code uint16 // of the end when all of that was written
	}{
		"all":              {writeList(token, 0, 0, Range{0, 16}), []Segment{{0, 0, 100, 0, 5120, false}, {0, 0, 200, 10, 3072, false}}, 0},
		"scattered":        {writeList(token, 9, 0, Range{50, 2}, Range{7, 0}, Range{30, 1}), []Segment{{0, 0, 109, 50, 512, false}, {0, 0, 200, 51, 512, false}, {0, 0, 201, 30, 512, false}}, 0},
		"last block":       {writeList(token, 15, 0, Range{0, 1}), []Segment{{0, 0, 205, 0, 512, false}}, 0},
		"more than is":     {writeList(token, 14, 0, Range{0, 9}), []Segment{{0, 0, 204, 0, 1024, false}}, codeUnderrun},
		"nothing":          {writeList(token, 0, 0, Range{0, 0}), nil, 0},
		"zeros":            {writeList(zeroToken(), 77, 0, Range{3, 5}, Range{9, 1}), []Segment{{0, 0, 0, 3, 2560, true}, {0, 0, 0, 9, 512, true}}, 0},
		"token is deleted": {writeList(token, 15, 2, Range{0, 1}), []Segment{{0, 0, 205, 0, 512, false}}, 0},
	} {
		c, p := claimed(t, d, k.list)
		if p.Kind != Copy || p.Immediate() {
			t.Fatalf("%s: %v %+v", name, c.Status, c.Sense)
		}
		if _, _, deletes, has := d.Token(&p); deletes != (has && k.list[2] == 2) {
			t.Errorf("%s: deletes %v", name, deletes)
		}
		var all []Segment
		total := int64(0)
		for s, ok := d.NextSegment(c, &p); ok; s, ok = d.NextSegment(c, &p) {
			all, total = append(all, s), total+s.Bytes
			d.Copied(c, &p, 2, s.Bytes)
		}
		if fmt.Sprint(all) != fmt.Sprint(k.want) {
			t.Errorf("%s: %v, want %v", name, all, k.want)
		}
		d.EndCopy(c, &p, -1)
		if c.Sense.Code != k.code || d.copying != 0 || d.transfers != [maxCopies]*transfer{} {
			t.Errorf("%s: %v %+v, %d under way", name, c.Status, c.Sense, d.copying)
		}
		in := information(t, d, 6)
		if n := binary.BigEndian.Uint64(in[16:]); in[4] != writeUsingToken || in[15] != 0xf1 || n != uint64(total/512) {
			t.Errorf("%s: information %x", name, in)
		}
	}
}

func zeroToken() []byte {
	b := make([]byte, 512)
	copy(b, []byte{0xff, 0xff, 0, 1, 0, 0, 1, 0xf8})
	return b
}

// A unit with longer blocks takes whole ones.
func TestWriteUsingToken_OtherBlocks(t *testing.T) {
	d := testDevice(func(c *Config) { c.Info.BlockBytes, c.Info.PhysicalBytes = 4096, 4096 })
	d.OpenNexus(0, nil)
	d.clearAttention(0, PowerOn)
	token := change(zeroToken(), 0, 0x00, 0x80, 0x00, 0x01)
	copy(token[16:], cscd(1))
	for _, k := range []struct {
		from   []Range
		offset uint64
		want   []Segment
		code   uint16
	}{
		{[]Range{{8, 24}}, 1, []Segment{{1, 2, 16, 50, 8192, false}}, 0},
		{[]Range{{8, 12}, {40, 12}}, 0, []Segment{{1, 2, 8, 50, 4096, false}}, codeUnderrun},
	} {
		list := writeList(token, k.offset, 0, Range{50, 2})
		c := parse(t, fmt.Sprintf("83 11 00 00 00 00 00 00 00 06 %08x", len(list)))
		c.Path, c.LUN = &copyUnits, sam.LUNOf(300)
		_, p := serve(t, d, c, list)
		if place, _, asks := d.Claims(c, &p); !asks || place != 1 || !d.Claimed(c, &p, Claim{Number: 9, Ranges: k.from}) {
			t.Fatalf("%v %+v", c.Status, c.Sense)
		}
		var all []Segment
		for s, ok := d.NextSegment(c, &p); ok; s, ok = d.NextSegment(c, &p) {
			all = append(all, s)
			d.Copied(c, &p, 2, s.Bytes)
		}
		d.EndCopy(c, &p, -1)
		if fmt.Sprint(all) != fmt.Sprint(k.want) || c.Sense.Code != k.code {
			t.Errorf("%v, want %v: %+v", all, k.want, c.Sense)
		}
		if k.code != 0 && (c.Sense.Key != sam.CopyAborted || c.Sense.Info != 1 || !c.Sense.HasInfo) {
			t.Errorf("%+v", c.Sense)
		}
	}
}

// What is told of a token is told once, of everything else until the identifier is used
// again, a reset, or the loss of the nexus.
func TestRODTokenInformation(t *testing.T) {
	d := copyDevice()
	tokenCommandOf(t, d, populateToken, 5, populateList(0, Range{8, 3}, Range{100, 5}))
	head := good(t, d, "84 07 00 00 00 05 00 00 00 00 00 00 00 20")
	want := make([]byte, 32)
	copy(want, []byte{0, 0, 0x02, 0x22, 0x10, 0x01, 0, 0, 0xff, 0xff, 0xff, 0xfe})
	want[15], want[23] = 0xf1, 8
	if !bytes.Equal(head, want) {
		t.Errorf("%x\nwant %x", head, want)
	}
	in := information(t, d, 5)
	if len(in) != 36+2+512 || binary.BigEndian.Uint32(in[32:]) != 514 || !bytes.Equal(in[38:], d.tokens.alive[0].image[:]) {
		t.Errorf("%d bytes: %x", len(in), in)
	}
	if in := information(t, d, 5); len(in) != 36 || binary.BigEndian.Uint32(in[32:]) != 0 {
		t.Errorf("told twice: %x", in)
	}
	tokenCommandOf(t, d, populateToken, 5, populateList(0, Range{8, 3}))
	good(t, d, "84 07 00 00 00 05 00 00 00 00 00 00 00 00")
	if in := information(t, d, 5); len(in) != 36 {
		t.Errorf("told when nobody wants it any more: %x", in)
	}
	fails(t, d, "84 07 00 00 00 06 00 00 00 00 00 00 04 00", sam.IllegalRequest, 0x2400)
	list := writeList(zeroToken(), 0, 1, Range{3, 5})
	c, p := tokenCommandOf(t, d, writeUsingToken, 6, list)
	if !p.Immediate() || information(t, d, 6)[5] != 0x12 {
		t.Errorf("%+v, status %x", p, information(t, d, 6)[5])
	}
	if again, q := tokenCommandOf(t, d, writeUsingToken, 6, list); again.Sense.Code != 0x0016 || again.Sense.Field.Byte != 6 || q.Kind != 0 {
		t.Errorf("an identifier in use: %+v", again.Sense)
	}
	if again, _ := tokenCommandOf(t, d, populateToken, 6, populateList(0, Range{8, 3})); again.Sense.Code != 0x0016 {
		t.Errorf("an identifier in use by another command: %+v", again.Sense)
	}
	if delay := binary.BigEndian.Uint32(information(t, d, 6)[8:]); delay != 50 {
		t.Errorf("to be asked again after %d ms", delay)
	}
	d.Copied(c, &p, 1, 1024)
	d.FailCopy(c, &p, true, sam.CheckCondition, sam.NewSense(sam.MediumError, 0x0c00))
	d.EndCopy(c, &p, 3)
	in = information(t, d, 6)
	if in[5] != 0x03 || in[12] != 2 || in[23] != 2 || in[14] == 0 || in[32+2]&0xf != 0xa || in[32+6] != 2 || in[32+12] != 0x0d || in[32+13] != 0x04 {
		t.Errorf("partly done: %x", in)
	}
	d.Reset(UnitReset)
	d.clearAttention(0, UnitReset)
	fails(t, d, "84 07 00 00 00 06 00 00 00 00 00 00 04 00", sam.IllegalRequest, 0x2400)
}
