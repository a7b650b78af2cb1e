package scsi

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"lunar/scsi/sam"
)

// copyListLID4 is a parameter list of EXTENDED COPY(LID4), in which the first CSCD descriptor
// has ID 1.
func copyListLID4(id uint32, flags, usage byte, cscds, segments []byte) []byte {
	b := make([]byte, 48, 48+len(cscds)+len(segments))
	b[0], b[1], b[3], b[15], b[16] = 1, usage<<3, 0x20, flags, 0xff
	binary.BigEndian.PutUint32(b[20:], id)
	binary.BigEndian.PutUint16(b[42:], uint16(len(cscds)))
	binary.BigEndian.PutUint16(b[44:], uint16(len(segments)))
	return append(append(b, cscds...), segments...)
}

func copyCommandLID4(t testing.TB, d *Device, list []byte) (*sam.Command, Program) {
	t.Helper()
	c := parse(t, fmt.Sprintf("83 01 00 00 00 00 00 00 00 00 %08x", len(list)))
	c.Path = &copyUnits
	_, p := serve(t, d, c, list)
	return c, p
}

func TestExtendedCopyLID4_WrongLists(t *testing.T) {
	segment := blocks(0, 1, 1, 8, 0, 100)
	good := copyListLID4(1<<24, 0, 0, cscd(0), segment)
	for name, k := range map[string]struct {
		list []byte
		code uint16
		// at is the byte pointed to, of the CDB when negative, nowhere when 0x1000.
		at int
	}{
		"no header":               {good[:47], 0x1a00, -10},
		"longer than any":         {make([]byte, 48+4096+1), 0x1a00, -10},
		"less than promised":      {good[:len(good)-1], 0x1a00, 42},
		"another format":          {change(good, 0, 2), 0x2600, 0},
		"length of header CSCD":   {change(good, 3, 0x40), 0x2600, 2},
		"type of header CSCD":     {change(good, 16, 0xe4), 0x2600, 16},
		"G_SENSE":                 {change(good, 15, 2), 0x2600, 15},
		"G_SENSE, IMMED":          {change(good, 15, 3), 0x2400, 0x1000},
		"IMMED without list":      {copyListLID4(0, 1, 3, cscd(0), segment), 0x2400, 0x1000},
		"an identifier with none": {change(good, 1, 3<<3), 0x2600, 20},
		"inline data":             {change(good, 47, 1), 0x260b, 46},
		"17 CSCDs":                {copyListLID4(1, 0, 0, bytes.Repeat(cscd(0), 17), segment), 0x2606, 42},
		"65 segments":             {copyListLID4(1, 0, 0, cscd(0), bytes.Repeat(segment, 65)), 0x2608, 44},
		"Fibre Channel CSCD":      {change(good, 48, 0xe0), 0x2607, 48},
		"stream segment":          {change(good, 80, 0x03), 0x2609, 80},
	} {
		d := copyDevice()
		c, p := copyCommandLID4(t, d, k.list)
		if c.Status != sam.CheckCondition || c.Sense.Key != sam.IllegalRequest || c.Sense.Code != k.code || p.Kind != 0 {
			t.Errorf("%s: %v %+v, program %d", name, c.Status, c.Sense, p.Kind)
		}
		if f := c.Sense.Field; f.Valid != (k.at < 0x1000) || f.Valid && (f.InCDB != (k.at < 0) || int(f.Byte) != max(k.at, -k.at)) {
			t.Errorf("%s: pointer %+v, want %d", name, f, k.at)
		}
	}
}

// IDs of CSCD descriptors count from the start of the list, in which the header takes the
// place of the first.
func TestExtendedCopyLID4_Segments(t *testing.T) {
	for name, k := range map[string]struct {
		cscds, segment []byte
		want           Segment
		sense          sam.Sense
	}{
		"first and second": {append(cscd(0), cscd(1)...), blocks(0, 1, 2, 8, 1, 100), Segment{0, 1, 1, 100, 4096, false}, sam.Sense{}},
		"immediately":      {cscd(0), blocks(0, 1, 1, 8, 1, 100), Segment{0, 0, 1, 100, 4096, false}, sam.Sense{}},
		"the header":       {cscd(0), blocks(0, 0, 1, 8, 1, 100), Segment{}, copyAborted(codeUnreachable).AtSegment(0, 4)},
		"behind the last":  {cscd(0), blocks(0, 1, 2, 8, 1, 100), Segment{}, copyAborted(codeUnreachable).AtSegment(0, 6)},
		"a unit not seen":  {change(cscd(0), 9, 9), blocks(0, 1, 1, 8, 1, 100), Segment{}, copyAborted(codeNotReachable).AtCSCD(0, 48)},
	} {
		d := copyDevice()
		c, p := copyCommandLID4(t, d, copyListLID4(1<<24, 1, 0, k.cscds, k.segment))
		s, ok := d.NextSegment(c, &p)
		if ok != (k.want != Segment{}) || ok && s != k.want || c.Sense != k.sense {
			t.Errorf("%s: %+v, %v %+v", name, s, c.Status, c.Sense)
		}
	}
}

// statusLID4 asks what became of a copy.
func statusLID4(t *testing.T, d *Device, id uint32) string {
	t.Helper()
	return hex.EncodeToString(good(t, d, fmt.Sprintf("84 05 %08x 00 00 00 00 00 00 10 00", id)))
}

// RECEIVE COPY STATUS(LID4) tells of every copy, as often as it is asked.
func TestReceiveCopyStatusLID4(t *testing.T) {
	segment := blocks(0, 1, 1, 8, 1, 100)
	for name, k := range map[string]struct {
		end  func(d *Device, c *sam.Command, p *Program)
		want string
	}{
		"under way": {func(*Device, *sam.Command, *Program) {}, "0000001c 01 11 0003 000003e8 00 00 00 00"},
		"done":      {func(d *Device, c *sam.Command, p *Program) { d.EndCopy(c, p, -1) }, "0000001c 01 01 0003 fffffffe 00 00 00 00"},
		"terminated": {func(d *Device, c *sam.Command, p *Program) {
			c.End(sam.TaskAborted)
			d.EndCopy(c, p, 3)
		}, "0000001c 01 60 0003 fffffffe 40 00 00 00"},
		"failed": {func(d *Device, c *sam.Command, p *Program) {
			d.FailCopy(c, p, true, sam.Busy, sam.Sense{})
			d.EndCopy(c, p, 3)
		}, "00000030 01 02 0003 fffffffe 02 14 12 00"},
	} {
		d := copyDevice()
		c, p := copyCommandLID4(t, d, copyListLID4(1<<24|7, 0, 0, cscd(0), segment))
		d.NextSegment(c, &p)
		d.Copied(c, &p, 3, 5<<32)
		k.end(d, c, &p)
		want := strings.ReplaceAll(k.want, " ", "") + "0000000500000000" + "0001" + "000000000000"
		if name == "failed" {
			want += "f0000a000000030a000000000d01008000300000"
		}
		for range 2 {
			if got := statusLID4(t, d, 1<<24|7); got != want {
				t.Errorf("%s: %s, want %s", name, got, want)
			}
		}
		fails(t, d, "84 05 00 00 00 07 00 00 00 00 00 00 10 00", sam.IllegalRequest, 0x2400)
		fails(t, d, "84 00 07 00 00 00 00 00 00 00 00 00 10 00", sam.IllegalRequest, 0x2400)
		fails(t, d, "84 04 07 00 00 00 00 00 00 00 00 00 10 00", sam.IllegalRequest, 0x2400)
	}
}

// Identifiers of one byte and of four are the same; two formats do not share one.
func TestExtendedCopy_IdentifiersOfBothFormats(t *testing.T) {
	d := copyDevice()
	segment := blocks(0, 0, 0, 8, 1, 100)
	c, p := copyCommand(t, d, copyListFor(7, 0, cscd(0), segment))
	lid4 := copyListLID4(7, 0, 0, cscd(0), nil)
	if c, _ := copyCommandLID4(t, d, lid4); c.Sense != illegal(codeInvalidParameter).AtParameter(20) {
		t.Errorf("in use by the other format: %v %+v", c.Status, c.Sense)
	}
	d.EndCopy(c, &p, -1)
	statusOf(t, d, 7)
	if got := statusLID4(t, d, 7); got[8:12] != "0001" {
		t.Errorf("status of a copy of LID1: %s", got)
	}
	if _, p := copyCommandLID4(t, d, lid4); p.Kind != Copy {
		t.Error("an identifier that is free again")
	}
	if c, _ := copyCommandLID4(t, d, lid4); c.Sense != illegal(codeInProgress).AtParameter(20) {
		t.Errorf("in use: %v %+v", c.Status, c.Sense)
	}
}

// COPY OPERATION ABORT is for a copy of the same nexus that is under way.
func TestCopyOperationAbort(t *testing.T) {
	d := copyDevice()
	d.OpenNexus(1, nil)
	d.nexuses[1].attention = 0
	c, p := copyCommandLID4(t, d, copyListLID4(0x1020304, 0, 0, cscd(0), blocks(0, 1, 1, 8, 1, 100)))
	const cdb = "83 1c 01 02 03 04"
	fails(t, d, "83 1c 00 00 00 04", sam.IllegalRequest, 0x2400)
	other := parse(t, cdb)
	other.Nexus = 1
	serve(t, d, other, nil)
	wantSense(t, other, sam.IllegalRequest, 0x2400)

	a := parse(t, cdb)
	_, plan := serve(t, d, a, nil)
	if a.Status != sam.Good || plan.Kind != AbortCopy || !plan.Aborts(&p) {
		t.Fatalf("%v %+v", a.Status, plan)
	}
	if _, q := copyCommandLID4(t, d, copyListLID4(5, 0, 0, cscd(0), nil)); plan.Aborts(&q) {
		t.Error("it is for another copy")
	}
	d.Begin(a)
	d.ClearCopy(c)
	d.EndCopy(c, &p, -1)
	wantSense(t, c, sam.CopyAborted, 0x2f02)
	if d.Execute(a); a.Sense.Code != 0x2400 {
		t.Errorf("a copy that has just ended: %v %+v", a.Status, a.Sense)
	}
	fails(t, d, cdb, sam.IllegalRequest, 0x2400)
}

// A persistent reservation of another nexus keeps out what makes and ends copies, and not what
// tells of them (SPC-4 table 65).
func TestCopies_WhileAnotherHoldsTheUnit(t *testing.T) {
	const writeExclusive = 1
	d := persistDevice(t)
	must(t, d, 1, proutRegister, 0, list(0, 0xa, 0))
	c, p := copyCommand(t, d, copyListFor(7, 0, cscd(0), nil))
	d.EndCopy(c, &p, -1)
	_, running := copyCommand(t, d, copyListFor(8, 0, cscd(0), nil))
	must(t, d, 1, proutReserve, writeExclusive, list(0xa, 0, 0))
	for cdb, want := range map[string]sam.Status{
		"83 00 00 00 00 00 00 00 00 00 00 00 00 10": sam.ReservationConflict,
		"83 01 00 00 00 00 00 00 00 00 00 00 00 30": sam.ReservationConflict,
		"83 1c 00 00 00 08":                         sam.ReservationConflict,
		"84 00 07 00 00 00 00 00 00 00 00 00 00 10": sam.Good,
		"84 03 00 00 00 00 00 00 00 00 00 00 00 10": sam.Good,
		"84 04 07 00 00 00 00 00 00 00 00 00 00 10": sam.Good,
		"84 05 00 00 00 07 00 00 00 00 00 00 00 10": sam.Good,
	} {
		c := parse(t, cdb)
		if serve(t, d, c, nil); c.Status != want {
			t.Errorf("%s: status %02x, sense %04x, want %02x", cdb, c.Status, c.Sense.Code, want)
		}
	}
	if running.Kind != Copy {
		t.Error("the copy that runs")
	}
}
