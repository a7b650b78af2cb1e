package pi

// polynomial is that of the LOGICAL BLOCK GUARD (SBC-4 §4.21.4), without its highest term.
const polynomial = 0x8bb7

// tables[n][b] is the remainder of byte b with n zero bytes behind it, so that sixteen bytes
// are taken at once.
var tables = makeTables()

func makeTables() (t [16][256]uint16) {
	for b := range t[0] {
		r := uint16(b) << 8
		for range 8 {
			if r&0x8000 != 0 {
				r = r<<1 ^ polynomial
			} else {
				r <<= 1
			}
		}
		t[0][b] = r
	}
	for n := 1; n < len(t); n++ {
		for b, r := range t[n-1] {
			t[n][b] = r<<8 ^ t[0][r>>8]
		}
	}
	return t
}

// CRC is the remainder of b as a LOGICAL BLOCK GUARD has it (SBC-4 §4.21.4.2): no initial
// value, bits from the highest on, nothing inverted.
func CRC(b []byte) uint16 {
	r := uint16(0)
	t := &tables
	for len(b) >= 16 {
		p := (*[16]byte)(b)
		r = t[15][p[0]^byte(r>>8)] ^ t[14][p[1]^byte(r)] ^ t[13][p[2]] ^ t[12][p[3]] ^
			t[11][p[4]] ^ t[10][p[5]] ^ t[9][p[6]] ^ t[8][p[7]] ^
			t[7][p[8]] ^ t[6][p[9]] ^ t[5][p[10]] ^ t[4][p[11]] ^
			t[3][p[12]] ^ t[2][p[13]] ^ t[1][p[14]] ^ t[0][p[15]]
		b = b[16:]
	}
	for _, c := range b {
		r = r<<8 ^ t[0][byte(r>>8)^c]
	}
	return r
}
