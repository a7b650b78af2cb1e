package scsi

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"lunar/scsi/sam"
)

func TestReceiveCopyParameters(t *testing.T) {
	in := good(t, copyDevice(), "84 03 00 00 00 00 00 00 00 00 00 00 10 00")
	want := "0000002b 01000000 0010 0040 00001000 10000000" + strings.Repeat("00", 14) + "0010 10 09 0000 000000 03 020ae4"
	if got := hex.EncodeToString(in); got != strings.ReplaceAll(want, " ", "") {
		t.Errorf("%s", got)
	}
}

// statusOf asks what became of a copy.
func statusOf(t *testing.T, d *Device, id byte) string {
	t.Helper()
	return hex.EncodeToString(good(t, d, fmt.Sprintf("84 00 %02x 00 00 00 00 00 00 00 00 00 10 00", id)))
}

// What is kept of a copy says how far it is, and is told once when it has ended.
func TestReceiveCopyStatus_GoodCopy(t *testing.T) {
	d := copyDevice()
	fails(t, d, "84 00 07 00 00 00 00 00 00 00 00 00 10 00", sam.IllegalRequest, 0x2400)
	segment := blocks(0, 0, 0, 8, 1, 100)
	list := copyListFor(7, 0, cscd(0), append(segment, segment...))
	c, p := copyCommand(t, d, list)
	d.NextSegment(c, &p)
	d.Copied(c, &p, 3, 3000)
	for range 2 {
		if got := statusOf(t, d, 7); got != "00000008"+"00"+"0001"+"00"+"00000bb8" {
			t.Errorf("in the first segment: %s", got)
		}
	}
	fails(t, d, "84 04 07 00 00 00 00 00 00 00 00 00 10 00", sam.IllegalRequest, 0x2400)
	if c, _ := copyCommand(t, d, list); c.Sense.Code != 0x0016 {
		t.Errorf("an identifier in use: %v %+v", c.Status, c.Sense)
	}
	d.NextSegment(c, &p)
	d.NextSegment(c, &p)
	d.Copied(c, &p, 2, 5<<30)
	d.EndCopy(c, &p, -1)
	if in := good(t, d, "84 04 07 00 00 00 00 00 00 00 00 00 10 00"); !bytes.Equal(in, make([]byte, 4)) {
		t.Errorf("details of no failure: %x", in)
	}
	if got := statusOf(t, d, 7); got != "00000008"+"01"+"0002"+"01"+"00500002" {
		t.Errorf("at the end: %s", got)
	}
	fails(t, d, "84 00 07 00 00 00 00 00 00 00 00 00 10 00", sam.IllegalRequest, 0x2400)
}

// A copy that failed has its sense kept too.
func TestReceiveCopyFailureDetails(t *testing.T) {
	for name, k := range map[string]struct {
		write    bool
		status   sam.Status
		sense    sam.Sense
		residual int64
		want     string
	}{
		"READ refused":    {false, sam.CheckCondition, illegal(codeRange), -1, "70000a000000000a00000001000000a0000c"},
		"WRITE refused":   {true, sam.CheckCondition, illegal(codeRange), 5, "f0000a000000050a00000001000000a00014"},
		"source fails":    {false, sam.CheckCondition, sam.NewSense(sam.MediumError, codeReadError), 0, "f0000a000000000a000000010d0100800010"},
		"held by another": {true, sam.ReservationConflict, sam.Sense{}, -1, "70000a000000000a000000010d0100a00006"},
	} {
		d := copyDevice()
		segment := blocks(0, 0, 0xffff, 8, 1, 100)
		c, p := copyCommand(t, d, copyListFor(7, 2, cscd(0), append(segment, segment...)))
		d.NextSegment(c, &p)
		d.NextSegment(c, &p)
		d.FailCopy(c, &p, k.write, k.status, k.sense)
		d.EndCopy(c, &p, k.residual)
		if got := statusOf(t, d, 7); got != "00000008"+"02"+"0002"+"00"+"00000000" {
			t.Errorf("%s: status %s", name, got)
		}
		in := good(t, d, "84 04 07 00 00 00 00 00 00 00 00 00 10 00")
		want := "0000004a" + strings.Repeat("00", 52) + "02" + "00" + "0012" + k.want
		if got := hex.EncodeToString(in); got != want {
			t.Errorf("%s: %s", name, got)
		}
		fails(t, d, "84 04 07 00 00 00 00 00 00 00 00 00 10 00", sam.IllegalRequest, 0x2400)
	}
}

// What is kept is bounded, the newest stays, and it ends with the nexus and with a reset.
func TestReceiveCopyStatus_Bounds(t *testing.T) {
	d := copyDevice()
	for id := range byte(40) {
		c, p := copyCommand(t, d, copyListFor(id, 0, cscd(0), nil))
		d.EndCopy(c, &p, -1)
	}
	if n := len(d.nexuses[0].copies); n != maxRecords || d.copying != 0 {
		t.Errorf("%d kept, %d under way", n, d.copying)
	}
	fails(t, d, "84 00 07 00 00 00 00 00 00 00 00 00 10 00", sam.IllegalRequest, 0x2400)
	statusOf(t, d, 8)
	for _, forget := range []func(){func() { d.NexusLoss(0) }, func() { d.Reset(UnitReset) }} {
		c, p := copyCommand(t, d, copyListFor(39, 0, cscd(0), nil))
		forget()
		d.EndCopy(c, &p, -1)
		d.nexuses[0].attention = 0
		fails(t, d, "84 00 27 00 00 00 00 00 00 00 00 00 10 00", sam.IllegalRequest, 0x2400)
		if d.copying != 0 {
			t.Errorf("%d under way", d.copying)
		}
	}
}

// A command that is a part of another one leaves a unit attention to whoever is to hear it.
func TestBegin_Part_LeavesTheAttention(t *testing.T) {
	d := testDevice()
	d.OpenNexus(0, nil)
	c := parse(t, "00")
	LayOutTransfer(c, false, 3, 2)
	c.Part = true
	d.Begin(c)
	if c.Action != sam.ReadMedium || c.Extent != (sam.Extent{Offset: 1536, Bytes: 1024}) {
		t.Errorf("action %d, %+v, %+v", c.Action, c.Extent, c.Sense)
	}
	LayOutTransfer(c, true, 8192, 1)
	d.Begin(c)
	wantSense(t, c, sam.IllegalRequest, 0x2100)
	fails(t, d, "00", sam.UnitAttention, 0x2900)
}
