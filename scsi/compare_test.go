package scsi

import (
	"bytes"
	"fmt"
	"testing"

	"lunar/lun/blk"
	"lunar/scsi/sam"
)

// SBC-3 §5.2: what the blocks must hold, then what is written if they do; otherwise
// nothing is, and INFORMATION says where the first difference is.
func TestCompareWrite_WritesOnlyWhatIsEqual(t *testing.T) {
	for _, blocks := range []int{1, 2, 128} {
		d := testDevice()
		m, n := newMedium(d), blocks*int(d.info.BlockBytes)
		before := bytes.Clone(m.data)
		at := 7 * int(d.info.BlockBytes)
		data := append(bytes.Clone(m.data[at:at+n]), bytes.Repeat([]byte{0x5a}, n)...)
		for _, wrong := range []int{0, n / 2, n - 1} {
			bad := bytes.Clone(data)
			bad[wrong] ^= 0x10
			c := compareCommand(7, blocks)
			m.do(t, d, c, bad)
			if c.Status != sam.CheckCondition || c.Sense.Key != sam.Miscompare || c.Sense.Code != 0x1d00 || c.Sense.Info != uint64(wrong) {
				t.Errorf("%d blocks, byte %d differs: %v %+v", blocks, wrong, c.Status, c.Sense)
			}
			if !bytes.Equal(m.data, before) {
				t.Fatalf("%d blocks, byte %d differs: the medium changed", blocks, wrong)
			}
		}
		c := compareCommand(7, blocks)
		m.do(t, d, c, data)
		copy(before[at:], data[n:])
		if c.Status != sam.Good || !bytes.Equal(m.data, before) || m.ops[blk.Read] != 1 || m.ops[blk.Write] != 1 {
			t.Errorf("%d blocks: %v %+v, %v", blocks, c.Status, c.Sense, m.ops)
		}
	}
}

func compareCommand(lba byte, blocks int) *sam.Command {
	c := &sam.Command{CDBBytes: 16}
	c.CDB[0], c.CDB[9], c.CDB[13] = 0x89, lba, byte(blocks)
	return c
}

// The page names what is refused beyond, for both block lengths.
func TestCompareWrite_Refusals(t *testing.T) {
	const most = 200
	for _, block := range []uint32{512, 4096} {
		// The limit is that of the CDB, or of all transfers.
		d := testDevice(func(c *Config) {
			c.Info.BlockBytes, c.Info.PhysicalBytes, c.MaxTransferBytes = block, block, 300*int64(block)
		})
		if limits := good(t, d, "12 01 b0 02 00"); limits[5] != 255 {
			t.Errorf("blocks of %d: page B0h says %d", block, limits[5])
		}
		d.maxBlocks = most
		if limits := good(t, d, "12 01 b0 02 00"); limits[5] != most {
			t.Errorf("blocks of %d: page B0h says %d", block, limits[5])
		}
		for name, k := range map[string]struct {
			cdb      string
			expected int64
			code     uint16
		}{
			"one too many":     {"89 00 00 00 00 00 00 00 00 00 00 00 00" + fmt.Sprintf("%02x", most+1), 0, 0x2400},
			"as many":          {"89 00 00 00 00 00 00 00 00 00 00 00 00" + fmt.Sprintf("%02x", most), 2 * int64(most) * int64(block), 0},
			"none":             {"89", 0, 0},
			"none, with data":  {"89", 512 * int64(block), 0x2400},
			"behind the end":   {"89 00 ff 00 00 00 00 00 00 00 00 00 00 01", 0, 0x2100},
			"WRPROTECT":        {"89 20 00 00 00 00 00 00 00 00 00 00 00 01", 0, 0x2400},
			"FUA, DPO":         {"89 18 00 00 00 00 00 00 00 00 00 00 00 01", 2 * int64(block), 0},
			"half of the data": {"89 00 00 00 00 00 00 00 00 00 00 00 00 01", int64(block), 0x0e03},
		} {
			c := parse(t, k.cdb)
			c.ExpectedOutBytes = k.expected
			d.Begin(c)
			if got := c.Sense.Code; got != k.code || (k.code == 0) != (c.Status == sam.Good) {
				t.Errorf("blocks of %d, %s: %v %04x, want %04x", block, name, c.Status, got, k.code)
			}
		}
	}
}

// FUA is for the write alone.
func TestCompareWrite_FUA(t *testing.T) {
	d := testDevice()
	for _, fua := range []bool{false, true} {
		c := compareCommand(0, 1)
		if fua {
			c.CDB[1] = 0x08
		}
		_, p := serve(t, d, c, make([]byte, 2*d.info.BlockBytes))
		read, _ := d.Next(c, &p)
		write, _ := d.Next(c, &p)
		if _, more := d.Next(c, &p); more || !p.InOrder() || read.Op != blk.Read || read.FUA || write.Op != blk.Write || write.FUA != fua {
			t.Errorf("FUA %v: %+v, then %+v, more %v", fua, read, write, more)
		}
	}
}

// The longest one is read, compared and written in pieces; a difference in the last one
// leaves the medium as it was.
func TestCompareWrite_InPieces(t *testing.T) {
	d := testDevice(func(c *Config) { c.Info.BlockBytes, c.Info.PhysicalBytes = 4096, 4096 })
	const n = 255 * 4096
	for _, at := range []int{-1, 0, n - 1, blk.MaxRequestBytes} {
		m := &medium{data: make([]byte, d.info.Bytes)}
		for i := range m.data {
			m.data[i] = byte(i * 7 >> 3)
		}
		before := bytes.Clone(m.data)
		out := append(bytes.Clone(m.data[4096:4096+n]), bytes.Repeat([]byte{0xee, 1}, n/2)...)
		if at >= 0 {
			out[at] ^= 1
		}
		c := parse(t, "89 00 00 00 00 00 00 00 00 01 00 00 00 ff")
		m.do(t, d, c, out)
		want := bytes.Clone(before)
		if at < 0 {
			copy(want[4096:], out[n:])
		} else if c.Sense.Key != sam.Miscompare || c.Sense.Info != uint64(at) {
			t.Errorf("byte %d: %+v", at, c.Sense)
		}
		if !bytes.Equal(m.data, want) {
			t.Errorf("byte %d: another medium", at)
		}
	}
}
