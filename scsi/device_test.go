package scsi

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"testing"

	"lunar/lun/blk"
	"lunar/scsi/pi"
	"lunar/scsi/sam"
)

// taint fills buffers before a command, so that a byte nobody wrote shows.
const taint = 0xa5

// testPath is the way that test commands come.
var testPath = sam.Path{
	TargetName: "iqn.2024-01.example.lunar:disk1", PortalGroupTag: 1, RelativePort: 1,
	Ports: []sam.Port{{PortalGroupTag: 1, Relative: 1}, {PortalGroupTag: 2, Relative: 2}},
	LUNs:  []sam.LUN{sam.LUNOf(0), sam.LUNOf(1), sam.LUNOf(300)},
}

var testUUID = [16]byte{
	0x8f, 0x14, 0xe4, 0x5f, 0xce, 0xea, 0x46, 0x7f, 0xad, 0x9d, 0xb2, 0x71, 0x5c, 0x1e, 0x0b, 0x33,
}

func testConfig() Config {
	identity := IdentityOf(testUUID)
	identity.Status = "http://192.0.2.1:9620/metrics"
	return Config{
		Info: blk.Info{
			Bytes: 4 << 20, BlockBytes: 512, PhysicalBytes: 4096,
			Thin: true, DiscardBytes: 4096, VolatileCache: true, AtomicBytes: 64 << 10,
		},
		Identity: identity,
	}
}

func testDevice(change ...func(*Config)) *Device {
	cfg := testConfig()
	for _, f := range change {
		f(&cfg)
	}
	return New(cfg)
}

// protectedDevice is a unit that is formatted with a protection type.
func protectedDevice(kind pi.Type, change ...func(*Config)) *Device {
	return testDevice(append([]func(*Config){func(c *Config) { c.Info.Protected, c.Protection = true, kind }}, change...)...)
}

// commandOf is a command of a row with nothing but its opcode and service action.
func commandOf(row *Opcode) *sam.Command {
	c := &sam.Command{CDBBytes: uint8(max(16, len(row.Usage))), Path: &testPath}
	c.CDB[0] = row.Code
	switch {
	case row.Code == opVariable:
		c.CDB[variableActionAt+1] = byte(row.Action)
	case row.HasAction():
		c.CDB[1] = byte(row.Action)
	}
	return c
}

// controlAt is where the CDB of a row has its CONTROL byte.
func controlAt(row *Opcode) int {
	if row.Code == opVariable {
		return 1
	}
	return len(row.Usage) - 1
}

// parse reads a CDB from hex with spaces.
func parse(t testing.TB, text string) *sam.Command {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatalf("CDB %q: %v", text, err)
	}
	c := &sam.Command{CDBBytes: uint8(max(16, len(b))), Path: &testPath}
	copy(c.CDB[:], b)
	return c
}

// serve walks a command through Begin and Execute as a unit does, with out as
// the data from the initiator, and returns the data for it and the program.
func serve(t testing.TB, d *Device, c *sam.Command, out []byte) ([]byte, Program) {
	t.Helper()
	c.ExpectedOutBytes = int64(len(out))
	d.Begin(c)
	if c.Action != sam.Execute {
		return nil, Program{}
	}
	return execute(t, d, c, out)
}

func execute(t testing.TB, d *Device, c *sam.Command, out []byte) ([]byte, Program) {
	t.Helper()
	c.Buffer = bytes.Repeat([]byte{taint}, int(max(c.DataOutBytes, c.DataInBytes)))
	c.Received = copy(c.Buffer[:c.DataOutBytes], out)
	p := d.Execute(c)
	if c.DataInBytes > int64(len(c.Buffer)) {
		t.Fatalf("CDB %x: %d bytes of answer in a buffer of %d", c.CDB, c.DataInBytes, len(c.Buffer))
	}
	return c.Buffer[:c.DataInBytes], p
}

// good serves a command that must end GOOD and returns its data.
func good(t testing.TB, d *Device, text string) []byte {
	t.Helper()
	c := parse(t, text)
	in, _ := serve(t, d, c, nil)
	if c.Status != sam.Good {
		t.Fatalf("%s: %v %+v", text, c.Status, c.Sense)
	}
	return in
}

// wantSense checks that c ended with CHECK CONDITION and key/code.
func wantSense(t testing.TB, c *sam.Command, key sam.SenseKey, code uint16) {
	t.Helper()
	if c.Action != sam.Complete || c.Status != sam.CheckCondition || c.Sense.Key != key || c.Sense.Code != code {
		t.Fatalf("CDB %x: action %d, status %#x, sense %x/%04x, want %x/%04x",
			c.CDB[:16], c.Action, c.Status, c.Sense.Key, c.Sense.Code, key, code)
	}
}

func fails(t testing.TB, d *Device, text string, key sam.SenseKey, code uint16) *sam.Command {
	t.Helper()
	c := parse(t, text)
	serve(t, d, c, nil)
	wantSense(t, c, key, code)
	return c
}

func TestBegin_UnknownOpcodesAndActions(t *testing.T) {
	d := testDevice()
	fails(t, d, "ff", sam.IllegalRequest, 0x2000)
	fails(t, d, "05", sam.IllegalRequest, 0x2000)
	c := fails(t, d, "9e 1f", sam.IllegalRequest, 0x2400)
	if f := c.Sense.Field; !f.Valid || !f.InCDB || f.Byte != 1 || f.Bit != 5 {
		t.Errorf("unknown service action: field pointer %+v", f)
	}
	fails(t, d, "a3 1e 00 00 00 00 00 00 00 20", sam.IllegalRequest, 0x2400)
}

// Every bit that a mask leaves out is refused, with a pointer to exactly it.
func TestBegin_ReservedBits_PointAtTheBit(t *testing.T) {
	for _, d := range []*Device{testDevice(), protectedDevice(pi.Type2)} {
		reservedBitsPoint(t, d)
	}
}

func reservedBitsPoint(t *testing.T, d *Device) {
	t.Helper()
	for i := range opcodes {
		row := &opcodes[i]
		if !d.serves(row) {
			continue
		}
		for b := 1; b < len(row.Usage); b++ {
			for bit := range 8 {
				wrong := byte(1) << bit
				c := commandOf(row)
				action := row.HasAction() && (row.Code != opVariable && b == 1 && wrong&actionMask != 0 || row.Code == opVariable && b>>1 == variableActionAt>>1)
				if row.usage(&d.info)[b]&wrong != 0 || action {
					continue
				}
				c.CDB[b] |= wrong
				d.Begin(c)
				wantSense(t, c, sam.IllegalRequest, 0x2400)
				want := sam.FieldPointer{Valid: true, InCDB: true, Byte: uint16(b), Bit: uint8(bit + 1)}
				if c.Sense.Field != want {
					t.Fatalf("%s byte %d bit %d: pointer %+v", row.Name, b, bit, c.Sense.Field)
				}
			}
		}
	}
}

// Every command of a unit may carry NACA, but none comes in as a plain one with it. Where
// there is no unit there is no ACA, and NORMACA says so.
func TestBegin_NACA(t *testing.T) {
	d, absent := protectedDevice(pi.Type2), NewAbsent()
	for i := range opcodes {
		row := &opcodes[i]
		c := commandOf(row)
		c.CDB[controlAt(row)] |= 0x04
		if d.BeginPlain(c) || c.Action != 0 {
			t.Errorf("%s: a plain command with NACA", row.Name)
		}
		d.Begin(c)
		if c.Sense.Field.Valid && int(c.Sense.Field.Byte) == controlAt(row) {
			t.Errorf("%s: %+v", row.Name, c.Sense)
		}
	}
	if in := good(t, d, "12 00 00 00 60"); in[3]&0x20 == 0 || !d.NormACA() {
		t.Errorf("NORMACA of a unit: %x", in[3])
	}
	if in := good(t, absent, "12 00 00 00 60"); in[3]&0x20 != 0 || absent.NormACA() {
		t.Errorf("NORMACA without a unit: %x", in[3])
	}
	c := fails(t, absent, "12 00 00 00 60 04", sam.IllegalRequest, 0x2400)
	if c.Sense.Field.Byte != 5 || c.Sense.Field.Bit != 3 {
		t.Errorf("pointer %+v", c.Sense.Field)
	}
}

func TestBegin_ShortCDB(t *testing.T) {
	d := protectedDevice(pi.Type2)
	for i := range opcodes {
		c := commandOf(&opcodes[i])
		c.CDBBytes = uint8(len(opcodes[i].Usage) - 1)
		d.Begin(c)
		wantSense(t, c, sam.IllegalRequest, 0x2400)
	}
}

func TestAttention_ReportedOnceExceptByThree(t *testing.T) {
	d := testDevice()
	d.OpenNexus(3, nil)
	for _, pass := range []string{"12 00 00 00 60", "a0 00 00 00 00 00 00 00 10"} {
		c := parse(t, pass)
		c.Nexus = 3
		serve(t, d, c, nil)
		if c.Status != sam.Good {
			t.Errorf("%s with an attention pending: %+v", pass, c.Sense)
		}
	}
	c := parse(t, "ff") // even an unknown opcode reports it
	c.Nexus = 3
	d.Begin(c)
	wantSense(t, c, sam.UnitAttention, 0x2900)
	c = parse(t, "00")
	c.Nexus = 3
	d.Begin(c)
	if c.Status != sam.Good {
		t.Errorf("second command: %+v", c.Sense)
	}
	d.OpenNexus(3, nil)
	if d.pending(3) {
		t.Error("a nexus that is known got a second power on attention")
	}
}

func TestAttention_RequestSenseReturnsAndClears(t *testing.T) {
	d := testDevice()
	d.OpenNexus(0, nil)
	in := good(t, d, "03 00 00 00 fc")
	if len(in) != 18 || in[0] != 0x70 || in[2] != 0x06 || in[12] != 0x29 || in[13] != 0 {
		t.Fatalf("fixed format: %x", in)
	}
	in = good(t, d, "03 01 00 00 fc")
	if len(in) != 8 || in[0] != 0x72 || in[1] != 0 || in[2] != 0 {
		t.Fatalf("descriptor format after it was taken: %x", in)
	}
}

func TestAttention_Precedence(t *testing.T) {
	d := testDevice()
	d.OpenNexus(0, nil)
	d.OpenNexus(1, nil)
	d.Attend(0, LUNsChanged)
	d.Cleared(0)
	d.NexusLoss(0) // covered by power on
	for _, want := range []uint16{0x2900, 0x2f00, 0x3f0e} {
		fails(t, d, "00", sam.UnitAttention, want)
	}
	good(t, d, "00")
	d.NexusLoss(0)
	d.Reset(UnitReset)
	fails(t, d, "00", sam.UnitAttention, 0x2903)
	good(t, d, "00")
	d.NexusLoss(0)
	fails(t, d, "00", sam.UnitAttention, 0x2907)
	d.Attend(0, LUNsChanged)
	good(t, d, "a0 00 00 00 00 00 00 00 00 10")
	good(t, d, "00") // REPORT LUNS took it
	d.Attend(9, PowerOn)
	if len(d.nexuses) != 2 {
		t.Error("an attention made a nexus known")
	}
}

func TestAbsent_AnswersThreeCommands(t *testing.T) {
	d := NewAbsent()
	if in := good(t, d, "12 00 00 00 60"); in[0] != 0x7f || len(in) != 96 {
		t.Errorf("INQUIRY: %x", in)
	}
	if in := good(t, d, "12 01 00 00 ff"); !bytes.Equal(in, []byte{0x7f, 0, 0, 1, 0}) {
		t.Errorf("page 00h: %x", in)
	}
	fails(t, d, "12 01 83 00 ff", sam.IllegalRequest, 0x2400)
	if in := good(t, d, "03 00 00 00 12"); in[2] != 5 || in[12] != 0x25 {
		t.Errorf("REQUEST SENSE: %x", in)
	}
	if in := good(t, d, "a0 00 00 00 00 00 00 00 00 10"); !bytes.Equal(in, []byte{0, 0, 0, 24, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}) {
		t.Errorf("REPORT LUNS: %x", in)
	}
	for _, text := range []string{"00", "ff", "28 00 00 00 00 00 00 00 01", "a3 0c"} {
		fails(t, d, text, sam.IllegalRequest, 0x2500)
	}
}

func TestReadOnly_RefusesEveryModifyingCommand(t *testing.T) {
	d := protectedDevice(pi.Type2, func(c *Config) { c.Info.ReadOnly = true })
	for i := range opcodes {
		if opcodes[i].Class != MediumWrite && opcodes[i].Class != MediumAtomic {
			continue
		}
		c := commandOf(&opcodes[i])
		d.Begin(c)
		wantSense(t, c, sam.DataProtect, 0x2700)
	}
	good(t, d, "2f 00 00 00 00 00 00 00 01")
	if in := good(t, d, "1a 00 3f 00 ff"); in[2]&0x80 == 0 {
		t.Errorf("WP is clear: %x", in)
	}
}

func TestStartStop_StopsAndStarts(t *testing.T) {
	d := testDevice()
	stop := parse(t, "1b 00 00 00 00")
	if _, p := serve(t, d, stop, nil); p.Kind != Sync || stop.Status != sam.Good {
		t.Fatalf("stop: %+v, program %+v", stop.Sense, p)
	}
	for _, text := range []string{"00", "28 00 00 00 00 00 00 00 01", "25", "9e 10 00 00 00 00 00 00 00 00 00 00 00 20"} {
		fails(t, d, text, sam.NotReady, 0x0402)
	}
	for _, text := range []string{"12 00 00 00 24", "1a 00 3f 00 ff", "a3 0c 00 00 00 00 00 00 00 ff", "1e"} {
		good(t, d, text)
	}
	if in := good(t, d, "03 00 00 00 12"); in[2] != 2 || in[12] != 4 || in[13] != 2 {
		t.Errorf("REQUEST SENSE: %x", in)
	}
	good(t, d, "1b 00 00 00 01")
	good(t, d, "00")

	noFlush := parse(t, "1b 00 00 00 04")
	if _, p := serve(t, d, noFlush, nil); p.Kind != 0 {
		t.Errorf("NO_FLUSH: program %+v", p)
	}
	good(t, d, "1b 00 00 00 10") // POWER CONDITION ACTIVE
	good(t, d, "00")
	good(t, d, "1b 00 00 00 00")
	d.Reset(UnitReset)
	good(t, d, "00")
	good(t, d, "1b 01 00 00 b2") // FORCE_STANDBY_0 with LOEJ: LOEJ is ignored
	good(t, d, "00")
	fails(t, d, "1b 00 00 00 02", sam.IllegalRequest, 0x2400) // eject
	good(t, d, "1b 00 00 00 40")                              // reserved condition: D-32
	good(t, d, "00")
}

func TestReportLUNs(t *testing.T) {
	d := testDevice()
	in := good(t, d, "a0 00 00 00 00 00 00 00 01 00")
	want := "0000001800000000000000000000000000010000000000004" + "12c000000000000"
	if hex.EncodeToString(in) != want {
		t.Errorf("all: %x", in)
	}
	if in := good(t, d, "a0 00 00 00 00 00 00 00 00 10"); len(in) != 16 || in[3] != 24 {
		t.Errorf("cut: %x", in)
	}
	if in := good(t, d, "a0 00 01 00 00 00 00 00 00 10"); !bytes.Equal(in, make([]byte, 8)) {
		t.Errorf("well known: %x", in)
	}
	fails(t, d, "a0 00 03 00 00 00 00 00 00 10", sam.IllegalRequest, 0x2400)
	fails(t, d, "a0 00 00 00 00 00 00 00 00 0f", sam.IllegalRequest, 0x2400)
}

func TestReadCapacity(t *testing.T) {
	d := testDevice()
	if in := good(t, d, "25"); hex.EncodeToString(in) != "00001fff00000200" {
		t.Errorf("10: %x", in)
	}
	in := good(t, d, "9e 10 00 00 00 00 00 00 00 00 00 00 00 20")
	if len(in) != 32 || binary.BigEndian.Uint64(in) != 0x1fff || in[13] != 3 || in[14] != 0xc0 || in[12] != 0 {
		t.Errorf("16: %x", in)
	}
	for n := range byte(16) {
		c := parse(t, "9e 10")
		c.CDB[13] = n
		if in, _ := serve(t, d, c, nil); c.Status != sam.Good || len(in) != int(n) {
			t.Errorf("allocation length %d: %d bytes, %+v", n, len(in), c.Sense)
		}
	}
	fails(t, d, "25 00 00 00 00 01", sam.IllegalRequest, 0x2400)
	fails(t, d, "25 00 00 00 00 00 00 00 01", sam.IllegalRequest, 0x2400)
	for _, at := range []struct {
		blocks int64
		last   uint32
	}{{1<<32 - 1, 1<<32 - 2}, {1 << 32, 1<<32 - 1}, {1<<32 + 1, 1<<32 - 1}} {
		big := testDevice(func(c *Config) { c.Info.Bytes = at.blocks * 512 })
		if in := good(t, big, "25"); binary.BigEndian.Uint32(in) != at.last {
			t.Errorf("%d blocks: %x", at.blocks, in)
		}
	}
	thick := testDevice(func(c *Config) { c.Info.Thin = false })
	if in := good(t, thick, "9e 10 00 00 00 00 00 00 00 00 00 00 00 20"); in[14] != 0 {
		t.Errorf("LBPME on a medium that is not thin: %x", in)
	}
}

func TestFailMedium(t *testing.T) {
	for _, k := range []struct {
		r     blk.Result
		write bool
		key   sam.SenseKey
		code  uint16
		info  bool
	}{
		{blk.MediumError, false, sam.MediumError, 0x1100, true},
		{blk.MediumError, true, sam.MediumError, 0x0c00, true},
		{blk.NoSpace, true, sam.DataProtect, 0x2707, true},
		{blk.NotReady, true, sam.NotReady, 0x0400, false},
		{blk.Unsupported, false, sam.HardwareError, 0x4400, false},
		{blk.WrongGuard, false, sam.AbortedCommand, 0x1001, true},
		{blk.WrongApplicationTag, false, sam.AbortedCommand, 0x1002, true},
		{blk.WrongReferenceTag, false, sam.AbortedCommand, 0x1003, true},
	} {
		c := new(sam.Command)
		FailMedium(c, k.r, k.write, 77)
		wantSense(t, c, k.key, k.code)
		if c.Sense.HasInfo != k.info || k.info && c.Sense.Info != 77 {
			t.Errorf("%v: information %+v", k.r, c.Sense)
		}
	}
	c := &sam.Command{Status: sam.Good}
	FailMedium(c, blk.OK, true, 1)
	if c.Status != sam.Good || c.Action != 0 {
		t.Error("OK was made a failure")
	}
}

func TestClassOf(t *testing.T) {
	for text, want := range map[string]Class{
		"28": MediumRead, "8a": MediumWrite, "9e 10": Neutral, "9e 1f": Neutral, "1b": UnitChange, "89": MediumAtomic, "ff": Neutral,
	} {
		if got := ClassOf(parse(t, text)); got != want {
			t.Errorf("%s: %d, want %d", text, got, want)
		}
	}
}
