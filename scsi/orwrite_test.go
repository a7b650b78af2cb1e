package scsi

import (
	"testing"

	"lunar/scsi/sam"
)

// ORWRITE is a write that says so, and that nothing comes between.
func TestOrWrite(t *testing.T) {
	d := testDevice()
	c := command(0x8b, 5, 3)
	c.CDB[1] = 0x18 // DPO and FUA
	d.Begin(c)
	want := sam.Extent{Offset: 5 * 512, Bytes: 3 * 512, FUA: true, Or: true}
	if c.Action != sam.WriteMedium || c.Extent != want || c.DataOutBytes != want.Bytes || ClassOf(c) != MediumAtomic {
		t.Errorf("%+v", c)
	}
	none := command(0x8b, 5, 0)
	if d.Begin(none); none.Action != sam.Complete || none.Status != sam.Good {
		t.Errorf("of no blocks: %+v", none)
	}
	protect := command(0x8b, 5, 1)
	protect.CDB[1] = 0x20
	d.Begin(protect)
	wantSense(t, protect, sam.IllegalRequest, 0x2400)
	writeProtected := testDevice(func(c *Config) { c.Info.ReadOnly = true })
	c = command(0x8b, 5, 3)
	writeProtected.Begin(c)
	wantSense(t, c, sam.DataProtect, 0x2700)
}
