package scsi

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"lunar/lun/blk"
	"lunar/scsi/sam"

	"pgregory.net/rapid"
)

func TestInquiry_AllocationLengthCutsOnly(t *testing.T) {
	d := testDevice()
	full := good(t, d, "12 00 00 02 00")
	if int(full[4]) != len(full)-5 {
		t.Errorf("additional length %d of %d bytes", full[4], len(full))
	}
	for n := range 600 {
		if in := good(t, d, fmt.Sprintf("12 00 00 %04x", n)); !bytes.Equal(in, full[:min(n, len(full))]) {
			t.Fatalf("allocation length %d: %x", n, in)
		}
	}
	fails(t, d, "12 00 01 01 00", sam.IllegalRequest, 0x2400) // a page without EVPD
	fails(t, d, "12 02 00 01 00", sam.IllegalRequest, 0x2400) // CMDDT is obsolete
}

func TestInquiry_TextFieldsArePrintable(t *testing.T) {
	d := testDevice(func(c *Config) {
		c.Identity.Vendor, c.Identity.Product = "A\x00B", strings.Repeat("é", 20)
		c.Identity.Serial = strings.Repeat("x\n", 100)
	})
	in := good(t, d, "12 00 00 00 60")
	if string(in[8:16]) != "A B     " {
		t.Errorf("vendor %q", in[8:16])
	}
	in = append(in[8:36:36], good(t, d, "12 01 80 01 00")[4:]...)
	for i, b := range in {
		if b < 0x20 || b > 0x7e {
			t.Fatalf("byte %d is %#x", i, b)
		}
	}
	checkDesignators(t, identificationOf(t, strings.Repeat("n", 400)))
}

// identificationOf is page 83h as a target of that name shows it.
func identificationOf(t *testing.T, target string) []byte {
	t.Helper()
	c := parse(t, "12 01 83 04 00")
	c.Path = &sam.Path{TargetName: target}
	in, _ := serve(t, testDevice(), c, nil)
	return in
}

// A unit that nobody reaches through a port names none.
func TestIdentification_NoPath_NamesNoPort(t *testing.T) {
	c := parse(t, "12 01 83 04 00")
	c.Path = nil
	in, _ := serve(t, testDevice(), c, nil)
	if bytes.Contains(in, []byte(",t,0x")) || in[4+1]&0x3f != typeNAA {
		t.Errorf("page 83h: %x", in)
	}
}

// An initiator that may only read is refused by software, sees WP, and reads.
func TestReadOnly_ForOneInitiator(t *testing.T) {
	d := testDevice()
	good(t, d, "00")
	for text, code := range map[string]uint16{"2a 00 00 00 00 00 00 00 01": codeSoftwareProtected, "28 00 00 00 00 00 00 00 01": 0} {
		c := parse(t, text)
		c.ReadOnly = true
		plain := d.BeginPlain(c)
		if plain != (code == 0) {
			t.Errorf("%s past the device server: %v", text, plain)
		}
		d.Begin(c)
		if (c.Status == sam.Good) != (code == 0) || c.Sense.Code != code {
			t.Errorf("%s: status %v sense %+v", text, c.Status, c.Sense)
		}
	}
	c := parse(t, "1a 00 3f 00 ff")
	c.ReadOnly = true
	if in, _ := serve(t, d, c, nil); in[2]&writeProtectMask == 0 {
		t.Errorf("MODE SENSE: %x", in)
	}
}

// checkDesignators walks page 83h: the lengths chain exactly to its end.
func checkDesignators(t *testing.T, b []byte) (count int) {
	t.Helper()
	at := 4
	for at < len(b) {
		if at+4 > len(b) || at+4+int(b[at+3]) > len(b) {
			t.Fatalf("designator at %d of %d runs out", at, len(b))
		}
		if b[at+1]&0x0f == 8 && (b[at+3]%4 != 0 || b[at+3+int(b[at+3])] != 0) {
			t.Errorf("SCSI name at %d: length %d, or no NUL at its end", at, b[at+3])
		}
		at += 4 + int(b[at+3])
		count++
	}
	if count != 6 {
		t.Errorf("%d designators", count)
	}
	return count
}

func TestIdentification_NameLengths(t *testing.T) {
	for n := range MaxNameBytes + 1 {
		checkDesignators(t, identificationOf(t, strings.Repeat("n", n)))
	}
}

// Units with different UUIDs never get one designator or serial number.
func TestIdentityOf_DifferentUnitsDiffer(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		a := [16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(rt, "uuid"))
		b := a
		// The first 28 bits do not reach the designator; the rest must.
		b[rapid.IntRange(4, 15).Draw(rt, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(rt, "bit")
		if IdentityOf(a).NAA == IdentityOf(b).NAA || IdentityOf(a).Serial == IdentityOf(b).Serial {
			rt.Fatalf("%x and %x", a, b)
		}
		if again := IdentityOf(a); again != IdentityOf(a) || again.NAA[0]>>4 != 6 {
			rt.Fatalf("NAA %x", IdentityOf(a).NAA)
		}
	})
}

// The limits and bits of the pages are those of the commands (libiscsi and hosts
// alike compare them).
func TestPages_AdvertisedMeansItWorks(t *testing.T) {
	for _, thin := range []bool{false, true} {
		for _, volatile := range []bool{false, true} {
			d := testDevice(func(c *Config) { c.Info.Thin, c.Info.VolatileCache = thin, volatile })
			limits := good(t, d, "12 01 b0 02 00")
			provisioning := good(t, d, "12 01 b2 02 00")
			capacity := good(t, d, "9e 10 00 00 00 00 00 00 00 00 00 00 00 20")

			unmap := parse(t, "42 00 00 00 00 00 00 00 18")
			serve(t, d, unmap, descriptors(t, 0, 1))
			same10, same16 := command(0x41, 0, 1), command(0x93, 0, 1)
			same10.CDB[1], same16.CDB[1] = unmapMask, unmapMask
			serve(t, d, same10, make([]byte, 512))
			serve(t, d, same16, make([]byte, 512))

			for name, k := range map[string]struct{ bit, works bool }{
				"LBPU":             {provisioning[5]&0x80 != 0, unmap.Status == sam.Good},
				"LBPWS":            {provisioning[5]&0x40 != 0, same16.Status == sam.Good},
				"LBPWS10":          {provisioning[5]&0x20 != 0, same10.Status == sam.Good},
				"LBPME":            {capacity[14]&0x80 != 0, thin},
				"LBPRZ":            {capacity[14]&0x40 != 0, thin},
				"LBPRZ of B2":      {provisioning[5]&0x1c == 0x04, thin},
				"thin type":        {provisioning[6] == 2, thin},
				"unmap LBAs":       {number(limits[20:24]) != "0", unmap.Status == sam.Good},
				"unmap list":       {number(limits[24:28]) != "0", unmap.Status == sam.Good},
				"unmap opcode":     {opcodeSupported(t, d, 0x42), unmap.Status == sam.Good},
				"WCE":              {good(t, d, "1a 08 08 00 ff")[6]&0x04 != 0, volatile},
				"COMPARE AND ..":   {limits[5] != 0, opcodeSupported(t, d, 0x89)},
				"atomic":           {number(limits[44:64]) != "0", opcodeSupported(t, d, 0x9c)},
				"ANC_SUP":          {provisioning[5]&0x02 != 0, worksWith(t, d, 0x41, 0x18)},
				"unmap usage bit":  {usageOf(t, d, 0x93)[1]&0x08 != 0, thin},
				"SBC-3 capacity":   {true, capacity[11] == 0 && capacity[10] == 2},
				"zero length same": {limits[4]&1 != 0, false},
			} {
				if k.bit != k.works {
					t.Errorf("thin %v, volatile %v: %s says %v, is %v", thin, volatile, name, k.bit, k.works)
				}
			}
		}
	}
	d := testDevice(func(c *Config) { c.MaxTransferBytes = 1 << 20 })
	limits := good(t, d, "12 01 b0 02 00")
	for name, k := range map[string]struct {
		opcode byte
		limit  []byte
	}{"READ": {0x28, limits[8:12]}, "WRITE": {0x2a, limits[8:12]}, "VERIFY": {0x2f, limits[8:12]}, "WRITE SAME": {0x93, limits[36:44]}} {
		if number(k.limit) != "2048" {
			t.Errorf("%s: limit %s", name, number(k.limit))
		}
		c := command(k.opcode, 0, 2048)
		if d.Begin(c); c.Status != sam.Good {
			t.Errorf("%s at its limit: %+v", name, c.Sense)
		}
		c = command(k.opcode, 0, 2049)
		d.Begin(c)
		wantSense(t, c, sam.IllegalRequest, 0x2400)
	}
	// DPOFUA is set, so both bits are in the usage data and are accepted.
	if good(t, d, "1a 00 3f 00 ff")[2]&0x10 == 0 || usageOf(t, d, 0x28)[1]&0x18 != 0x18 || !worksWith(t, d, 0x2a, 0x18) {
		t.Error("DPOFUA")
	}
}

// worksWith says whether a block command of one block takes byte 1.
func worksWith(t testing.TB, d *Device, opcode, byte1 byte) bool {
	t.Helper()
	c := command(opcode, 0, 1)
	c.CDB[1] = byte1
	d.Begin(c)
	return c.Status == sam.Good
}

func TestCharacteristics_Rotation(t *testing.T) {
	d := testDevice(func(c *Config) {
		c.Info = blk.Info{Bytes: 1 << 20, BlockBytes: 4096, PhysicalBytes: 4096, Rotational: true}
	})
	if in := good(t, d, "12 01 b1 00 40"); in[4] != 0 || in[5] != 0 {
		t.Errorf("%x", in)
	}
	if in := good(t, d, "9e 10 00 00 00 00 00 00 00 00 00 00 00 20"); in[13] != 0 || number(in[:8]) != "255" {
		t.Errorf("%x", in)
	}
}
