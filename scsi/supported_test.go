package scsi

import (
	"encoding/binary"
	"fmt"
	"testing"

	"lunar/scsi/pi"
	"lunar/scsi/sam"
)

// usageOf asks for the CDB usage data of an opcode without service action.
func usageOf(t testing.TB, d *Device, opcode byte) []byte {
	t.Helper()
	in := good(t, d, fmt.Sprintf("a3 0c 01 %02x 00 00 00 00 02 00", opcode))
	if in[1]&7 != 3 || int(in[3]) != len(in)-4 {
		t.Fatalf("opcode %02x: %x", opcode, in)
	}
	return in[4:]
}

func opcodeSupported(t testing.TB, d *Device, opcode byte) bool {
	t.Helper()
	return good(t, d, fmt.Sprintf("a3 0c 01 %02x 00 00 00 00 02 00", opcode))[1]&7 == 3
}

// The table keeps its own promises: lengths, order, classes, handlers.
func TestOpcodes_RowsAreWhole(t *testing.T) {
	for i := range opcodes {
		o := &opcodes[i]
		length := map[byte]int{0: 6, 1: 10, 2: 10, 3: 32, 4: 16, 5: 12}[o.Code>>5]
		if len(o.Usage) != length || o.Usage[0] != o.Code {
			t.Errorf("%s: usage %x for a CDB of %d bytes", o.Name, o.Usage, length)
		}
		if o.Usage[controlAt(o)] != 0x04 {
			t.Errorf("%s: of CONTROL, NACA alone is evaluated: %02x", o.Name, o.Usage[controlAt(o)])
		}
		c := new(sam.Command)
		copy(c.CDB[:], o.Usage)
		if o.HasAction() && actionOf(c) != o.Action {
			t.Errorf("%s: service action %x in usage %x", o.Name, o.Action, o.Usage)
		}
		if o.Class < Neutral || o.Class > UnitSeizure || o.Out < neverOut || o.Out > writesOut || o.begin == nil || o.Name == "" || o.Recommended < o.Nominal {
			t.Errorf("%s: class %d, timeouts %d and %d", o.Name, o.Class, o.Nominal, o.Recommended)
		}
		if writes := o.Class == MediumWrite || o.Class == MediumAtomic || o.Code == 0x83 && o.Action == writeUsingToken; writes != (o.flags&modifies != 0) {
			t.Errorf("%s: class %d with flags %b", o.Name, o.Class, o.flags)
		}
		if i > 0 && (opcodes[i-1].Code > o.Code || opcodes[i-1].Code == o.Code && opcodes[i-1].Action >= o.Action) {
			t.Errorf("%s is out of order", o.Name)
		}
	}
}

// A command is listed exactly if it is not refused as unknown.
func TestSupportedOpcodes_ListIsWhatIsServed(t *testing.T) {
	for n, d := range []*Device{
		testDevice(func(c *Config) { c.Info.Thin = false }), testDevice(),
		protectedDevice(pi.Type0), protectedDevice(pi.Type1), protectedDevice(pi.Type2), protectedDevice(pi.Type3),
	} {
		for _, rctd := range []byte{0, 0x80} {
			in := good(t, d, fmt.Sprintf("a3 0c %02x 00 00 00 00 00 10 00", rctd))
			listed := listOf(t, in, rctd != 0)
			for code := range 256 {
				for action := range uint16(32) {
					c := &sam.Command{CDBBytes: 32}
					if c.CDB[0], c.CDB[1] = byte(code), byte(action); code == opVariable {
						c.CDB[1], c.CDB[variableActionAt+1] = 0, byte(action)
					}
					row := d.servedRow(byte(code), action)
					d.Begin(c)
					unknown := c.Sense.Code == 0x2000 || c.Sense.Code == 0x2400 && row == nil && (c.Sense.Field.Byte == 1 && c.Sense.Field.Bit == 5 || c.Sense.Field.Byte == variableActionAt)
					key := [2]uint16{uint16(code), action}
					if row != nil && !row.HasAction() {
						key[1] = 0
					}
					if listed[key] == unknown {
						t.Fatalf("unit %d, %02x/%02x: listed %v, sense %+v", n, code, action, listed[key], c.Sense)
					}
				}
			}
		}
	}
}

// listOf decodes the all_commands form.
func listOf(t *testing.T, in []byte, timeouts bool) map[[2]uint16]bool {
	t.Helper()
	if int(binary.BigEndian.Uint32(in)) != len(in)-4 {
		t.Fatalf("length %d of %d bytes", binary.BigEndian.Uint32(in), len(in))
	}
	listed := make(map[[2]uint16]bool)
	size := 8
	if timeouts {
		size = 20
	}
	for at := 4; at < len(in); at += size {
		e := in[at : at+size]
		if e[5]&2 != 0 != timeouts || timeouts && (e[9] != 10 || binary.BigEndian.Uint32(e[16:]) == 0) {
			t.Fatalf("descriptor %x", e)
		}
		listed[[2]uint16{uint16(e[0]), binary.BigEndian.Uint16(e[2:])}] = true
	}
	return listed
}

func TestSupportedOpcodes_Options(t *testing.T) {
	d := testDevice()
	const notSupported, standard = 1, 3
	for _, k := range []struct {
		text string
		want byte
	}{
		{"a3 0c 01 28 00 00 00 00 00 ff", standard},
		{"a3 0c 01 ff 00 00 00 00 00 ff", notSupported},
		{"a3 0c 02 9e 00 10 00 00 00 ff", standard},
		{"a3 0c 02 9e 00 1f 00 00 00 ff", notSupported},
		{"a3 0c 02 ff 00 1f 00 00 00 ff", notSupported},
		{"a3 0c 03 9e 00 10 00 00 00 ff", standard},
		{"a3 0c 03 28 00 00 00 00 00 ff", standard},
		{"a3 0c 03 28 00 01 00 00 00 ff", notSupported},
	} {
		in := good(t, d, k.text)
		if in[1]&7 != k.want || in[1]&0x80 != 0 {
			t.Errorf("%s: %x", k.text, in)
		}
		if k.want == standard && int(in[3]) != len(in)-4 {
			t.Errorf("%s: %d bytes of CDB in %d", k.text, in[3], len(in))
		}
	}
	if in := good(t, d, "a3 0c 81 28 00 00 00 00 00 ff"); in[1] != 0x83 || len(in) != 4+10+12 || in[4+10+1] != 10 {
		t.Errorf("with timeouts: %x", in)
	}
	fails(t, d, "a3 0c 01 9e 00 00 00 00 00 ff", sam.IllegalRequest, 0x2400)
	fails(t, d, "a3 0c 02 28 00 00 00 00 00 ff", sam.IllegalRequest, 0x2400)
	fails(t, d, "a3 0c 04 28 00 00 00 00 00 ff", sam.IllegalRequest, 0x2400)
}

func TestSupportedFunctions(t *testing.T) {
	d := testDevice()
	if in := good(t, d, "a3 0d 00 00 00 00 00 00 00 ff"); len(in) != 4 || in[0] != 0xf8 {
		t.Errorf("short: %x", in)
	}
	if in := good(t, d, "a3 0d 80 00 00 00 00 00 00 ff"); len(in) != 16 || in[0] != 0xf8 || in[3] != 12 {
		t.Errorf("long: %x", in)
	}
	fails(t, d, "a3 0d 00 00 00 00 00 00 00 03", sam.IllegalRequest, 0x2400)
}
