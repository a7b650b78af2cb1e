package scsi

import (
	"bytes"
	"testing"

	"lunar/lun/blk"
	"lunar/scsi/pi"
	"lunar/scsi/sam"
)

// FMTPINFO and PROTECTION FIELD USAGE (SBC-4 table 44).
func TestFormat_WhatIsAskedFor(t *testing.T) {
	for _, k := range []struct {
		cdb  string
		list []byte
		kind pi.Type
		code uint16
	}{
		{"04 00", nil, pi.Type0, 0},
		{"04 80", nil, 0, codeInvalidField},
		{"04 10", []byte{0, 0, 0, 0}, pi.Type0, 0},
		{"04 10", []byte{1, 0, 0, 0}, 0, codeInvalidParameter},
		{"04 50", []byte{0, 0, 0, 0}, 0, codeInvalidField},
		{"04 90", []byte{0, 0, 0, 0}, pi.Type1, 0},
		{"04 90", []byte{1, 0, 0, 0}, 0, codeInvalidParameter},
		{"04 d0", []byte{0, 0, 0, 0}, pi.Type2, 0},
		{"04 d0", []byte{1, 0, 0, 0}, pi.Type3, 0},
		{"04 d0", []byte{2, 0, 0, 0}, 0, codeInvalidParameter},
		{"04 d0", []byte{9, 0, 0, 0}, 0, codeInvalidParameter},
		{"04 f0", []byte{1, 0, 0, 0, 0, 0, 0, 0}, pi.Type3, 0},
		{"04 f0", []byte{1, 0, 0, 3, 0, 0, 0, 0}, 0, codeInvalidParameter},
		{"04 f0", []byte{1, 0, 0, 0x10, 0, 0, 0, 0}, 0, codeInvalidParameter},
		{"04 90", nil, 0, codeParameterLength},
	} {
		d := protectedDevice(pi.Type1, func(c *Config) { c.Keeps = true })
		c := parse(t, k.cdb)
		_, p := serve(t, d, c, k.list)
		if k.code != 0 {
			wantSense(t, c, sam.IllegalRequest, k.code)
			continue
		}
		if p.Kind != Keep || d.Format().Type != pi.Type1 {
			t.Fatalf("%s %x: %+v, type %d before it is kept", k.cdb, k.list, p.Kind, d.Format().Type)
		}
		if p = d.Kept(c, true); p.Kind != Erase || d.Format().Type != k.kind {
			t.Errorf("%s %x: %v, type %d, want %d", k.cdb, k.list, p.Kind, d.Format().Type, k.kind)
		}
		none := testDevice()
		if c = parse(t, k.cdb); c.CDB[1]&fmtpinfoMask != 0 {
			none.Begin(c)
			wantSense(t, c, sam.IllegalRequest, codeInvalidField)
		}
	}
}

// A format operation that does not end well leaves the unit out of use, also after a restart,
// until one does.
func TestFormat_OutOfUseUntilItHasEndedWell(t *testing.T) {
	change := func(c *Config) { c.Keeps = true }
	d := protectedDevice(pi.Type1, change)
	for n := range sam.Nexus(2) {
		d.OpenNexus(n, nil)
		attentionOf(t, d, n)
	}
	c := parse(t, "04 d0")
	serve(t, d, c, []byte{1, 0, 0, 0})
	kept, _ := d.Draft()
	p := d.Kept(c, true)
	if attentionOf(t, d, 0) != codeFormatting || attentionOf(t, d, 1) != 0x2a09 {
		t.Error("who hears of another type")
	}
	fails(t, d, "28 00 00 00 00 00 00 00 01", sam.NotReady, codeFormatting)
	d.Concluded(&sam.Command{}, false)
	fails(t, d, "28 00 00 00 00 00 00 00 01", sam.MediumError, codeFormatCorrupted)
	fails(t, d, "00", sam.MediumError, codeFormatCorrupted)
	good(t, d, "12 00 00 00 60")
	if d.Plain(0) {
		t.Error("reads and writes pass")
	}

	d = protectedDevice(pi.Type1, change)
	if err := d.Restore(kept); err != nil {
		t.Fatal(err)
	}
	d.OpenNexus(0, nil)
	attentionOf(t, d, 0)
	if p = d.Interrupted(); p.Kind != Erase || d.Format().Type != pi.Type3 {
		t.Fatalf("after a restart: %v, type %d", p.Kind, d.Format().Type)
	}
	fails(t, d, "28 00 00 00 00 00 00 00 01", sam.NotReady, codeFormatting)
	b := &sam.Command{}
	if p = d.Concluded(b, true); p.Kind != Keep {
		t.Fatalf("its end: %v", p.Kind)
	}
	kept, _ = d.Draft()
	d.Kept(b, true)
	good(t, d, "28 00 00 00 00 00 00 00 00")
	if !d.Plain(0) {
		t.Error("reads and writes do not pass")
	}
	d = protectedDevice(pi.Type1, change)
	if err := d.Restore(kept); err != nil || d.Interrupted().Kind != 0 || d.Format().Type != pi.Type3 {
		t.Errorf("after another restart: %v, type %d", err, d.Format().Type)
	}
}

// Every block says nothing after a format operation (SBC-4 §5.4.1), on a medium that
// deallocates as on one that does not.
func TestFormat_LeavesNothingToCheck(t *testing.T) {
	for _, thin := range []bool{false, true} {
		g := newGuarded(protectedDevice(pi.Type1, func(c *Config) { c.Info.Thin = thin }))
		data := pattern(4, 512, 1)
		g.stored(0, data, right(data, 512, 0, 0)...)
		c := parse(t, "04 90")
		_, p := serve(t, g.d, c, make([]byte, 4))
		for s, more := g.d.Next(c, &p); more; s, more = g.d.Next(c, &p) {
			if s.Op != blk.Sync && !g.step(t, c, &p, s) {
				t.Fatal("a step failed")
			}
		}
		if !bytes.Equal(g.tuples, bytes.Repeat([]byte{0xff}, len(g.tuples))) || !bytes.Equal(g.data, make([]byte, len(g.data))) {
			t.Errorf("thin %v: something is left", thin)
		}
	}
}

// The type that a unit is formatted with at first is kept before its first command, so that
// another one in the configuration does not change it.
func TestFormat_FirstIsKept(t *testing.T) {
	d := protectedDevice(pi.Type2)
	first := d.First()
	for _, configured := range []pi.Type{pi.Type0, pi.Type3} {
		other := protectedDevice(configured)
		if err := other.Restore(first); err != nil || other.Format().Type != pi.Type2 || other.First() != nil {
			t.Errorf("configured with %d: %v, type %d", configured, err, other.Format().Type)
		}
	}
	if none := testDevice(); none.First() != nil || none.Restore(first) != nil || none.Format().Type != pi.Type0 {
		t.Error("a unit without protection information")
	}
	if err := protectedDevice(pi.Type1).Restore(bytes.Replace(first, []byte(`"format":3`), []byte(`"format":9`), 1)); err == nil {
		t.Error("a state that was tampered with")
	}
}

// ATO is a mode parameter where there is protection information, and nowhere else.
func TestFormat_ATO(t *testing.T) {
	d := selected(t, func(c *Config) { c.Info.Protected, c.Protection = true, pi.Type1 })
	control := pageOf(t, d, "1a 08 0a 00 ff")
	control[0] &^= psMask
	control[5] |= atoMask
	if c, _ := modeSelect6(t, d, "10", control); c.Status != sam.Good || d.Format() != (pi.Format{Type: pi.Type1, Owned: true}) {
		t.Errorf("%v %+v, %+v", c.Status, c.Sense, d.Format())
	}
	if shown := pageOf(t, d, "1a 08 0a 00 ff"); shown[5]&atoMask == 0 {
		t.Errorf("%x", shown)
	}
	if c, _ := modeSelect6(t, selected(t), "10", control); c.Status != sam.CheckCondition {
		t.Error("ATO without protection information")
	}
}

// SANITIZE makes a unit whose format operation failed good again.
func TestFormat_SanitizeEndsIt(t *testing.T) {
	d := protectedDevice(pi.Type1)
	d.formatting = true
	_, p := serve(t, d, parse(t, "48 02"), nil)
	if p.Kind != Erase {
		t.Fatalf("%+v", p.Kind)
	}
	d.Concluded(&sam.Command{}, true)
	good(t, d, "00")
}
