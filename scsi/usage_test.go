package scsi

import (
	"testing"

	"lunar/lun/blk"
	"lunar/scsi/sam"
)

// What the store says replaces what it said before, also when it stops to say.
func TestUsed_IsTheLast(t *testing.T) {
	d := testDevice()
	if d.usage.known {
		t.Error("known before anybody looked")
	}
	for _, u := range []blk.Usage{{Used: 5, Available: 7, Known: true}, {Used: 6, Available: 6, Known: true}, {}} {
		d.Used(u)
		if d.usage != (usage{used: u.Used, available: u.Available, known: u.Known}) {
			t.Errorf("%+v is %+v", u, d.usage)
		}
	}
}

// SBC-3 §4.7.3.7: the threshold that MODE SELECT sets is told of once, and again when there
// was more in between; the log says how much there is.
func TestUsed_Threshold(t *testing.T) {
	d := selected(t)
	page := pageOf(t, d, "1a 08 1c 02 ff")
	page[0] &^= psMask
	page[16], page[23] = thresholdArmed, 10
	if c, _ := modeSelect6(t, d, "10", page); c.Status != sam.Good {
		t.Fatalf("%04x at %d", c.Sense.Code, c.Sense.Field.Byte)
	}
	attentionOf(t, d, 1)
	for i, k := range []struct {
		available int64
		told      bool
	}{{11 << 20, false}, {10 << 20, true}, {3 << 20, false}, {20 << 20, false}, {1 << 20, true}} {
		if got := d.Used(blk.Usage{Used: 5 << 20, Available: k.available, Known: true}); got != k.told {
			t.Errorf("step %d: %v", i, got)
		}
		for n := range sam.Nexus(2) {
			if got := attentionOf(t, d, n) == 0x3807; got != k.told {
				t.Errorf("step %d: nexus %d: %v", i, n, got)
			}
		}
	}
	if p := logOf(t, d, "4d 00 4c 00 00 00 00 04 00", Statistics{}); number(p[8:12]) != "1" || number(p[20:24]) != "5" || p[7] != 8 {
		t.Errorf("log %x", p)
	}
	if b := good(t, d, "12 01 b2 00 ff"); b[4] != 11 {
		t.Errorf("exponent %d", b[4])
	}
	if !d.Plain(0) {
		t.Error("a threshold sends reads and writes to the home")
	}
}
