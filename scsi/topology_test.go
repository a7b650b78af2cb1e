package scsi

import (
	"testing"
)

// Where physical blocks and granules begin is said in the units and places of SBC-3
// §5.16.2 and §6.6.3, by a medium on a partition for instance.
func TestPages_TopologyIsTheMediums(t *testing.T) {
	for name, k := range map[string]struct {
		block, aligned, granule, offset, optimal     uint32
		wantAligned, wantGranule, wantOffset, wantOf string
	}{
		"aligned":    {512, 0, 4096, 0, 0, "0", "8", "0", "0"},
		"legacy":     {512, 3584, 1 << 20, 31 << 9, 64 << 10, "7", "2048", "31", "128"},
		"large":      {4096, 4096, 1 << 20, 8192, 1 << 20, "1", "256", "2", "256"},
		"too far in": {512, 1 << 23, 4096, 0, 0, "0", "8", "0", "0"},
	} {
		for _, thin := range []bool{false, true} {
			d := testDevice(func(c *Config) {
				c.Info.BlockBytes, c.Info.AlignedBytes, c.Info.Thin = k.block, k.aligned, thin
				c.Info.PhysicalBytes = max(c.Info.PhysicalBytes, k.block)
				c.Info.DiscardBytes, c.Info.DiscardOffset = k.granule, k.offset
				c.OptimalTransferBytes = int64(k.optimal)
			})
			capacity := good(t, d, "9e 10 00 00 00 00 00 00 00 00 00 00 00 20")
			if flags := capacity[14] & 0xc0; (flags == 0xc0) != thin {
				t.Errorf("%s: LBPME, LBPRZ %#x, thin %v", name, flags, thin)
			}
			capacity[14] &= 0x3f
			if got := number(capacity[14:16]); got != k.wantAligned {
				t.Errorf("%s: lowest aligned %s, want %s", name, got, k.wantAligned)
			}
			limits := good(t, d, "12 01 b0 02 00")
			if got := number(limits[12:16]); got != k.wantOf {
				t.Errorf("%s: optimal transfer length %s, want %s", name, got, k.wantOf)
			}
			if !thin {
				if got := number(limits[28:36]); got != "0" {
					t.Errorf("%s: granularity of what is not thin: %s", name, got)
				}
				continue
			}
			if limits[32]&0x80 == 0 {
				t.Errorf("%s: UGAVALID", name)
			}
			limits[32] &= 0x7f
			if g, o := number(limits[28:32]), number(limits[32:36]); g != k.wantGranule || o != k.wantOffset {
				t.Errorf("%s: granularity %s, alignment %s; want %s, %s", name, g, o, k.wantGranule, k.wantOffset)
			}
		}
	}
}
