package text

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"

	"lunar/internal/conform"
)

func TestBinary_Forms(t *testing.T) {
	conform.Covers(t, "R-5.1-5", "R-5.1-6")
	for _, c := range []struct {
		in, out string
		ok      bool
	}{
		{"0x00", "\x00", true},
		{"0xABcd", "\xab\xcd", true},
		{"0XabC", "\x0a\xbc", true}, // an odd number of digits
		{"0x1", "\x01", true},
		{"0bAQID", "\x01\x02\x03", true},
		{"0BAQI=", "\x01\x02", true},
		{"0bAQI", "\x01\x02", true},
		{"0bAQ==", "\x01", true},
		{"0bAQ", "\x01", true},
		{"0b+/+/", "\xfb\xff\xbf", true},
		{"0x", "", false},
		{"0b", "", false},
		{"", "", false},
		{"0", "", false},
		{"12345", "", false}, // decimal has no length
		{"0xg", "", false},
		{"0x1g2", "", false},
		{"xx12", "", false},
		{"0bA", "", false}, // n mod 4 = 1
		{"0bAQIDB", "", false},
		{"0b=", "", false},
		{"0b==", "", false},
		{"0bAQ=", "", false},
		{"0bA===", "", false},
		{"0bAQ\nID", "", false},
		{"0bAQ\r\nID", "", false},
		{"0bA=ID", "", false},
		{"0bA-_D", "", false},
	} {
		b, ok := Binary([]byte(c.in), MaxBinaryBytes)
		if ok != c.ok || ok && string(b) != c.out {
			t.Errorf("%q: %x %v", c.in, b, ok)
		}
	}
}

func TestBinary_Limit(t *testing.T) {
	for n, want := range map[int]bool{1023: true, 1024: true, 1025: false} {
		b := bytes.Repeat([]byte{0xa5}, n)
		for form, v := range map[string]string{
			"hex": Hex(b), "base64": "0b" + base64.StdEncoding.EncodeToString(b), "bare": "0b" + base64.RawStdEncoding.EncodeToString(b),
		} {
			got, ok := Binary([]byte(v), MaxBinaryBytes)
			if ok != want || ok && !bytes.Equal(got, b) {
				t.Errorf("%d bytes in %s: %v", n, form, ok)
			}
		}
	}
	if _, ok := Binary([]byte("0x"+strings.Repeat("1", 2049)), MaxBinaryBytes); ok {
		t.Error("2049 digits are 1025 bytes")
	}
}

// FuzzBinary: no input panics or passes the limit, and what was read is read again
// from what we write.
func FuzzBinary(f *testing.F) {
	f.Add([]byte("0xabc"))
	f.Add([]byte("0bAQI="))
	f.Add([]byte("0b\n"))
	f.Fuzz(func(t *testing.T, v []byte) {
		b, ok := Binary(v, 64)
		if !ok {
			return
		}
		if len(b) == 0 || len(b) > 64 {
			t.Fatalf("%d bytes", len(b))
		}
		if again, ok := Binary([]byte(Hex(b)), 64); !ok || !bytes.Equal(again, b) {
			t.Fatalf("%x came back as %x", b, again)
		}
	})
}
