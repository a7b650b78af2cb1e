package scsi

import (
	"testing"

	"lunar/scsi/sam"
)

const (
	reportTimestamp = "a3 0f 00 00 00 00 00 00 00 0c 00 00"
	setTimestamp    = "a4 0f 00 00 00 00 00 00 00 0c 00 00"
)

// set gives the device clock a time, at millis of the time of day.
func set(t *testing.T, d *Device, n sam.Nexus, millis int64, list string, length int) *sam.Command {
	t.Helper()
	c := parse(t, setTimestamp)
	c.Nexus = n
	in := parse(t, list)
	if _, p := serve(t, d, c, in.CDB[:length]); p.Kind == Count {
		d.Counted(c, Statistics{Millis: millis})
	}
	return c
}

// The device clock is the time of day until SET TIMESTAMP, and goes on from what that says;
// the other nexuses hear of it, and a reset changes nothing.
func TestTimestamp(t *testing.T) {
	d := testDevice()
	d.OpenNexus(0, nil)
	d.OpenNexus(1, nil)
	for n := range sam.Nexus(2) {
		d.nexuses[n].attention = 0
	}
	if b := logOf(t, d, reportTimestamp, Statistics{Millis: 0x0123_4567_89ab}); hexadecimal(b) != "000a03000123456789ab0000" {
		t.Errorf("time of day: %x", b)
	}
	if c := set(t, d, 0, 1000, "00 00 00 00 00 00 00 00 00 05 00 00", 12); c.Status != sam.Good {
		t.Fatalf("%+v", c.Sense)
	}
	if d.nexuses[0].attention != 0 || d.nexuses[1].attention != 1<<TimestampChanged {
		t.Errorf("attentions %x %x", d.nexuses[0].attention, d.nexuses[1].attention)
	}
	d.Reset(UnitReset)
	d.nexuses[0].attention = 0
	if b := logOf(t, d, reportTimestamp, Statistics{Millis: 1003}); hexadecimal(b) != "000a02000000000000080000" {
		t.Errorf("set: %x", b)
	}
	if c := set(t, d, 0, 0, "00 00 00 00 00 00", 6); c.Sense.Code != codeParameterLength {
		t.Errorf("half a list: %+v", c.Sense)
	}
	good(t, d, "a4 0f 00 00 00 00 00 00 00 00 00 00")
	fails(t, d, "a4 0f 00 00 00 00 00 00 00 0d 00 00", sam.IllegalRequest, codeParameterLength)
}

// READ BUFFER(16) reads what WRITE BUFFER wrote, and offsets beyond every buffer are refused.
func TestReadBuffer16(t *testing.T) {
	d := testDevice()
	c := parse(t, "3b 02 00 00 00 05 00 00 04 00")
	if serve(t, d, c, []byte{1, 2, 3, 4}); c.Status != sam.Good {
		t.Fatalf("%+v", c.Sense)
	}
	if b := good(t, d, "9b 02 00 00 00 00 00 00 00 06 00 00 00 02 00 00"); hexadecimal(b) != "0203" {
		t.Errorf("%x", b)
	}
	if b := good(t, d, "9b 03 00 00 00 00 00 00 00 00 00 00 00 08 00 00"); hexadecimal(b) != "00010000" {
		t.Errorf("%x", b)
	}
	fails(t, d, "9b 02 ff 00 00 00 00 00 00 06 00 00 00 02 00 00", sam.IllegalRequest, 0x2400)
	fails(t, d, "9b 02 00 00 00 00 00 00 00 06 00 00 00 02 01 00", sam.IllegalRequest, 0x2400)
}

// SECURITY PROTOCOL IN knows protocol 00h alone; REPORT REFERRALS refuses what is not on the medium.
func TestSecurityAndReferrals(t *testing.T) {
	d := testDevice()
	if b := good(t, d, "a2 00 00 01 80 00 00 00 00 01 00 00"); hexadecimal(b) != "00000000" {
		t.Errorf("certificate: %x", b)
	}
	fails(t, d, "a2 01 00 00 00 00 00 00 00 08 00 00", sam.IllegalRequest, 0x2400)
	fails(t, d, "a2 00 00 02 00 00 00 00 00 08 00 00", sam.IllegalRequest, 0x2400)
	fails(t, d, "9e 13 00 00 00 00 00 00 20 00 00 00 00 08 00 00", sam.IllegalRequest, 0x2100)
}
