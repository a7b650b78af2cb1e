package scsi

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lunar/scsi/sam"
)

var update = flag.Bool("update", false, "rewrite the golden pages in testdata")

// field is one decoded field of a page: bytes at offset, and what they say.
type field struct {
	at, bytes int
	name      string
	show      func(b []byte) string
}

func number(b []byte) string {
	v := uint64(0)
	for _, x := range b {
		v = v<<8 | uint64(x)
	}
	return fmt.Sprint(v)
}

func hexadecimal(b []byte) string { return fmt.Sprintf("%x", b) }
func quoted(b []byte) string      { return fmt.Sprintf("%q", b) }

// page is one golden page: the command that reads it and how it decodes. Decode
// is written from the standard, not from the code that builds the page.
type page struct {
	file, cdb, section string
	fields             []field
}

var vpdHeader = []field{
	{0, 1, "peripheral", hexadecimal}, {1, 1, "page code", hexadecimal}, {2, 2, "page length", number},
}

var goldenPages = []page{
	{"inquiry", "12 00 00 02 00", "SPC-4 §6.6.2", []field{
		{0, 1, "peripheral", hexadecimal},
		{1, 1, "RMB", hexadecimal},
		{2, 1, "version", hexadecimal},
		{3, 1, "NORMACA HISUP format", hexadecimal},
		{4, 1, "additional length", number},
		{5, 3, "SCCS..CMDQUE", hexadecimal},
		{8, 8, "vendor", quoted},
		{16, 16, "product", quoted},
		{32, 4, "revision", quoted},
		{36, 22, "vendor specific", hexadecimal},
		{58, 2, "SAM-5", hexadecimal},
		{60, 2, "iSCSI", hexadecimal},
		{62, 2, "SPC-4", hexadecimal},
		{64, 2, "SBC-3", hexadecimal},
		{66, 30, "no more descriptors", hexadecimal},
	}},
	{"vpd-00", "12 01 00 02 00", "SPC-4 §7.8.15", append(vpdHeader, field{4, -1, "pages", hexadecimal})},
	{"vpd-80", "12 01 80 02 00", "SPC-4 §7.8.17", append(vpdHeader, field{4, -1, "serial", quoted})},
	{"vpd-83", "12 01 83 02 00", "SPC-4 §7.8.6", append(vpdHeader,
		field{4, 4, "unit, binary, NAA", hexadecimal}, field{8, 16, "NAA 6h", hexadecimal},
		field{24, 4, "unit, ASCII, T10 vendor", hexadecimal}, field{28, 8, "vendor", quoted}, field{36, 32, "serial", quoted},
		field{68, 4, "port, binary, relative port", hexadecimal}, field{72, 4, "relative port", number},
		field{76, 4, "port, binary, port group", hexadecimal}, field{80, 4, "target port group", number},
		field{84, 4, "port, UTF-8, name", hexadecimal}, field{88, 44, "port name", quoted},
		field{132, 4, "target, UTF-8, name", hexadecimal}, field{136, -1, "target name", quoted})},
	{"vpd-84", "12 01 84 02 00", "SPC-4 §7.8.16", append(vpdHeader,
		field{4, 3, "company", hexadecimal}, field{7, 3, "interface", hexadecimal})},
	{"vpd-85", "12 01 85 02 00", "SPC-4 §7.8.9", append(vpdHeader,
		field{4, 1, "association, service", hexadecimal}, field{5, 1, "reserved", hexadecimal}, field{6, 2, "length", number}, field{8, -1, "address", quoted})},
	{"vpd-86", "12 01 86 02 00", "SPC-4 §7.8.7", append(vpdHeader,
		field{4, 1, "ACTIVATE_MICROCODE SPT GRD_CHK..", hexadecimal}, field{5, 1, "GROUP_SUP PRIOR_SUP HEADSUP ORDSUP SIMPSUP", hexadecimal},
		field{6, 1, "WU_SUP..V_SUP", hexadecimal}, field{7, 1, "P_I_I_SUP LUICLR", hexadecimal}, field{8, 5, "R_SUP..self-test time", hexadecimal},
		field{13, 1, "maximum sense", number}, field{14, -1, "reserved", hexadecimal})},
	{"vpd-87", "12 01 87 02 00", "SPC-4 §7.8.10", append(vpdHeader,
		field{4, 1, "mode page", hexadecimal}, field{5, 1, "subpage", hexadecimal}, field{6, 1, "MLUS, policy", hexadecimal}, field{7, 1, "reserved", hexadecimal})},
	{"vpd-88", "12 01 88 02 00", "SPC-4 §7.8.14", append(vpdHeader,
		field{4, 4, "relative port", number}, field{8, 4, "no initiator port", hexadecimal}, field{12, 4, "target port descriptors", number},
		field{16, 4, "port, UTF-8, name", hexadecimal}, field{20, 44, "port name", quoted},
		field{64, 4, "relative port", number}, field{68, 4, "no initiator port", hexadecimal}, field{72, 4, "target port descriptors", number},
		field{76, 4, "port, UTF-8, name", hexadecimal}, field{80, 44, "port name", quoted})},
	{"vpd-8f", "12 01 8f 02 00", "SPC-4 §7.8.17", append(vpdHeader,
		field{4, 4, "block device ROD limits, length", hexadecimal}, field{8, 6, "vendor specific", hexadecimal},
		field{14, 2, "maximum range descriptors", number}, field{16, 4, "maximum inactivity timeout", number},
		field{20, 4, "default inactivity timeout", number}, field{24, 8, "maximum token transfer size", number},
		field{32, 8, "optimal transfer count", number},
		field{40, 4, "supported commands, length", hexadecimal}, field{44, 1, "list length", number},
		field{45, 7, "EXTENDED COPY: LID1, LID4, POPULATE TOKEN, WRITE USING TOKEN, abort", hexadecimal},
		field{52, 8, "RECEIVE COPY: status, parameters, failure details, status LID4, ROD token information, all ROD tokens", hexadecimal},
		field{60, 4, "parameter data, length", hexadecimal}, field{64, 4, "reserved", hexadecimal},
		field{68, 2, "maximum CSCD descriptors", number}, field{70, 2, "maximum segment descriptors", number},
		field{72, 4, "maximum descriptor list", number}, field{76, 4, "maximum inline data", number}, field{80, 12, "reserved", hexadecimal},
		field{92, 4, "supported descriptors, length", hexadecimal}, field{96, 1, "list length", number}, field{97, 3, "type codes", hexadecimal},
		field{100, 4, "supported CSCD IDs, length", hexadecimal}, field{104, 2, "list length", number}, field{106, 2, "the unit itself", hexadecimal},
		field{108, 4, "ROD token features, length", hexadecimal}, field{112, 1, "REMOTE TOKENS", hexadecimal}, field{113, 11, "reserved", hexadecimal},
		field{124, 4, "minimum token lifetime", number}, field{128, 4, "maximum token lifetime", number},
		field{132, 4, "maximum inactivity timeout", number}, field{136, 18, "reserved", hexadecimal}, field{154, 2, "features length", number},
		field{156, 2, "format, type", hexadecimal}, field{158, 2, "descriptor length", number}, field{160, 4, "optimal granularity", number},
		field{164, 8, "maximum bytes in block ROD", number}, field{172, 8, "optimal bytes in block ROD transfer", number},
		field{180, 8, "optimal bytes to token per segment", number}, field{188, 8, "optimal bytes from token per segment", number},
		field{196, 8, "reserved", hexadecimal},
		field{204, 4, "supported ROD types, length", hexadecimal}, field{208, 2, "reserved", hexadecimal}, field{210, 2, "list length", number},
		field{212, 4, "point in time copy - change vulnerable", hexadecimal}, field{216, 1, "ECPY_INT TOKEN_IN TOKEN_OUT", hexadecimal}, field{217, 59, "preference, reserved", hexadecimal},
		field{276, 4, "block device zero", hexadecimal}, field{280, 1, "ECPY_INT TOKEN_IN TOKEN_OUT", hexadecimal}, field{281, 59, "preference, reserved", hexadecimal},
		field{340, 4, "general copy operations, length", hexadecimal}, field{344, 4, "total concurrent copies", number},
		field{348, 4, "identified concurrent copies", number}, field{352, 4, "maximum segment length", number},
		field{356, 1, "data segment granularity", number}, field{357, 1, "inline data granularity", number}, field{358, 18, "reserved", hexadecimal},
		field{376, 4, "held data, length", hexadecimal}, field{380, 4, "held data limit", number}, field{384, 1, "granularity", number},
		field{385, -1, "reserved", hexadecimal})},
	{"groups", "a3 2a 00 00 00 00 00 00 02 00", "SPC-4 §6.37", []field{
		{0, 4, "length", number},
		{4, 4, "format", hexadecimal},
		{8, 1, "PREF, state", hexadecimal},
		{9, 1, "supported", hexadecimal},
		{10, 2, "group", number},
		{12, 2, "status", number},
		{14, 1, "vendor", number},
		{15, 1, "ports", number},
		{16, 4, "relative port", number},
		{20, 1, "PREF, state", hexadecimal},
		{21, 1, "supported", hexadecimal},
		{22, 2, "group", number},
		{24, 2, "status", number},
		{26, 1, "vendor", number},
		{27, 1, "ports", number},
		{28, 4, "relative port", number},
	}},
	{"vpd-b0", "12 01 b0 02 00", "SBC-3 §6.6.3", append(vpdHeader,
		field{4, 1, "WSNZ", hexadecimal}, field{5, 1, "COMPARE AND WRITE", number}, field{6, 2, "optimal granularity", number},
		field{8, 4, "maximum transfer", number}, field{12, 4, "optimal transfer", number}, field{16, 4, "maximum prefetch", number},
		field{20, 4, "maximum unmap LBAs", number}, field{24, 4, "maximum unmap descriptors", number},
		field{28, 4, "unmap granularity", number}, field{32, 4, "UGAVALID, alignment", hexadecimal},
		field{36, 8, "maximum WRITE SAME", number}, field{44, 20, "atomic limits", hexadecimal})},
	{"vpd-b1", "12 01 b1 02 00", "SBC-3 §6.6.2", append(vpdHeader,
		field{4, 2, "rotation rate", hexadecimal}, field{6, 2, "product type, form factor", hexadecimal},
		field{8, 1, "FUAB VBULS", hexadecimal}, field{9, -1, "reserved", hexadecimal})},
	{"vpd-b2", "12 01 b2 02 00", "SBC-3 §6.6.4", append(vpdHeader,
		field{4, 1, "threshold exponent", number}, field{5, 1, "LBPU LBPWS LBPWS10 LBPRZ ANC_SUP DP", hexadecimal},
		field{6, 1, "provisioning type", hexadecimal}, field{7, 1, "threshold percentage", number})},
	{"vpd-b3", "12 01 b3 02 00", "SBC-3 §6.6.6", append(vpdHeader,
		field{4, 4, "reserved", hexadecimal}, field{8, 4, "segment size", number}, field{12, 4, "segment multiplier", number})},
	{"vpd-b7", "12 01 b7 02 00", "SBC-4 §6.6.5", append(vpdHeader,
		field{4, 1, "reserved", hexadecimal}, field{5, 1, "RSCS", hexadecimal}, field{6, 2, "streams", number}, field{8, 2, "optimal stream write", number},
		field{10, 4, "stream granularity", number}, field{14, 4, "scattered range", number}, field{18, 2, "scattered descriptors", number},
		field{20, 4, "scattered transfer", number}, field{24, -1, "reserved", hexadecimal})},
	{"vpd-b9", "12 01 b9 02 00", "SBC-4 §6.6.6", append(vpdHeader,
		field{4, 60, "reserved", hexadecimal}, field{64, 1, "range", number}, field{65, 1, "storage elements", number}, field{66, 6, "reserved", hexadecimal},
		field{72, 8, "lowest LBA", number}, field{80, 8, "blocks", number}, field{88, 8, "reserved", hexadecimal})},
	{"referrals", "9e 13 00 00 00 00 00 00 00 00 00 00 02 00 00 00", "SBC-3 §5.20", []field{
		{0, 2, "reserved", hexadecimal},
		{2, 2, "length", number},
		{4, 3, "reserved", hexadecimal},
		{7, 1, "groups", number},
		{8, 8, "first LBA", number},
		{16, 8, "last LBA", number},
		{24, 1, "state", hexadecimal},
		{25, 1, "reserved", hexadecimal},
		{26, 2, "group", number},
		{28, 1, "state", hexadecimal},
		{29, 1, "reserved", hexadecimal},
		{30, 2, "group", number},
	}},
	{"security", "a2 00 00 00 00 00 00 00 02 00", "SPC-4 §7.7.1", []field{
		{0, 6, "reserved", hexadecimal}, {6, 2, "length", number}, {8, 1, "protocol", hexadecimal},
	}},
	{"mode-all", "5a 10 3f ff 00 00 00 02 00", "SPC-4 §7.5", []field{
		{0, 2, "mode data length", number},
		{2, 1, "medium type", hexadecimal},
		{3, 1, "WP DPOFUA", hexadecimal},
		{4, 1, "LONGLBA", hexadecimal},
		{5, 1, "reserved", hexadecimal},
		{6, 2, "descriptor length", number},
		{8, 8, "blocks", number},
		{16, 4, "reserved", hexadecimal},
		{20, 4, "block length", number},
		{24, 2, "error recovery page, length", hexadecimal},
		{26, 10, "AWRE.., retries", hexadecimal},
		{36, 2, "disconnect page, length", hexadecimal},
		{38, 14, "ratios, limits", hexadecimal},
		{52, 2, "verify recovery page, length", hexadecimal},
		{54, 10, "EER.., retries", hexadecimal},
		{64, 2, "caching page, length", hexadecimal},
		{66, 1, "WCE RCD", hexadecimal},
		{67, 17, "retention..NV_DIS", hexadecimal},
		{84, 2, "control page, length", hexadecimal},
		{86, 1, "TST D_SENSE", hexadecimal},
		{87, 1, "queue algorithm, QERR", hexadecimal},
		{88, 4, "SWP, ATO TAS", hexadecimal},
		{92, 2, "busy timeout", hexadecimal},
		{94, 2, "self-test time", number},
		{96, 4, "control extension page, length", hexadecimal},
		{100, 2, "TCMOS.., priority", hexadecimal},
		{102, 1, "maximum sense", number},
		{103, 25, "reserved", hexadecimal},
		{128, 2, "power condition page, length", hexadecimal},
		{130, 38, "timers", hexadecimal},
		{168, 2, "informational exceptions page, length", hexadecimal},
		{170, 1, "PERF..LOGERR", hexadecimal},
		{171, 1, "MRIE", hexadecimal},
		{172, 8, "interval, report count", hexadecimal},
		{180, 4, "provisioning page, length", hexadecimal},
		{184, 12, "SITUA", hexadecimal},
		{196, 1, "ENABLED, type, arming", hexadecimal},
		{197, 1, "resource", number},
		{198, 2, "reserved", hexadecimal},
		{200, 4, "threshold", number},
	}},
	{"capacity-16", "9e 10 00 00 00 00 00 00 00 00 00 00 00 20", "SBC-3 §5.16.2", []field{
		{0, 8, "last LBA", number},
		{8, 4, "block length", number},
		{12, 1, "P_TYPE PROT_EN", hexadecimal},
		{13, 1, "P_I_EXPONENT LBPPBE", hexadecimal},
		{14, 2, "LBPME LBPRZ, lowest aligned", hexadecimal},
		{16, 16, "reserved", hexadecimal},
	}},
	{"lba-status", "9e 12 00 00 00 00 00 00 00 0a 00 00 00 38 00 00", "SBC-3 §5.4.2", []field{
		{0, 4, "parameter data length", number},
		{4, 4, "reserved", hexadecimal},
		{8, 8, "LBA", number},
		{16, 4, "blocks", number},
		{20, 1, "status", number},
		{21, 3, "reserved", hexadecimal},
		{24, 8, "LBA", number},
		{32, 4, "blocks", number},
		{36, 1, "status", number},
		{37, 3, "reserved", hexadecimal},
		{40, 8, "LBA", number},
		{48, 4, "blocks", number},
		{52, 1, "status", number},
		{53, 3, "reserved", hexadecimal},
	}},
}

// goldenMedium has a few blocks that are deallocated.
func goldenMedium(d *Device) *medium {
	m := newMedium(d)
	m.states = make(map[uint64]byte)
	for lba := uint64(16); lba < 40; lba++ {
		m.states[lba] = provisioningDeallocated
	}
	return m
}

// read serves the command of a page, and its program if it has one.
func (p *page) read(t *testing.T, d *Device) []byte {
	t.Helper()
	c := parse(t, p.cdb)
	goldenMedium(d).do(t, d, c, nil)
	if c.Status != sam.Good {
		t.Fatalf("%s: %v %+v", p.cdb, c.Status, c.Sense)
	}
	return c.Buffer[:c.DataInBytes]
}

// render writes a page as hex beside what it means. Every byte stands in exactly
// one field, or the page is not understood.
func (p *page) render(t *testing.T, b []byte) string {
	t.Helper()
	out := fmt.Sprintf("# %s, CDB %s\n", p.section, p.cdb)
	next := 0
	for _, f := range p.fields {
		n := f.bytes
		if n < 0 {
			n = len(b) - f.at
		}
		if f.at != next || f.at+n > len(b) {
			t.Fatalf("%s: field %q at %d of %d, %d bytes, after byte %d", p.file, f.name, f.at, len(b), n, next)
		}
		next = f.at + n
		for i := f.at; i < next; i += 16 {
			text := ""
			if i == f.at {
				text = "  " + f.name + " = " + f.show(b[f.at:next])
			}
			out += strings.TrimRight(fmt.Sprintf("%04x  %-32x%s", i, b[i:min(i+16, next)], text), " ") + "\n"
		}
	}
	if next != len(b) {
		t.Fatalf("%s: %d of %d bytes decoded", p.file, next, len(b))
	}
	return out
}

func TestGoldenPages(t *testing.T) {
	for i := range goldenPages {
		goldenPages[i].check(t, testDevice())
	}
}

// check compares a page of a unit with what stands in testdata, or puts it there.
func (p *page) check(t *testing.T, d *Device) {
	t.Helper()
	got := p.render(t, p.read(t, d))
	path := filepath.Join("testdata", p.file+".txt")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is now:\n%s\nwant:\n%s", path, got, want)
	}
}

// Every VPD page has a golden page, is listed in order, and reads with the page
// code and length that its bytes have, at every allocation length.
func TestVPD_EveryListedPageReads(t *testing.T) {
	golden := make(map[string]bool)
	for i := range goldenPages {
		golden[goldenPages[i].file] = true
	}
	d := testDevice()
	list := good(t, d, "12 01 00 02 00")[4:]
	if len(list) != len(vpdRows) {
		t.Fatalf("%d pages listed, %d rows", len(list), len(vpdRows))
	}
	for i, code := range list {
		if i > 0 && list[i-1] >= code {
			t.Errorf("page %02x after %02x", code, list[i-1])
		}
		if !golden[fmt.Sprintf("vpd-%02x", code)] {
			t.Errorf("page %02x has no golden page", code)
		}
		full := good(t, d, fmt.Sprintf("12 01 %02x 02 00", code))
		if full[1] != code || int(binary.BigEndian.Uint16(full[2:])) != len(full)-4 {
			t.Errorf("page %02x: header %x, %d bytes", code, full[:4], len(full))
		}
		for n := range len(full) + 2 {
			cut := good(t, d, fmt.Sprintf("12 01 %02x %04x", code, n))
			if string(cut) != string(full[:min(n, len(full))]) {
				t.Fatalf("page %02x cut to %d: %x", code, n, cut)
			}
		}
	}
	for code := range 256 {
		c := parse(t, fmt.Sprintf("12 01 %02x 02 00", code))
		serve(t, d, c, nil)
		if want := bytes.IndexByte(list, byte(code)) >= 0; want != (c.Status == sam.Good) {
			t.Errorf("page %02x: status %d, listed %v", code, c.Status, want)
		}
	}
}
