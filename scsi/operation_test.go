package scsi

import (
	"bytes"
	"testing"

	"lunar/lun/blk"
	"lunar/scsi/sam"
)

// SBC-3 §4.11: a sanitize operation refuses what touches the medium, survives resets and
// ends with the unit as it was asked for.
func TestSanitize_Overwrite(t *testing.T) {
	d := selected(t)
	m := &medium{data: make([]byte, d.info.Bytes)}
	c := parse(t, "48 01 00 00 00 00 00 00 06")
	_, p := serve(t, d, c, []byte{invertMask | 3, 0, 0, 2, 0xa1, 0xb2})
	if p.Kind != Keep {
		t.Fatalf("%04x, program %+v", c.Sense.Code, p)
	}
	if kept, _ := d.Draft(); !bytes.Contains(kept, []byte(`"sanitizing":true`)) {
		t.Errorf("kept: %s", kept)
	}
	if p = d.Kept(c, true); p.Kind != Overwrite || !p.Detached() || Immediate(c) || d.Plain(0) {
		t.Fatalf("program %+v", p)
	}
	d.Reset(UnitReset)
	attentionOf(t, d, 0)
	busy := fails(t, d, "00", sam.NotReady, 0x041b)
	fails(t, d, "1b 00 00 00 01", sam.NotReady, 0x041b)
	fails(t, d, "48 82", sam.NotReady, 0x041b)
	good(t, d, "12 00 00 00 60")
	if b := good(t, d, "03 00 00 00 12"); b[12] != 4 || b[13] != 0x1b || b[15]&0x80 == 0 || busy.Sense.Progress != 0 {
		t.Errorf("REQUEST SENSE %x", b)
	}
	// Three passes: as asked, inverted, as asked.
	m.run(t, d, c, p)
	if m.ops[blk.Write] != 3*int(d.info.Bytes/blk.MaxRequestBytes) || m.syncs != 1 {
		t.Errorf("steps %v, %d flushes", m.ops, m.syncs)
	}
	for at, want := range map[int]byte{0: 0xa1, 1: 0xb2, 512: 0xa1, len(m.data) - 1: 0xb2} {
		if m.data[at] != want {
			t.Errorf("byte %d is %02x", at, m.data[at])
		}
	}
	e := d.Concluded(c, true)
	if kept, _ := d.Draft(); e.Kind != Keep || bytes.Contains(kept, []byte("sanitizing")) {
		t.Errorf("end: %+v", e)
	}
	d.Kept(c, true)
	good(t, d, "00")
}

// A sanitize that fails keeps the unit out of use, until one succeeds or EXIT FAILURE MODE
// ends it, where that was allowed for. One that was cut off by the power goes on.
func TestSanitize_FailsAndResumes(t *testing.T) {
	for _, ause := range []bool{false, true} {
		d := selected(t)
		c := parse(t, map[bool]string{false: "48 82", true: "48 a2"}[ause])
		serve(t, d, c, nil)
		kept, _ := d.Draft()
		if p := d.Kept(c, true); p.Kind != Erase || !Immediate(c) {
			t.Fatalf("%+v", p)
		}
		d.Concluded(c, false)
		fails(t, d, "00", sam.MediumError, 0x3103)
		exit := parse(t, "48 1f")
		if _, p := serve(t, d, exit, nil); p.Kind == Keep {
			d.Kept(exit, true)
		}
		if (exit.Status == sam.Good) != ause {
			t.Errorf("EXIT FAILURE MODE, AUSE %v: %04x", ause, exit.Sense.Code)
		}
		again := selected(t)
		if err := again.Restore(kept); err != nil {
			t.Fatal(err)
		}
		if p := again.Interrupted(); p.Kind != Erase || p.Bytes != again.info.Bytes {
			t.Errorf("after a power on: %+v", p)
		}
		fails(t, again, "00", sam.NotReady, 0x041b)
	}
	if p := selected(t).Interrupted(); p.Kind != 0 {
		t.Errorf("a unit that was not sanitized: %+v", p)
	}
}

func TestSanitize_Refuses(t *testing.T) {
	d := selected(t)
	for _, text := range []string{"48 00", "48 03", "48 42", "48 02 01", "48 02 00 00 00 00 00 00 08", "48 01 00 00 00 00 00 00 04", "48 01 00 00 00 00 00 02 05"} {
		fails(t, d, text, sam.IllegalRequest, 0x2400)
	}
	for name, b := range map[string][]byte{
		"no pass": {0, 0, 0, 1, 9}, "no pattern": {1, 0, 0, 0, 9}, "another length": {1, 0, 0, 2, 9}, "a test": {0x21, 0, 0, 1, 9},
	} {
		c := parse(t, "48 01 00 00 00 00 00 00 05")
		if serve(t, d, c, b); c.Sense.Code != 0x2400 || d.operation != nil {
			t.Errorf("%s: %04x", name, c.Sense.Code)
		}
	}
	readOnly := testDevice(func(c *Config) { c.Info.ReadOnly = true })
	fails(t, readOnly, "48 02", sam.DataProtect, 0x2700)
	fails(t, readOnly, "04", sam.DataProtect, 0x2700)
}

// FORMAT UNIT deallocates, and says so while it does.
func TestFormat(t *testing.T) {
	d := selected(t)
	m := &medium{data: bytes.Repeat([]byte{7}, int(d.info.Bytes))}
	c := parse(t, "04 10")
	_, p := serve(t, d, c, []byte{0, formatImmed, 0, 0})
	if p.Kind != Erase || !Immediate(c) {
		t.Fatalf("%04x, program %+v", c.Sense.Code, p)
	}
	fails(t, d, "00", sam.NotReady, 0x0404)
	m.run(t, d, c, p)
	if d.Concluded(c, true).Kind != 0 || !bytes.Equal(m.data, make([]byte, len(m.data))) {
		t.Error("not empty")
	}
	good(t, d, "00")
	c = parse(t, "04")
	if _, p := serve(t, d, c, nil); p.Kind != Erase || Immediate(c) {
		t.Errorf("without a list: %+v", p)
	}
	d.Concluded(c, true)
	for _, b := range [][]byte{{1, 0, 0, 0}, {0, formatIP, 0, 0}, {0, 0, 0, 8}} {
		c := parse(t, "04 10")
		if serve(t, d, c, b); c.Sense.Code != 0x2600 {
			t.Errorf("%x: %04x", b, c.Sense.Code)
		}
	}
	fails(t, d, "04 80", sam.IllegalRequest, 0x2400)
	fails(t, d, "04 20", sam.IllegalRequest, 0x2400)
}

// SBC-3 §5.10, §5.25: a removable medium goes out and comes back, unless somebody prevents
// it.
func TestRemovable(t *testing.T) {
	d := selected(t, func(c *Config) { c.Removable = true })
	if b := good(t, d, "12 00 00 00 60"); b[1] != 0x80 {
		t.Errorf("RMB: %x", b[:4])
	}
	prevent := func(n sam.Nexus, cdb string) {
		t.Helper()
		if s := statusFor(t, d, n, cdb); s != sam.Good {
			t.Errorf("%s: %v", cdb, s)
		}
	}
	prevent(1, "1e 00 00 00 01")
	fails(t, d, "1b 00 00 00 02", sam.IllegalRequest, 0x5302)
	prevent(1, "1e 00 00 00 00")
	good(t, d, "1b 00 00 00 02")
	for _, text := range []string{"00", "25", "35", "28 00 00 00 00 00 00 00 01", "2a 00 00 00 00 00 00 00 01", "42 00 00 00 00 00 00 00 08"} {
		fails(t, d, text, sam.NotReady, 0x3a00)
	}
	if b := good(t, d, "03 00 00 00 12"); b[12] != 0x3a || d.Plain(0) {
		t.Errorf("REQUEST SENSE %x", b)
	}
	prevent(0, "1e 00 00 00 01")
	fails(t, d, "1b 00 00 00 03", sam.IllegalRequest, 0x5302)
	d.NexusLoss(0)
	attentionOf(t, d, 0)
	good(t, d, "1b 00 00 00 03")
	good(t, d, "00")
	if attentionOf(t, d, 1) != 0x2800 {
		t.Error("the other does not hear of the medium")
	}
	prevent(0, "1e 00 00 00 01")
	d.Reset(HardReset)
	attentionOf(t, d, 0)
	good(t, d, "1b 00 00 00 02")
	good(t, d, "1b 00 00 00 03")
	good(t, d, "1b 00 00 00 00") // stays in: D-33
	good(t, d, "00")
}
