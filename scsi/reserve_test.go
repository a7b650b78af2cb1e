package scsi

import (
	"fmt"
	"testing"

	"lunar/scsi/sam"
)

// statusFor is how a command of a nexus begins.
func statusFor(t *testing.T, d *Device, n sam.Nexus, cdb string) sam.Status {
	t.Helper()
	c := parse(t, cdb)
	c.Nexus = n
	if plain := d.Plain(n) && d.BeginPlain(c); plain {
		return c.Status
	}
	d.Begin(c)
	if c.Action == sam.Execute {
		c.Buffer = make([]byte, max(c.DataInBytes, c.DataOutBytes))
		c.Received = int(c.DataOutBytes)
		d.Execute(c)
	}
	return c.Status
}

// reservedDevice is a unit that nexus 0 has reserved; 0 and 1 have no attention.
func reservedDevice(t *testing.T, cdb string) *Device {
	t.Helper()
	d := testDevice()
	for n := range sam.Nexus(2) {
		d.OpenNexus(n, nil)
		statusFor(t, d, n, "00")
	}
	if s := statusFor(t, d, 0, cdb); s != sam.Good {
		t.Fatalf("%s: %v", cdb, s)
	}
	return d
}

// SPC-2 table 10: what another nexus may do while the unit is reserved. The holder may
// do everything, past the device server too.
func TestReserve_KeepsOthersOut(t *testing.T) {
	const read, write = "28 00 00 00 00 00 00 00 01", "2a 00 00 00 00 00 00 00 01"
	for _, size := range []string{"16", "56"} {
		d := reservedDevice(t, size)
		for _, cdb := range []string{"00", read, write, "16", "56", "25", "1a 00 3f 00 ff", "1b 00 00 00 01", "35", "42 00 00 00 00 00 00 00 08"} {
			if s := statusFor(t, d, 1, cdb); s != sam.ReservationConflict {
				t.Errorf("%s of another nexus: %v", cdb, s)
			}
			if cdb != "42 00 00 00 00 00 00 00 08" {
				if s := statusFor(t, d, 0, cdb); s != sam.Good {
					t.Errorf("%s of the holder: %v", cdb, s)
				}
			}
		}
		for _, cdb := range []string{"12 00 00 00 60", "03 00 00 00 12", "a0 00 00 00 00 00 00 00 00 40", "17", "57"} {
			if s := statusFor(t, d, 1, cdb); s != sam.Good {
				t.Errorf("%s of another nexus: %v", cdb, s)
			}
		}
		if !d.Plain(0) || d.Plain(1) {
			t.Errorf("plain: holder %v, other %v", d.Plain(0), d.Plain(1))
		}
		if s := statusFor(t, d, 1, read); s != sam.ReservationConflict {
			t.Errorf("after the other's RELEASE: %v", s)
		}
	}
}

// A reservation ends by RELEASE of its holder, by the loss of its nexus and by every
// reset.
func TestReserve_Ends(t *testing.T) {
	for name, end := range map[string]func(d *Device){
		"RELEASE(6)":  func(d *Device) { statusFor(t, d, 0, "17") },
		"RELEASE(10)": func(d *Device) { statusFor(t, d, 0, "57") },
		"loss": func(d *Device) {
			if !d.NexusLoss(0) || d.NexusLoss(0) {
				t.Error("who hears of the end")
			}
		},
		"LU reset": func(d *Device) { d.Reset(UnitReset) },
		"power on": func(d *Device) { d.Reset(PowerOn) },
	} {
		d := reservedDevice(t, "16")
		if d.NexusLoss(1) {
			t.Errorf("%s: the loss of another nexus ended it", name)
		}
		statusFor(t, d, 1, "00") // takes the attention
		end(d)
		statusFor(t, d, 1, "00")
		if s := statusFor(t, d, 1, "16"); s != sam.Good {
			t.Errorf("after %s: %v", name, s)
		}
	}
}

// What would reserve less, or for somebody else, is refused.
func TestReserve_ThirdPartiesAndExtents(t *testing.T) {
	d := reservedDevice(t, "16")
	for _, b := range []byte{0x01, 0x10} {
		fails(t, d, fmt.Sprintf("16 %02x", b), sam.IllegalRequest, 0x2400)
		fails(t, d, fmt.Sprintf("57 %02x", b), sam.IllegalRequest, 0x2400)
	}
}
