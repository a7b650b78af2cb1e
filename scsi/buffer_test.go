package scsi

import (
	"bytes"
	"testing"

	"lunar/scsi/sam"
)

// SPC-4 §6.17, §6.49: what is written is read, within what the descriptors say.
func TestBuffer(t *testing.T) {
	d := testDevice()
	fails(t, d, "3c 0a 00 00 00 00 00 10 00", sam.IllegalRequest, 0x2c00)
	write := func(cdb string, out []byte) {
		t.Helper()
		c := parse(t, cdb)
		if serve(t, d, c, out); c.Status != sam.Good {
			t.Errorf("%s: %04x", cdb, c.Sense.Code)
		}
	}
	write("3b 0a 00 00 00 00 00 00 04", []byte{1, 2, 3, 4})
	if b := good(t, d, "3c 0a 00 00 00 00 00 10 00"); !bytes.Equal(b, []byte{1, 2, 3, 4}) {
		t.Errorf("echo %x", b)
	}
	write("3b 02 00 00 ff fe 00 00 02", []byte{8, 9})
	if b := good(t, d, "3c 02 00 00 ff fd 00 00 10"); !bytes.Equal(b, []byte{0, 8, 9}) {
		t.Errorf("data %x", b)
	}
	if b := good(t, d, "3c 03 00 00 00 00 00 00 04"); !bytes.Equal(b, []byte{0, 1, 0, 0}) {
		t.Errorf("descriptor %x", b)
	}
	if b := good(t, d, "3c 0b 00 00 00 00 00 00 04"); !bytes.Equal(b, []byte{0, 0, 16, 0}) {
		t.Errorf("echo descriptor %x", b)
	}
	for _, text := range []string{
		"3c 00", "3c 02 01", "3c 02 00 01 00 01 00 00 01", "3b 02 00 00 ff ff 00 00 02", "3b 04 00 00 00 00 00 00 04",
		"3b 05", "3b 07", "3b 0a 00 00 00 01", "3b 0a 00 00 00 00 00 10 01", "3b 0a 01",
	} {
		fails(t, d, text, sam.IllegalRequest, 0x2400)
	}
}

// SPC-4 §6.31, §6.42: the self-test reads, and page 00h lists itself.
func TestDiagnostics(t *testing.T) {
	d := testDevice()
	c := parse(t, "1d 04")
	if _, p := serve(t, d, c, nil); p.Kind != Verify || c.Status != sam.Good {
		t.Errorf("self-test: %+v", p)
	}
	good(t, d, "1d 10")
	c = parse(t, "1d 10 00 00 04")
	if serve(t, d, c, []byte{0, 0, 0, 0}); c.Status != sam.Good {
		t.Errorf("page 00h: %04x", c.Sense.Code)
	}
	for _, b := range [][]byte{{1, 0, 0, 0}, {0, 0, 0, 4}} {
		c := parse(t, "1d 10 00 00 04")
		if serve(t, d, c, b); c.Sense.Code != 0x2600 {
			t.Errorf("%x: %04x", b, c.Sense.Code)
		}
	}
	for _, text := range []string{"1c 01", "1c 00"} {
		if b := good(t, d, text+" 00 00 ff"); !bytes.Equal(b, []byte{0, 0, 0, 1, 0}) {
			t.Errorf("%s: %x", text, b)
		}
	}
	for _, text := range []string{"1d 04 00 00 04", "1d 20", "1d 02", "1c 01 01"} {
		fails(t, d, text, sam.IllegalRequest, 0x2400)
	}
}

// SPC-4 §6.34, §6.43: what is set is kept before it is GOOD, and others hear of it.
func TestIdentifying(t *testing.T) {
	d := selected(t)
	c := parse(t, "a4 06 00 00 00 00 00 00 00 03 00")
	_, p := serve(t, d, c, []byte("abc"))
	if p.Kind != Keep || len(good(t, d, "a3 05 00 00 00 00 00 00 02 10 00")) != 4 {
		t.Fatalf("program %+v", p)
	}
	kept, _ := d.Draft()
	d.Kept(c, true)
	if b := good(t, d, "a3 05 00 00 00 00 00 00 02 10 00"); string(b[4:]) != "abc" || b[3] != 3 {
		t.Errorf("%q", b)
	}
	if attentionOf(t, d, 0) != 0 || attentionOf(t, d, 1) != 0x3f05 {
		t.Error("who hears of it")
	}
	again := selected(t)
	if err := again.Restore(kept); err != nil || again.identifying != "abc" {
		t.Errorf("%v, %q", err, again.identifying)
	}
	if b := good(t, d, "a3 05 00 00 00 00 00 00 02 10 fe"); !bytes.Equal(b, []byte{0, 0, 0, 4, 0, 0, 2, 0}) {
		t.Errorf("types %x", b)
	}
	for _, text := range []string{"a3 05 00 00 00 00 00 00 02 10 04", "a4 06 00 00 00 00 00 00 02 01 00", "a4 06 00 00 00 00 00 00 00 01 02"} {
		fails(t, d, text, sam.IllegalRequest, 0x2400)
	}
}
