package scsi

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"lunar/internal/conform"
	"lunar/scsi/sam"
)

func TestModeSense_PagesAndControls(t *testing.T) {
	d := testDevice()
	for _, k := range []struct {
		page, subpage byte
		want          []byte // first bytes of the pages expected
	}{
		{0x08, 0x00, []byte{0x08}},
		{0x08, 0xff, []byte{0x08}},
		{0x0a, 0x00, []byte{0x0a}},
		{0x0a, 0x01, []byte{0x4a}},
		{0x0a, 0xff, []byte{0x0a, 0x4a}},
		{0x3f, 0x00, []byte{0x01, 0x02, 0x07, 0x08, 0x0a, 0x1a, 0x1c}},
		{0x3f, 0xff, []byte{0x01, 0x02, 0x07, 0x08, 0x0a, 0x4a, 0x1a, 0x1c, 0x5c}},
	} {
		for control := range byte(3) {
			six := good(t, d, fmt.Sprintf("1a 08 %02x %02x ff", control<<6|k.page, k.subpage))
			if int(six[0]) != len(six)-1 || six[3] != 0 {
				t.Errorf("page %02x/%02x: header %x of %d bytes", k.page, k.subpage, six[:4], len(six))
			}
			ten := good(t, d, fmt.Sprintf("5a 08 %02x %02x 00 00 00 02 00", control<<6|k.page, k.subpage))
			if int(binary.BigEndian.Uint16(ten)) != len(ten)-2 || !bytes.Equal(ten[8:], six[4:]) {
				t.Errorf("page %02x/%02x: MODE SENSE(10) %x, (6) %x", k.page, k.subpage, ten, six)
			}
			if got := checkModePages(t, six[4:], control == 1); !bytes.Equal(got, k.want) {
				t.Errorf("page %02x/%02x control %d: pages %x, want %x", k.page, k.subpage, control, got, k.want)
			}
		}
		fails(t, d, fmt.Sprintf("1a 00 %02x %02x ff", 0xc0|k.page, k.subpage), sam.IllegalRequest, 0x3900)
	}
	// RFC 3720 §4 [R-4-1]: the protocol has no mode pages of its own, neither 18h nor
	// 19h.
	conform.Covers(t, "R-4-1")
	for _, text := range []string{"1a 00 18 00 ff", "1a 00 19 00 ff", "1a 00 18 01 ff", "1a 00 19 ff ff", "1a 00 00 00 ff", "1a 00 1d 00 ff", "1a 00 08 01 ff", "1a 00 0a 02 ff", "1a 00 3f 01 ff"} {
		fails(t, d, text, sam.IllegalRequest, 0x2400)
	}
}

// checkModePages walks pages by their lengths and returns their first bytes.
func checkModePages(t *testing.T, b []byte, changeable bool) (codes []byte) {
	t.Helper()
	for len(b) > 0 {
		header, n := 2, int(b[1])
		if b[0]&0x40 != 0 {
			header, n = 4, int(binary.BigEndian.Uint16(b[2:]))
		}
		if header+n > len(b) {
			t.Fatalf("page %02x of %d bytes in %d", b[0], n, len(b))
		}
		mask := make([]byte, n)
		switch b[0] {
		case 0x08:
			mask[0] = wceMask
		case 0x5c:
			maskThresholds(nil, mask)
		case 0x0a:
			mask[0], mask[2], mask[3] = dSenseMask, swpMask, tasMask
		}
		if changeable && !bytes.Equal(b[header:header+n], mask) {
			t.Errorf("page %02x: changeable %x, want %x", b[0], b[header:header+n], mask)
		}
		codes = append(codes, b[0])
		b = b[header+n:]
	}
	return codes
}

func TestModeSense_BlockDescriptors(t *testing.T) {
	d := testDevice()
	six := good(t, d, "1a 00 08 00 ff")
	if six[3] != 8 || !bytes.Equal(six[4:12], []byte{0, 0, 0x20, 0, 0, 0, 2, 0}) {
		t.Errorf("short: %x", six)
	}
	ten := good(t, d, "5a 10 08 00 00 00 00 02 00")
	if ten[4] != 1 || ten[7] != 16 || number(ten[8:16]) != "8192" || number(ten[20:24]) != "512" {
		t.Errorf("long: %x", ten)
	}
	if ten := good(t, d, "5a 18 08 00 00 00 00 02 00"); ten[4] != 0 || ten[7] != 0 || ten[8] != 0x08 {
		t.Errorf("DBD with LLBAA: %x", ten)
	}
	if ten := good(t, d, "5a 00 08 00 00 00 00 02 00"); ten[4] != 0 || ten[7] != 8 {
		t.Errorf("LLBAA clear: %x", ten)
	}
	big := testDevice(func(c *Config) { c.Info.Bytes = 1 << 45 })
	if six := good(t, big, "1a 00 08 00 ff"); !bytes.Equal(six[4:8], []byte{0xff, 0xff, 0xff, 0xff}) {
		t.Errorf("too many blocks for the short form: %x", six)
	}
}

func TestModeSense_Cut(t *testing.T) {
	d := testDevice()
	full := good(t, d, "1a 00 3f 00 ff")
	for n := range 256 {
		if in := good(t, d, fmt.Sprintf("1a 00 3f 00 %02x", n)); !bytes.Equal(in, full[:min(n, len(full))]) {
			t.Fatalf("allocation length %d: %x", n, in)
		}
	}
}
