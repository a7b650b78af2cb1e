package scsi

import (
	"testing"

	"lunar/scsi/sam"
)

// PRE-FETCH reads what a cache has room for and nothing without one; it promises nothing.
func TestPrefetch(t *testing.T) {
	for _, x := range []struct {
		cache       int64
		lba, blocks uint64
		want        int64
	}{
		{0, 0, 8, 0},
		{1 << 20, 5, 8, 8 * 512},
		{4096, 5, 100, 4096},
		{1 << 30, 8000, 0, 192 * 512},
		{1 << 30, 8191, 1, 512},
	} {
		d := testDevice(func(c *Config) { c.Info.Bytes, c.Info.CacheBytes = 8192*512, x.cache })
		for _, opcode := range []byte{0x34, 0x90} {
			c := command(opcode, x.lba, uint32(x.blocks))
			c.CDB[1] = 0x02 // IMMED
			d.Begin(c)
			if c.Action != sam.Execute {
				t.Fatalf("%02x: action %d, sense %+v", opcode, c.Action, c.Sense)
			}
			p := d.Execute(c)
			read := p.Bytes
			if c.Status != sam.Good || read != x.want || read > 0 && (p.Kind != Verify || p.Offset != int64(x.lba)*512) {
				t.Errorf("%02x at %d: status %#x, %+v, want %d bytes", opcode, x.lba, c.Status, p, x.want)
			}
		}
	}
	d := testDevice(func(c *Config) { c.Info.Bytes = 8192 * 512 })
	for _, opcode := range []byte{0x34, 0x90} {
		for _, x := range [][2]uint64{{8192, 0}, {8192, 1}, {8191, 2}, {1<<32 - 1, 1}} {
			c := command(opcode, x[0], uint32(x[1]))
			d.Begin(c)
			wantSense(t, c, sam.IllegalRequest, 0x2100)
		}
	}
}
