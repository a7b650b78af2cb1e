package scsi

import (
	"encoding/binary"

	"lunar/scsi/sam"
)

// Statistics are of the commands of a unit that ended, on all reactors together. The unit
// counts them; the device server writes them down.
type Statistics struct {
	Reads, Writes             uint64
	ReadBytes, WriteBytes     uint64
	ReadErrors, WriteErrors   uint64
	VerifyErrors, OtherErrors uint64
	// CacheReads are the reads that a cache before the medium was asked for, CacheHits those
	// that it had.
	CacheReads, CacheHits uint64
	// Millis is the time of day, in milliseconds since 1970 (UTC), Started when the unit was.
	// They are no counters.
	Millis, Started int64
}

// sub takes away what was counted before.
func (s *Statistics) sub(o *Statistics) {
	s.Reads -= o.Reads
	s.Writes -= o.Writes
	s.ReadBytes -= o.ReadBytes
	s.WriteBytes -= o.WriteBytes
	s.ReadErrors -= o.ReadErrors
	s.WriteErrors -= o.WriteErrors
	s.VerifyErrors -= o.VerifyErrors
	s.OtherErrors -= o.OtherErrors
	s.CacheReads -= o.CacheReads
	s.CacheHits -= o.CacheHits
}

// LOG SENSE and LOG SELECT, CDB fields (SPC-4 §6.8, §6.9).
const (
	opLogSelect = 0x4c

	pcrMask = 0x02 // LOG SELECT byte 1: reset what is counted

	logSPF     = 0x40 // first byte of a page: it is a subpage
	maxLogPage = 1024
)

// logRow is one log page.
type logRow struct {
	page, subpage byte
	name          string
	// body appends the parameters.
	body func(d *Device, s *Statistics, b []byte) []byte
	// thin pages exist on a thin unit only, cached ones where reads are cached.
	thin, cached bool
}

func (r *logRow) served(d *Device) bool {
	return (!r.thin || d.info.Thin) && (!r.cached || d.info.CacheBytes > 0)
}

// logRows are the pages in ascending order. To add a page, add a row here. It is filled by
// init because the first pages list the table they stand in.
var logRows []logRow

func init() {
	logRows = []logRow{
		{page: 0x00, name: "Supported Log Pages", body: (*Device).logSupported},
		{page: 0x00, subpage: 0xff, name: "Supported Log Pages and Subpages", body: (*Device).logSubpages},
		{page: 0x02, name: "Write Error Counters", body: func(_ *Device, s *Statistics, b []byte) []byte { return appendErrors(b, s.WriteErrors) }},
		{page: 0x03, name: "Read Error Counters", body: func(_ *Device, s *Statistics, b []byte) []byte { return appendErrors(b, s.ReadErrors) }},
		{page: 0x05, name: "Verify Error Counters", body: func(_ *Device, s *Statistics, b []byte) []byte { return appendErrors(b, s.VerifyErrors) }},
		{page: 0x06, name: "Non-Medium Errors", body: (*Device).logNonMedium},
		{page: 0x0c, name: "Logical Block Provisioning", body: (*Device).logProvisioning, thin: true},
		{page: 0x0d, name: "Temperature", body: (*Device).logTemperature},
		{page: 0x0e, name: "Start-Stop Cycle Counter", body: (*Device).logCycles},
		{page: 0x10, name: "Self-Test Results", body: (*Device).logSelfTests},
		{page: 0x15, name: "Background Scan Results", body: (*Device).logScans},
		{page: 0x19, name: "General Statistics and Performance", body: (*Device).logStatistics},
		{page: 0x19, subpage: 0x20, name: "Cache Memory Statistics", body: (*Device).logCache, cached: true},
		{page: 0x1a, name: "Power Condition Transitions", body: (*Device).logPower},
		{page: 0x2f, name: "Informational Exceptions", body: (*Device).logExceptions},
	}
}

func (d *Device) findLog(page, subpage byte) *logRow {
	for i := range logRows {
		if r := &logRows[i]; r.page == page && r.subpage == subpage && r.served(d) {
			return r
		}
	}
	return nil
}

// beginLogSense serves LOG SENSE (SPC-4 §6.9): cumulative values, which are all there are,
// and thresholds, of which there are none.
func (d *Device) beginLogSense(c *sam.Command) {
	const cumulative = 1
	switch control := c.CDB[2] >> 6; {
	case d.findLog(c.CDB[2]&0x3f, c.CDB[3]) == nil:
		failField(c, 2, 5)
	case control != cumulative:
		failField(c, 2, 7)
	case binary.BigEndian.Uint16(c.CDB[5:]) != 0:
		failField(c, 5, -1) // PARAMETER POINTER: pages are short, and come whole
	default:
		ask(c, 0, min(int64(binary.BigEndian.Uint16(c.CDB[7:])), maxLogPage))
	}
}

// beginLogSelect serves LOG SELECT (SPC-4 §6.8): counters begin anew with PCR. What they
// are at cannot be chosen, so there is no parameter list.
func (d *Device) beginLogSelect(c *sam.Command) {
	switch {
	case binary.BigEndian.Uint16(c.CDB[7:]) != 0:
		failField(c, 7, -1)
	case c.CDB[1]&pcrMask == 0:
		c.Succeed()
	default:
		ask(c, 0, 0)
	}
}

// log needs what the unit has counted.
func (d *Device) log(*sam.Command) Program { return Program{Kind: Count} }

// Counted ends a Count.
func (d *Device) Counted(c *sam.Command, s Statistics) {
	switch c.CDB[0] {
	case opLogSelect:
		d.counted = s
		return
	case opReportTimestamp, opSetTimestamp:
		d.timestamp(c, s.Millis)
		return
	}
	s.sub(&d.counted)
	r := d.findLog(c.CDB[2]&0x3f, c.CDB[3])
	first := r.page
	if r.subpage != 0 {
		first |= logSPF
	}
	b := append(d.scratch[:0], first, r.subpage, 0, 0)
	b = r.body(d, &s, b)
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)-4))
	d.scratch = b
	answer(c, b)
}

// logSupported is page 00h (SPC-4 §7.3.13), logSubpages its subpage FFh.
func (d *Device) logSupported(_ *Statistics, b []byte) []byte {
	for i := range logRows {
		if r := &logRows[i]; r.subpage == 0 && d.findLog(r.page, 0) != nil {
			b = append(b, r.page)
		}
	}
	return b
}

func (d *Device) logSubpages(_ *Statistics, b []byte) []byte {
	for i := range logRows {
		if r := &logRows[i]; d.findLog(r.page, r.subpage) != nil {
			b = append(b, r.page, r.subpage)
		}
	}
	return b
}
