package text

import (
	"unicode"
	"unicode/utf8"
)

// Number reads a numerical value: decimal without leading zeros, or hex behind
// 0x or 0X (RFC 3720 §5.1 [R-5.1-5]). It is false for anything else and for
// values above 2^64-1 [R-5.1-6].
func Number(v []byte) (uint64, bool) {
	if len(v) > 2 && v[0] == '0' && (v[1] == 'x' || v[1] == 'X') {
		return digits(v[2:], 16)
	}
	if len(v) > 1 && v[0] == '0' {
		return 0, false
	}
	return digits(v, 10)
}

func digits(v []byte, base uint64) (uint64, bool) {
	if len(v) == 0 {
		return 0, false
	}
	var n uint64
	for _, c := range v {
		d := digit(c)
		if d >= base || n > (1<<64-1-d)/base {
			return 0, false
		}
		n = n*base + d
	}
	return n, true
}

func digit(c byte) uint64 {
	switch {
	case '0' <= c && c <= '9':
		return uint64(c - '0')
	case 'a' <= c && c <= 'f':
		return uint64(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return uint64(c-'A') + 10
	}
	return 99
}

// Bool reads Yes or No, which are case sensitive [R-5.1-1].
func Bool(v []byte) (value, ok bool) {
	switch string(v) {
	case Yes:
		return true, true
	case No:
		return false, true
	}
	return false, false
}

// YesNo is the text of b.
func YesNo(b bool) string {
	if b {
		return Yes
	}
	return No
}

// MaxNameBytes is the longest iSCSI name (RFC 3720 §3.2.6.1 [R-3.2.6.1-2]).
const MaxNameBytes = 223

// Name checks an iSCSI name and returns it in lower case, in which names are
// compared (RFC 3720 §3.2.6.2, [R-3.2.6.2-3], RFC 7143 §4.2.7.1 [N-9]): iqn.,
// eui. or naa., at most 223 bytes of UTF-8, of ASCII only - . : and alphanumerics.
// Characters beyond ASCII are taken as the peer's stringprep left them, which is
// without spaces, punctuation, controls and capitals ([R-3.2.6.2-1], [R-3.2.6.2-2]).
func Name(v []byte) (string, bool) {
	if len(v) < 5 || len(v) > MaxNameBytes {
		return "", false
	}
	low := make([]byte, len(v))
	for i, c := range v {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		alnum := 'a' <= c && c <= 'z' || '0' <= c && c <= '9'
		if !alnum && c != '-' && c != '.' && c != ':' && c < 0x80 {
			return "", false
		}
		low[i] = c
	}
	if !prepared(low) {
		return "", false
	}
	switch string(low[:4]) {
	case "iqn.":
		// DEVIATION [D-9]: date and domain are not looked at [R-3.2.6.3.1-1].
		return string(low), true
	case "eui.":
		// RFC 3720 §3.2.6.3.2 [R-3.2.6.3.2-1]: exactly 16 hex digits.
		return string(low), len(low) == 20 && allHex(low[4:])
	case "naa.":
		// RFC 7143 §4.2.7.6 [N-8]: 16 or 32 hex digits.
		return string(low), (len(low) == 20 || len(low) == 36) && allHex(low[4:])
	}
	return "", false
}

// prepared says whether what is beyond ASCII can have come out of stringprep (RFC
// 3722 §5, §6).
func prepared(name []byte) bool {
	for len(name) > 0 {
		r, n := utf8.DecodeRune(name)
		name = name[n:]
		switch {
		case r < 0x80:
		case n == 1, !unicode.IsGraphic(r), unicode.IsSpace(r), unicode.IsPunct(r), unicode.IsUpper(r):
			return false
		}
	}
	return true
}

func allHex(v []byte) bool {
	for _, c := range v {
		if digit(c) > 15 {
			return false
		}
	}
	return true
}
