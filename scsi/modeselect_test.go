package scsi

import (
	"bytes"
	"encoding/binary"
	"testing"

	"lunar/scsi/sam"
)

// selected is a device with two nexuses that keeps its state.
func selected(t *testing.T, change ...func(*Config)) *Device {
	t.Helper()
	d := testDevice(append(change, func(c *Config) { c.Keeps = true })...)
	for n := range sam.Nexus(2) {
		d.OpenNexus(n, nil)
		attentionOf(t, d, n)
	}
	return d
}

// page is what MODE SENSE(6) says of a page, without descriptors.
func pageOf(t *testing.T, d *Device, cdb string) []byte {
	t.Helper()
	return bytes.Clone(good(t, d, cdb)[4:])
}

// modeSelect6 sends a page with a header.
func modeSelect6(t *testing.T, d *Device, flags string, page []byte) (*sam.Command, Program) {
	t.Helper()
	b := append(make([]byte, 4), page...)
	c := parse(t, "15 "+flags+" 00 00 "+string("0123456789abcdef"[len(b)>>4])+string("0123456789abcdef"[len(b)&15]))
	_, p := serve(t, d, c, b)
	if p.Kind == Keep {
		d.Kept(c, true)
	}
	return c, p
}

// SPC-4 §6.11: what changed is told to the others; SWP, D_SENSE and WCE do what they say.
func TestModeSelect_Changes(t *testing.T) {
	d := selected(t)
	control := pageOf(t, d, "1a 08 0a 00 ff")
	control[0] &^= psMask
	control[2] |= dSenseMask
	control[4] |= swpMask
	if c, _ := modeSelect6(t, d, "10", control); c.Status != sam.Good {
		t.Fatalf("%04x", c.Sense.Code)
	}
	if attentionOf(t, d, 0) != 0 || attentionOf(t, d, 1) != 0x2a01 {
		t.Error("who hears of it")
	}
	c := fails(t, d, "2a 00 00 00 00 00 00 00 01", sam.DataProtect, 0x2702)
	if !c.Sense.Descriptor || d.Plain(0) {
		t.Errorf("sense %+v, plain %v", c.Sense, d.Plain(0))
	}
	if b := good(t, d, "1a 08 3f 00 ff"); b[2]&writeProtectMask == 0 {
		t.Errorf("header %x", b[:4])
	}
	if b := pageOf(t, d, "1a 08 8a 00 ff"); b[2]|b[4] != 0 {
		t.Errorf("default %x", b)
	}
	d.Reset(UnitReset)
	attentionOf(t, d, 0)
	if b := pageOf(t, d, "1a 08 0a 00 ff"); b[2]|b[4] != 0 {
		t.Errorf("after a reset %x", b)
	}
	good(t, d, "2a 00 00 00 00 00 00 00 01")

	caching := pageOf(t, d, "1a 08 08 00 ff")
	caching[0] &^= psMask
	caching[2] &^= wceMask
	if c, p := modeSelect6(t, d, "10", caching); c.Status != sam.Good || p.Kind != Sync || p.Keeps {
		t.Fatalf("WCE 0: %04x, program %+v", c.Sense.Code, p)
	}
	w := parse(t, "2a 00 00 00 00 00 00 00 01")
	if d.Begin(w); !w.Extent.FUA {
		t.Error("a write without cache is not durable")
	}
}

// What is saved comes back after a power on, and with WCE zero the flush comes first.
func TestModeSelect_Saves(t *testing.T) {
	d := selected(t)
	caching := pageOf(t, d, "1a 08 08 00 ff")
	if caching[0]&psMask == 0 {
		t.Errorf("PS: %x", caching)
	}
	caching[0] &^= psMask
	caching[2] &^= wceMask
	c, p := modeSelect6(t, d, "11", caching)
	if p.Kind != Sync || !p.Keeps {
		t.Fatalf("program %+v", p)
	}
	kept, _ := d.Draft()
	d.Kept(c, true)
	again := selected(t)
	if err := again.Restore(kept); err != nil {
		t.Fatal(err)
	}
	for _, cdb := range []string{"1a 08 08 00 ff", "1a 08 c8 00 ff"} {
		if b := pageOf(t, again, cdb); b[2]&wceMask != 0 {
			t.Errorf("%s: %x", cdb, b)
		}
	}
	plain := testDevice()
	fails(t, plain, "15 11 00 00 00", sam.IllegalRequest, 0x3900)
}

// All pages of a list or none: what cannot be changed is refused where it stands.
func TestModeSelect_Refuses(t *testing.T) {
	d := selected(t)
	control, recovery := pageOf(t, d, "1a 08 0a 00 ff"), pageOf(t, d, "1a 08 01 00 ff")
	control[0] &^= psMask
	recovery[0] &^= psMask
	control[2] |= dSenseMask
	wrong := bytes.Clone(recovery)
	wrong[3] = 9
	short := append(bytes.Clone(recovery[:1]), 9)
	for name, k := range map[string]struct {
		b    []byte
		code uint16
		at   uint16
	}{
		"a bit that stays":  {append(bytes.Clone(control), wrong...), 0x2600, 4 + 12 + 3},
		"another length":    {append(short, recovery[2:11]...), 0x2600, 5},
		"an unknown page":   {[]byte{0x18, 2, 0, 0}, 0x2600, 4},
		"a page cut short":  {recovery[:8], 0x1a00, 4},
		"an unknown sub":    {[]byte{0x4a, 0x77, 0, 0}, 0x2600, 4},
		"a header cut":      {[]byte{0x4a}, 0x1a00, 4},
		"a page of its own": {[]byte{0x0a}, 0x1a00, 4},
	} {
		c, _ := modeSelect6(t, d, "10", k.b)
		if c.Sense.Code != k.code || c.Sense.Field.Byte != k.at {
			t.Errorf("%s: %04x at %d", name, c.Sense.Code, c.Sense.Field.Byte)
		}
	}
	if d.mode != (parameters{}) {
		t.Errorf("something was taken: %+v", d.mode)
	}
	fails(t, d, "15 00 00 00 0c", sam.IllegalRequest, 0x2400)
	good(t, d, "15 10 00 00 00")
	good(t, d, "55 10 00 00 00 00 00 00 00")
}

// Block descriptors are taken when they ask for what there is (SBC-3 §6.5.2).
func TestModeSelect_Descriptors(t *testing.T) {
	d := selected(t)
	for _, k := range []struct {
		blocks, length uint32
		code           uint16
	}{{8192, 512, 0}, {0, 512, 0}, {1<<32 - 1, 512, 0}, {8191, 512, 0x2600}, {8192, 4096, 0x2600}} {
		b := binary.BigEndian.AppendUint32([]byte{0, 0, 0, 8}, k.blocks)
		b = binary.BigEndian.AppendUint32(b, k.length)
		c := parse(t, "15 10 00 00 0c")
		serve(t, d, c, b)
		if c.Sense.Code != k.code {
			t.Errorf("%+v: %04x", k, c.Sense.Code)
		}
		long := append([]byte{0, 0, 0, 0, 1, 0, 0, 16, 0, 0, 0, 0}, b[4:8]...)
		if k.blocks == 1<<32-1 {
			long = append([]byte{0, 0, 0, 0, 1, 0, 0, 16, 255, 255, 255, 255}, b[4:8]...)
		}
		long = append(append(long, 0, 0, 0, 0), b[8:]...)
		c = parse(t, "55 10 00 00 00 00 00 00 18")
		serve(t, d, c, long)
		if c.Sense.Code != k.code {
			t.Errorf("long %+v: %04x", k, c.Sense.Code)
		}
	}
	for _, text := range []string{"00 00 00 08 00", "00 00 00 09 00 00 20 00 00 00 02 00 00"} {
		b := bytes.ReplaceAll([]byte(text), []byte(" "), nil)
		raw := make([]byte, len(b)/2)
		for i := range raw {
			raw[i] = (b[2*i]-'0')<<4 | (b[2*i+1] - '0')
		}
		c := parse(t, "55 10 00 00 00 00 00 00 "+string("0123456789abcdef"[len(raw)>>4])+string("0123456789abcdef"[len(raw)&15]))
		if serve(t, d, c, raw); c.Status == sam.Good {
			t.Errorf("%s is taken", text)
		}
	}
}
