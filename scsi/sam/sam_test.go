package sam

import (
	"bytes"
	"encoding/hex"
	"testing"
)

func TestLUN_Addressing(t *testing.T) {
	for _, k := range []struct {
		l    LUN
		n    uint16
		ok   bool
		text string
	}{
		{0, 0, true, "0"},
		{0x0001 << 48, 1, true, "1"},
		{0x00ff << 48, 255, true, "255"},
		{0x4100 << 48, 256, true, "256"},
		{0x4000 << 48, 0, true, "0"},
		{0x7fff << 48, MaxLUN, true, "16383"},
		{0x0100 << 48, 0, false, "0x100000000000000"},    // bus identifier
		{0x0001_0001 << 32, 0, false, "0x1000100000000"}, // second level
		{0x8001 << 48, 0, false, "0x8001000000000000"},   // logical unit method
		{0xc101 << 48, 0, false, "0xc101000000000000"},   // well known unit
		{1, 0, false, "0x1"},
	} {
		n, ok := k.l.Number()
		if ok != k.ok || ok && n != k.n || k.l.String() != k.text {
			t.Errorf("%016x: %d %v %q", uint64(k.l), n, ok, k.l.String())
		}
	}
	for n := range uint16(MaxLUN + 1) {
		if got, ok := LUNOf(n).Number(); !ok || got != n {
			t.Fatalf("unit %d: %d %v", n, got, ok)
		}
	}
}

func TestSense_Append(t *testing.T) {
	base := NewSense(IllegalRequest, 0x2400)
	desc := func(s Sense) Sense { s.Descriptor = true; return s }
	for name, k := range map[string]struct {
		s    Sense
		want string
	}{
		"fixed":             {base, "700005000000000a00000000240000000000"},
		"fixed, field, bit": {base.At(1, 4), "700005000000000a00000000240000cc0001"},
		"fixed, field":      {base.At(2, -1), "700005000000000a00000000240000c00002"},
		"fixed, parameter":  {base.AtParameter(260), "700005000000000a00000000240000800104"},
		"fixed, info":       {base.WithInfo(0x01020304), "f00005010203040a00000000240000000000"},
		"fixed, large info": {base.WithInfo(1 << 32), "700005000000000a00000000240000000000"},
		"fixed, segment":    {NewSense(CopyAborted, 0x0d02).AtSegment(0x102, 6), "70000a000000000a000001020d0200a00006"},
		"fixed, CSCD":       {NewSense(CopyAborted, 0x0d02).AtCSCD(2, 48).WithInfo(5), "f0000a000000050a000000020d0200800030"},
		"descriptor":        {desc(base), "7205240000000000"},
		"segment, all":      {desc(NewSense(CopyAborted, 0).WithInfo(1).AtSegment(0x102, 6)), "720a000000000020" + "000a80000000000000000001" + "010a00000000010200000000" + "02060000a0000600"},
		"descriptor, all":   {desc(base.WithInfo(1<<32).At(1, 0)), "7205240000000014" + "000a80000000000100000000" + "02060000c8000100"},
	} {
		got := k.s.Append([]byte{0xee})
		if hex.EncodeToString(got[1:]) != k.want || got[0] != 0xee || len(got)-1 > MaxSenseBytes {
			t.Errorf("%s: %x, want %s", name, got[1:], k.want)
		}
	}
}

func TestCommand_Endings(t *testing.T) {
	c := Command{DataInBytes: 5, DataOutBytes: 6, Buffer: []byte{1}}
	c.Fail(NewSense(MediumError, 0x1100))
	if c.Action != Complete || c.Status != CheckCondition || c.DataInBytes != 0 || c.DataOutBytes != 0 || c.Sense.Key != MediumError {
		t.Errorf("Fail: %+v", c)
	}
	c.Succeed()
	if c.Action != Complete || c.Status != Good {
		t.Errorf("Succeed: %+v", c)
	}
	c.DataInBytes = 5
	c.End(Busy)
	if c.Action != Complete || c.Status != Busy || c.DataInBytes != 0 {
		t.Errorf("End: %+v", c)
	}
	c.CDB[0] = 0x28
	if c.Opcode() != 0x28 {
		t.Error("Opcode")
	}
	c.Reset()
	if c.Action != 0 || c.Opcode() != 0 || !bytes.Equal(c.Buffer, nil) {
		t.Errorf("Reset: %+v", c)
	}
}

// CONTROL is the last byte of a CDB of fixed length and the second of one of variable
// length; where no standard says, there is no NACA.
func TestCommand_NACA(t *testing.T) {
	for code, at := range map[byte]int{
		0x00: 5, 0x1f: 5, 0x28: 9, 0x5a: 9, 0x7f: 1, 0x89: 15, 0x9e: 15, 0xa0: 11, 0xbf: 11,
		0x60: -1, 0x7e: -1, 0xc0: -1, 0xff: -1,
	} {
		for b := 1; b < 16; b++ {
			c := Command{CDBBytes: 16}
			c.CDB[0], c.CDB[b] = code, 0x04
			if c.NACA() != (b == at) {
				t.Errorf("opcode %02x, byte %d: %v", code, b, c.NACA())
			}
			c.CDBBytes = uint8(b)
			if c.NACA() {
				t.Errorf("opcode %02x: byte %d is behind the CDB", code, b)
			}
			c.CDBBytes, c.CDB[b] = 16, 0xfb
			if c.NACA() {
				t.Errorf("opcode %02x, byte %d: other bits", code, b)
			}
		}
	}
}

func TestFunction_NeedsLUN(t *testing.T) {
	for f := range QueryAsynchronousEvent + 2 {
		want := f == AbortTask || f == AbortTaskSet || f == ClearACA || f == ClearTaskSet || f == LogicalUnitReset ||
			f == QueryTask || f == QueryTaskSet || f == QueryAsynchronousEvent
		if f.NeedsLUN() != want {
			t.Errorf("function %d", f)
		}
	}
}
