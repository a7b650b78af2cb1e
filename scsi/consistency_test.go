package scsi

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"lunar/scsi/pi"
	"lunar/scsi/sam"
)

// takes says whether a command is not refused for what it is: an unknown opcode, service
// action or field.
func takes(t *testing.T, d *Device, cdb string) bool {
	t.Helper()
	c := parse(t, cdb)
	d.Begin(c)
	return c.Status != sam.CheckCondition || c.Sense.Code != codeInvalidOpcode && c.Sense.Code != codeInvalidField
}

// promise is a bit of a page, and the command that it promises.
type promise struct {
	name       string
	cdb        string // reads the page
	at         int
	mask       byte
	command    string
	negated    bool // the bit says that the command is not taken
	alsoServed string
	// kinds: the command is there with protection types 1 and 3 alone.
	kinds bool
}

var promises = []promise{
	{name: "LBPME", cdb: "9e 10 00 00 00 00 00 00 00 00 00 00 00 20", at: 14, mask: 0x80, command: "42 00 00 00 00 00 00 00 08"},
	{name: "LBPU", cdb: "12 01 b2 00 ff", at: 5, mask: lbpuMask, command: "42 00 00 00 00 00 00 00 08"},
	{name: "LBPWS", cdb: "12 01 b2 00 ff", at: 5, mask: lbpwsMask, command: "93 08 00 00 00 00 00 00 00 00 00 00 00 01"},
	{name: "LBPWS10", cdb: "12 01 b2 00 ff", at: 5, mask: lbpws10Mask, command: "41 08 00 00 00 00 00 00 01"},
	{name: "ANC_SUP", cdb: "12 01 b2 00 ff", at: 5, mask: 0x02, command: "42 01 00 00 00 00 00 00 08"},
	{name: "ANC_SUP", cdb: "12 01 b2 00 ff", at: 5, mask: 0x02, command: "93 18 00 00 00 00 00 00 00 00 00 00 00 01"},
	{name: "maximum UNMAP LBAs", cdb: "12 01 b0 00 ff", at: 21, mask: 0xff, command: "42 00 00 00 00 00 00 00 08"},
	{name: "maximum UNMAP descriptors", cdb: "12 01 b0 00 ff", at: 27, mask: 0xff, command: "42 00 00 00 00 00 00 00 08"},
	{name: "maximum COMPARE AND WRITE", cdb: "12 01 b0 00 ff", at: 5, mask: 0xff, command: "89 00 00 00 00 00 00 00 00 00 00 00 00 01"},
	{name: "maximum atomic transfer", cdb: "12 01 b0 00 ff", at: 47, mask: 0xff, command: "9c 00 00 00 00 00 00 00 00 00 00 00 00 01"},
	{name: "WSNZ", cdb: "12 01 b0 00 ff", at: 4, mask: 0x01, command: "41 00 00 00 1f f0 00 00 00", negated: true},
	{name: "WABEREQ", cdb: "12 01 b1 00 ff", at: 7, mask: 0xc0, command: "48 82"},
	{name: "WACEREQ", cdb: "12 01 b1 00 ff", at: 7, mask: 0x30, command: "48 83"},
	{name: "TPGS, implicit and explicit", cdb: "12 00 00 00 60", at: 5, mask: 0x10, command: "a3 0a 00 00 00 00 00 00 00 20", alsoServed: "a4 0a 00 00 00 00 00 00 00 08"},
	{name: "3PC", cdb: "12 00 00 00 60", at: 5, mask: 0x08, command: "83 00 00 00 00 00 00 00 00 00 00 00 00 28", alsoServed: "84 03 00 00 00 00 00 00 00 00 00 00 00 28"},
	{name: "maximum range descriptors", cdb: "12 01 8f 02 00", at: 15, mask: 0xff, command: "83 10", alsoServed: "83 11"},
	{name: "TOKEN_OUT", cdb: "12 01 8f 02 00", at: 216, mask: 0x01, command: "83 10", alsoServed: "84 08"},
	{name: "TOKEN_IN", cdb: "12 01 8f 02 00", at: 216, mask: 0x02, command: "83 11"},
	{name: "PROTECT", cdb: "12 00 00 00 60", at: 5, mask: 0x01, command: "28 20 00 00 00 00 00 00 01", kinds: true},
	{name: "RMB", cdb: "12 00 00 00 60", at: 1, mask: 0x80, command: "1b 00 00 00 02"},
	{name: "NORMACA", cdb: "12 00 00 00 60", at: 3, mask: 0x20, command: "00 00 00 00 00 04"},
	{name: "DPOFUA", cdb: "1a 00 3f 00 ff", at: 2, mask: dpofuaMask, command: "28 18 00 00 00 00 00 00 01", alsoServed: "8a 18 00 00 00 00 00 00 00 00 00 00 00 01"},
	{name: "GROUP_SUP", cdb: "12 01 86 00 ff", at: 5, mask: 0x10, command: "28 00 00 00 00 00 01 00 01"},
	{name: "CRD_SUP", cdb: "12 01 86 00 ff", at: 6, mask: 0x04, command: "9e 11"},
	{name: "SPT", cdb: "12 01 86 00 ff", at: 4, mask: 0x38, command: "2a 20 00 00 00 00 00 00 01", kinds: true},
	{name: "GRD_CHK", cdb: "12 01 86 00 ff", at: 4, mask: 0x04, command: "2f 80 00 00 00 00 00 00 01", kinds: true},
	{name: "REF_CHK", cdb: "12 01 86 00 ff", at: 4, mask: 0x01, command: "2f 40 00 00 00 00 00 00 01", kinds: true},
	{name: "WCE", cdb: "1a 08 08 00 ff", at: 6, mask: wceMask, command: "35"},
}

// A bit that is advertised works, and what works is advertised, on units of every kind.
func TestConsistency_EveryBitIsKept(t *testing.T) {
	for n := range 5 * 32 {
		d := testDevice(func(c *Config) {
			c.Info.Thin, c.Removable, c.Keeps = n&1 != 0, n&2 != 0, n&4 != 0
			if n&8 != 0 {
				c.Info.AtomicBytes = 0
			}
			c.Info.VolatileCache = n&16 != 0
			c.Info.Protected, c.Protection = n>>5 > 0, pi.Type(max(n>>5, 1)-1)
		})
		for _, p := range promises {
			set := good(t, d, p.cdb)[p.at]&p.mask != 0
			served := takes(t, d, p.command)
			if p.kinds && n>>5 > 0 {
				// What the bit promises is there once the unit is formatted so.
				protectedTakes(t, d, p.name, p.command)
				continue
			}
			if p.name == "WCE" {
				served = served && d.info.VolatileCache // without a cache the command has nothing to do
			}
			if (set != p.negated) != served {
				t.Errorf("unit %05b: %s is %v, %s served %v", n, p.name, set, p.command, served)
			}
			if p.alsoServed != "" && set && !takes(t, d, p.alsoServed) {
				t.Errorf("unit %05b: %s is set, %s refused", n, p.name, p.alsoServed)
			}
		}
		pagesRead(t, d)
		bitsChange(t, n&1 != 0, n&16 != 0, n>>5 > 0)
	}
}

// protectedTakes looks whether a unit that can be formatted with protection information says
// so, takes a command with some exactly if it is formatted with type 1 or 3, and lists the
// field of the command exactly then, and 32-byte commands with type 2.
func protectedTakes(t *testing.T, d *Device, name, command string) {
	t.Helper()
	if good(t, d, "12 00 00 00 60")[5]&0x01 == 0 || good(t, d, "12 01 86 00 ff")[4] != 0x3f {
		t.Errorf("%s: PROTECT or SPT is not what a unit with protection information says", name)
	}
	kind := pi.Type(good(t, d, "9e 10 00 00 00 00 00 00 00 00 00 00 00 20")[12])
	if kind != 0 {
		kind = kind>>1 + 1
	}
	want := kind == pi.Type1 || kind == pi.Type3
	if kind != d.protection || takes(t, d, command) != want {
		t.Errorf("type %d: %s, %s is taken: %v", kind, name, command, !want)
	}
	opcode := parse(t, command).CDB[0]
	if listed := usageOf(t, d, opcode)[1]&protectMask != 0; listed != want {
		t.Errorf("type %d: %02x lists protection information: %v", kind, opcode, listed)
	}
	for action := longRead; action <= longSame; action++ {
		c := long(t, byte(action), 0x20, 0, 0, 0, 0, 1)
		d.Begin(c)
		is := c.Status == sam.Good
		listed := good(t, d, fmt.Sprintf("a3 0c 03 7f 00 %02x 00 00 02 00", action))[1]&7 == 3
		if is != (kind == pi.Type2) || listed != is {
			t.Errorf("type %d: 32-byte action %02x: taken %v, listed %v", kind, action, is, listed)
		}
	}
}

// pagesRead reads every page that is listed, and refuses every other one.
func pagesRead(t *testing.T, d *Device) {
	t.Helper()
	listed := good(t, d, "12 01 00 00 ff")[4:]
	for page := range 256 {
		if is := bytes.IndexByte(listed, byte(page)) >= 0; is != takes(t, d, fmt.Sprintf("12 01 %02x 00 ff", page)) {
			t.Errorf("VPD page %02x: listed %v", page, is)
		}
	}
	modes := map[[2]byte]bool{}
	for b := good(t, d, "5a 08 3f ff 00 00 00 04 00")[8:]; len(b) > 0; {
		if b[0]&spfMask != 0 {
			modes[[2]byte{b[0] & 0x3f, b[1]}] = true
			b = b[4+int(binary.BigEndian.Uint16(b[2:])):]
			continue
		}
		modes[[2]byte{b[0] & 0x3f, 0}] = true
		b = b[2+int(b[1]):]
	}
	for page := range byte(allPages) {
		for _, subpage := range []byte{0, 1, 2, 5} {
			if is := modes[[2]byte{page, subpage}]; is != takes(t, d, fmt.Sprintf("1a 08 %02x %02x ff", page, subpage)) {
				t.Errorf("mode page %02x/%02x: listed %v", page, subpage, is)
			}
		}
	}
	logs := logOf(t, d, "4d 00 40 00 00 00 00 04 00", Statistics{})[4:]
	for page := range byte(0x40) {
		if is := bytes.IndexByte(logs, page) >= 0; is != takes(t, d, fmt.Sprintf("4d 00 %02x 00 00 00 00 04 00", 0x40|page)) {
			t.Errorf("log page %02x: listed %v", page, is)
		}
	}
}

// bitsChange turns every bit of every mode page over: MODE SELECT takes it exactly if it is
// said to be changeable, and then MODE SENSE shows it.
func bitsChange(t *testing.T, thin, cached, protected bool) {
	t.Helper()
	d := selected(t, func(c *Config) { c.Info.Thin, c.Info.VolatileCache, c.Info.Protected = thin, cached, protected })
	for i := range modeRows {
		r := &modeRows[i]
		if r.subpage != 0 || !r.served(d) {
			continue
		}
		now, mask := pageOf(t, d, fmt.Sprintf("1a 08 %02x 00 ff", r.page)), pageOf(t, d, fmt.Sprintf("1a 08 %02x 00 ff", 0x40|r.page))
		now[0] &^= psMask
		for bit := 16; bit < 8*len(now); bit++ {
			other := bytes.Clone(now)
			other[bit/8] ^= 1 << (bit % 8)
			c, _ := modeSelect6(t, d, "10", other)
			changeable := mask[bit/8]&(1<<(bit%8)) != 0
			if (c.Status == sam.Good) != changeable {
				t.Errorf("page %02x byte %d bit %d: changeable %v, MODE SELECT %04x", r.page, bit/8, bit%8, changeable, c.Sense.Code)
			}
			if changeable {
				if shown := pageOf(t, d, fmt.Sprintf("1a 08 %02x 00 ff", r.page)); !bytes.Equal(shown[1:], other[1:]) {
					t.Errorf("page %02x: %x, want %x", r.page, shown, other)
				}
				modeSelect6(t, d, "10", now)
			}
		}
	}
}
