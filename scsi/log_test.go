package scsi

import (
	"encoding/binary"
	"testing"

	"lunar/scsi/sam"
)

// logOf reads a log page, with what the unit has counted.
func logOf(t *testing.T, d *Device, cdb string, s Statistics) []byte {
	t.Helper()
	c := parse(t, cdb)
	if _, p := serve(t, d, c, nil); p.Kind != Count {
		t.Fatalf("%s: %04x, program %+v", cdb, c.Sense.Code, p)
	}
	d.Counted(c, s)
	return c.Buffer[:c.DataInBytes]
}

// Every page that is listed reads, has the length it says, and parameters that chain.
func TestLogSense_Pages(t *testing.T) {
	d := testDevice()
	s := Statistics{Reads: 5, Writes: 7, ReadBytes: 5 << 12, WriteBytes: 7 << 12, ReadErrors: 1, WriteErrors: 2, VerifyErrors: 3, OtherErrors: 4}
	all := logOf(t, d, "4d 00 40 ff 00 00 00 04 00", s)
	if all[0] != 0x40 || all[1] != 0xff {
		t.Errorf("header %x", all[:4])
	}
	for b := all[4:]; len(b) > 0; b = b[2:] {
		c := parse(t, "4d 00 00 00 00 00 00 04 00")
		c.CDB[2], c.CDB[3] = 0x40|b[0], b[1]
		serve(t, d, c, nil)
		d.Counted(c, s)
		p := c.Buffer[:c.DataInBytes]
		if p[0]&0x3f != b[0] || int(binary.BigEndian.Uint16(p[2:])) != len(p)-4 {
			t.Errorf("page %x: %x", b[:2], p[:4])
		}
		if b[0] == 0 {
			continue
		}
		at := 4
		for at < len(p) {
			at += 4 + int(p[at+3])
		}
		if at != len(p) {
			t.Errorf("page %02x: parameters end at %d of %d", b[0], at, len(p))
		}
	}
	for cdb, want := range map[string]uint64{"4d 00 42": 2, "4d 00 43": 1, "4d 00 45": 3, "4d 00 46": 4} {
		if p := logOf(t, d, cdb+" 00 00 00 00 04 00", s); binary.BigEndian.Uint64(p[8:]) != want {
			t.Errorf("%s: %x", cdb, p)
		}
	}
	p := logOf(t, d, "4d 00 59 00 00 00 00 04 00", s)
	for i, want := range []uint64{5, 7, 56, 40} {
		if got := binary.BigEndian.Uint64(p[8+8*i:]); got != want {
			t.Errorf("page 19h, value %d: %d", i, got)
		}
	}
	s.Millis, s.Started = 600_000, 60_000
	if p := logOf(t, d, "4d 00 55 00 00 00 00 04 00", s); number(p[8:12]) != "9" {
		t.Errorf("page 15h: %x", p)
	}
	for _, cdb := range []string{"4d 00 7f", "4d 00 40 01", "4d 00 02", "4d 00 c2", "4d 00 42 00 00 00 01", "4d 01 42"} {
		fails(t, d, cdb, sam.IllegalRequest, 0x2400)
	}
}

// LOG SELECT with PCR begins anew.
func TestLogSelect_Resets(t *testing.T) {
	d := testDevice()
	c := parse(t, "4c 02 c0")
	if _, p := serve(t, d, c, nil); p.Kind != Count {
		t.Fatalf("%04x", c.Sense.Code)
	}
	d.Counted(c, Statistics{Reads: 5})
	if p := logOf(t, d, "4d 00 59 00 00 00 00 04 00", Statistics{Reads: 8}); binary.BigEndian.Uint64(p[8:]) != 3 {
		t.Errorf("page 19h: %x", p)
	}
	good(t, d, "4c 00 c0")
	fails(t, d, "4c 00 c0 00 00 00 00 00 08", sam.IllegalRequest, 0x2400)
	fails(t, d, "4c 01 c0", sam.IllegalRequest, 0x2400)
}

// Page 0Eh counts what was stopped and is started again, and what was ejected and is loaded.
func TestLogSense_Cycles(t *testing.T) {
	d := testDevice(func(c *Config) { c.Removable = true })
	for _, cdb := range []string{"1b 00 00 00 02", "1b 00 00 00 03", "1b 00 00 00 03", "1b 00 00 00 02", "1b 00 00 00 03"} {
		good(t, d, cdb)
	}
	p := logOf(t, d, "4d 00 4e 00 00 00 00 04 00", Statistics{})
	if number(p[8:12]) != "0" || number(p[16:20]) != "2" {
		t.Errorf("removable: %x", p)
	}
	d = testDevice()
	for _, cdb := range []string{"1b 00 00 00 00", "1b 00 00 00 01", "1b 00 00 00 01"} {
		good(t, d, cdb)
	}
	if p = logOf(t, d, "4d 00 4e 00 00 00 00 04 00", Statistics{}); number(p[8:12]) != "1" || len(p) != 12 {
		t.Errorf("fixed: %x", p)
	}
}

// Page 19h/20h is there with a cache, and counts from the last LOG SELECT on.
func TestLogSense_Cache(t *testing.T) {
	fails(t, testDevice(), "4d 00 59 20 00 00 00 04 00", sam.IllegalRequest, 0x2400)
	d := testDevice(func(c *Config) { c.Info.CacheBytes = 1 << 20 })
	c := parse(t, "4c 02 c0")
	serve(t, d, c, nil)
	d.Counted(c, Statistics{CacheReads: 5, CacheHits: 2})
	p := logOf(t, d, "4d 00 59 20 00 00 00 04 00", Statistics{CacheReads: 15, CacheHits: 9})
	if number(p[8:16]) != "7" || number(p[16:24]) != "10" {
		t.Errorf("%x", p)
	}
}
