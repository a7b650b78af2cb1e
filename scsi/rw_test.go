package scsi

import (
	"encoding/binary"
	"fmt"
	"testing"

	"lunar/lun/blk"
	"lunar/scsi/sam"
)

// command builds a block command with the fields its length has.
func command(opcode byte, lba uint64, blocks uint32) *sam.Command {
	c := &sam.Command{CDBBytes: 16}
	c.CDB[0] = opcode
	switch opcode >> 5 {
	case 0:
		c.CDB[1], c.CDB[2], c.CDB[3], c.CDB[4] = byte(lba>>16), byte(lba>>8), byte(lba), byte(blocks)
	case 4:
		binary.BigEndian.PutUint64(c.CDB[2:], lba)
		binary.BigEndian.PutUint32(c.CDB[10:], blocks)
	case 5:
		binary.BigEndian.PutUint32(c.CDB[2:], uint32(lba))
		binary.BigEndian.PutUint32(c.CDB[6:], blocks)
	default:
		binary.BigEndian.PutUint32(c.CDB[2:], uint32(lba))
		binary.BigEndian.PutUint16(c.CDB[7:], uint16(blocks))
	}
	return c
}

// limitsOf are the largest LBA and length that fit the CDB of an opcode.
func limitsOf(opcode byte) (lba uint64, blocks uint64) {
	switch opcode >> 5 {
	case 0:
		return 1<<21 - 1, 255
	case 4:
		return 1<<64 - 1, 1<<32 - 1
	case 5:
		return 1<<32 - 1, 1<<32 - 1
	default:
		return 1<<32 - 1, 1<<16 - 1
	}
}

var (
	readOpcodes  = []byte{0x08, 0x28, 0xa8, 0x88}
	writeOpcodes = []byte{0x0a, 0x2a, 0xaa, 0x8a}
)

// Boundary LBAs and lengths, on media just around 2^32 blocks, for each command
// that names a range, against arithmetic that cannot overflow.
func TestRange_EveryBlockCommandAtEveryBoundary(t *testing.T) {
	block := append(append([]byte{0x2f, 0xaf, 0x8f, 0x35, 0x91, 0x41, 0x93, 0x8b}, readOpcodes...), writeOpcodes...)
	for _, size := range []uint64{1, 8192, 1<<21 - 1, 1<<32 - 1, 1 << 32, 1<<32 + 1} {
		d := testDevice(func(c *Config) { c.Info.Bytes = int64(size) * 512 })
		for _, opcode := range block {
			maxLBA, maxLength := limitsOf(opcode)
			for _, lba := range []uint64{0, 1, size - 1, size, size + 1, 1<<32 - 1, 1 << 32, 1<<32 + 1, 1<<63 - 1, 1 << 63, 1<<64 - 1} {
				for _, n := range []uint64{0, 1, 2, 255, uint64(d.maxBlocks), uint64(d.maxBlocks) + 1, 1<<32 - 1} {
					if lba > maxLBA || n > maxLength {
						continue
					}
					t.Run(fmt.Sprintf("%02x/size=%d/lba=%#x/n=%d", opcode, size, lba, n), func(t *testing.T) {
						checkRange(t, d, opcode, size, lba, n)
					})
				}
			}
		}
	}
}

func checkRange(t *testing.T, d *Device, opcode byte, size, lba, n uint64) {
	c := command(opcode, lba, uint32(n))
	d.Begin(c)
	isSame, isSync := opcode == 0x41 || opcode == 0x93, opcode == 0x35 || opcode == 0x91
	if opcode>>5 == 0 && n == 0 {
		n = 256
	}
	outside := lba > size || n > size-min(lba, size) || isSame && lba == size
	if isSame && n == 0 && !outside {
		n = size - lba
	}
	switch {
	case outside:
		wantSense(t, c, sam.IllegalRequest, 0x2100)
	case n > uint64(d.maxBlocks) && !isSync:
		wantSense(t, c, sam.IllegalRequest, 0x2400)
	case isSame || isSync || n > 0 && opcode&0x0f == 0x0f:
		if c.Action != sam.Execute {
			t.Fatalf("action %d, sense %+v", c.Action, c.Sense)
		}
	case n == 0:
		if c.Action != sam.Complete || c.Status != sam.Good {
			t.Fatalf("no blocks: action %d, sense %+v", c.Action, c.Sense)
		}
	default:
		if c.Extent.Offset != int64(lba)*512 || c.Extent.Bytes != int64(n)*512 {
			t.Fatalf("extent %+v", c.Extent)
		}
	}
}

func TestReadWrite_ActionsAndFUA(t *testing.T) {
	d := testDevice()
	for i, opcode := range readOpcodes {
		c := command(opcode, 5, 3)
		if i > 0 {
			c.CDB[1] = 0x18 // DPO and FUA
		}
		d.Begin(c)
		want := sam.Extent{Offset: 5 * 512, Bytes: 3 * 512, FUA: i > 0}
		if c.Action != sam.ReadMedium || c.Extent != want || c.DataInBytes != want.Bytes || c.DataOutBytes != 0 {
			t.Errorf("%02x: %+v", opcode, c)
		}
		c = command(writeOpcodes[i], 5, 3)
		if i > 0 {
			c.CDB[1] = 0x0a // FUA and FUA_NV
		}
		d.Begin(c)
		if c.Action != sam.WriteMedium || c.Extent != want || c.DataOutBytes != want.Bytes || c.DataInBytes != 0 {
			t.Errorf("%02x: %+v", writeOpcodes[i], c)
		}
	}
	// Bit 3 of byte 1 is address in a 6-byte CDB, not FUA.
	c := command(0x0a, 0x0800, 1)
	c.CDB[1] = 0
	d.Begin(c)
	if c.Extent.FUA || c.Extent.Offset != 0x800*512 {
		t.Errorf("WRITE(6): %+v", c.Extent)
	}
	large := testDevice(func(c *Config) { c.Info.Bytes = 1 << 31 })
	c = command(0x0a, 0x080000, 1)
	large.Begin(c)
	if c.Extent.FUA || c.Extent.Offset != 0x80000*512 {
		t.Errorf("WRITE(6) with bit 3 of byte 1: %+v", c.Extent)
	}
}

func TestReadWrite_ProtectBitsAreRefused(t *testing.T) {
	d := testDevice()
	for _, opcode := range []byte{0x28, 0xa8, 0x88, 0x2a, 0xaa, 0x8a, 0x2f, 0xaf, 0x8f, 0x41, 0x93} {
		for protect := byte(1); protect < 8; protect++ {
			c := command(opcode, 0, 1)
			c.CDB[1] |= protect << 5
			d.Begin(c)
			wantSense(t, c, sam.IllegalRequest, 0x2400)
		}
	}
}

func TestRead6_ZeroLengthIs256(t *testing.T) {
	c := command(0x08, 0, 0)
	testDevice().Begin(c)
	if c.Extent.Bytes != 256*512 {
		t.Errorf("extent %+v", c.Extent)
	}
}

func TestNew_TransferLimits(t *testing.T) {
	for _, k := range []struct {
		bytes int64
		want  uint32
	}{{0, 32768}, {1, 256}, {1 << 20, 2048}, {1<<20 + 511, 2048}, {1 << 60, 1<<32 - 1}} {
		d := testDevice(func(c *Config) { c.MaxTransferBytes = k.bytes })
		if d.maxBlocks != k.want {
			t.Errorf("MaxTransferBytes %d: %d blocks, want %d", k.bytes, d.maxBlocks, k.want)
		}
	}
}

func TestBegin_ReadAndWrite_AllocateNothing(t *testing.T) {
	d := testDevice()
	d.OpenNexus(0, nil)
	good(t, d, "03 00 00 00 12")
	for _, opcode := range append(append([]byte{}, readOpcodes...), writeOpcodes...) {
		c := command(opcode, 8, 8)
		if n := testing.AllocsPerRun(100, func() { d.Begin(c) }); n != 0 {
			t.Errorf("%02x: %v allocations", opcode, n)
		}
	}
}

func BenchmarkBegin_Read10(b *testing.B) {
	d := New(Config{Info: blk.Info{Bytes: 1 << 30, BlockBytes: 512, PhysicalBytes: 4096}})
	c := command(0x28, 8, 8)
	b.ReportAllocs()
	for b.Loop() {
		d.Begin(c)
	}
}
